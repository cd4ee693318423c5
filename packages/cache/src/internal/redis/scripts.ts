import { chunksLength } from "./stored.ts"

/**
 * Replaces the value of the first key if it still is the given one, and gives it and the other keys a lifetime in milliseconds;
 * 0 means for ever.
 */
export const updateScript = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
for _, name in ipairs(KEYS) do
  if ARGV[3] == '0' then redis.call('PERSIST', name) else redis.call('PEXPIRE', name, ARGV[3]) end
end
return 1`

/** The chunks of an entry: the end of its value names them. `prefix` is what the names of all chunks begin with. */
const chunks = `
local function endingOf(name) return redis.call('GETRANGE', name, -${chunksLength}, -1) end
local function removeChunks(ending, prefix)
  local generation, count = string.match(ending, '%.([0-9a-f%-]+)%.(%d+)$')
  if generation == nil then return end
  for index = 0, tonumber(count) - 1 do redis.call('UNLINK', prefix .. generation .. ':' .. index) end
end`

/**
 * Writes an entry, removes the chunks of the one that it replaces, and gives its own chunks (the other keys) its lifetime in
 * milliseconds; 0 means for ever. Returns 0, and changes nothing, if one of them is gone.
 */
export const writeScript = `${chunks}
for index = 2, #KEYS do
  if redis.call('EXISTS', KEYS[index]) == 0 then return 0 end
end
local replaced = endingOf(KEYS[1])
redis.call('SET', KEYS[1], ARGV[1])
for _, name in ipairs(KEYS) do
  if ARGV[2] == '0' then redis.call('PERSIST', name) else redis.call('PEXPIRE', name, ARGV[2]) end
end
removeChunks(replaced, ARGV[3])
return 1`

/** Removes an entry with its chunks. Returns its value. */
export const removeScript = `${chunks}
removeChunks(endingOf(KEYS[1]), ARGV[1])
return redis.call('GETDEL', KEYS[1])`

/** Removes entries with their chunks. Returns how many there were: `SCAN` may return a name twice. */
export const clearScript = `${chunks}
local count = 0
for _, name in ipairs(KEYS) do
  if redis.call('TYPE', name).ok == 'string' then removeChunks(endingOf(name), ARGV[1]) end
  count = count + redis.call('UNLINK', name)
end
return count`
