/**
 * The two algorithms in Redis, on the clock of the server: one script, which asks all limits of a request first, and counts it only if
 * each admits it. Times are whole microseconds.
 *
 * A key is kept as long as what it counts matters, and no longer. Where the clock of the server was set back by more than a window, what was
 * counted is dropped.
 */
import * as Redis from "effect/persistence/Redis"

/** A limit of a request. */
export interface RedisLimit {
  readonly key: string
  readonly algorithm: "tokenBucket" | "slidingWindow"
  readonly limit: number
  readonly windowMillis: number
}

const lua = `
local time = redis.call("TIME")
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local function int(n) return string.format("%.0f", n) end
local buckets = {}
local waiting, longest = 0, 0
for i, key in ipairs(KEYS) do
  local kind = ARGV[3 * i - 2]
  local limit = tonumber(ARGV[3 * i - 1])
  local window = tonumber(ARGV[3 * i])
  local wait = 0
  if kind == "tokenBucket" then
    local step = math.floor(window / limit)
    local rest = window - step * limit
    local value = redis.call("GET", key)
    local whole, part = 0, 0
    if value then
      local a, b = string.match(value, "^(%d+):(%d+)$")
      whole, part = tonumber(a) or 0, tonumber(b) or 0
    end
    if whole < now or whole > now + 2 * window then whole, part = now, 0 end
    part = part + rest
    whole = whole + step
    if part >= limit then
      part = part - limit
      whole = whole + 1
    end
    local over = whole - window - now
    if part > 0 then over = over + 1 end
    wait = math.max(0, over)
    buckets[i] = { whole, part }
  else
    local newest = tonumber(redis.call("LINDEX", key, -1) or "0")
    if newest > now + window then redis.call("DEL", key) end
    local at = math.max(now, newest > now + window and 0 or newest)
    while true do
      local oldest = tonumber(redis.call("LINDEX", key, 0) or "")
      if not oldest or oldest > at - window then break end
      redis.call("LPOP", key)
    end
    if redis.call("LLEN", key) >= limit then
      wait = tonumber(redis.call("LINDEX", key, 0)) + window - at
    end
    buckets[i] = { at }
  end
  if wait > longest then waiting, longest = i, wait end
end
if waiting > 0 then return { waiting, int(longest) } end
for i, key in ipairs(KEYS) do
  local state = buckets[i]
  local window = tonumber(ARGV[3 * i])
  if ARGV[3 * i - 2] == "tokenBucket" then
    redis.call("SET", key, int(state[1]) .. ":" .. int(state[2]), "PX", int(math.ceil((state[1] - now) / 1000) + 1))
  else
    redis.call("RPUSH", key, int(state[1]))
    redis.call("PEXPIRE", key, int(math.ceil(window / 1000) + 1))
  end
end
return { 0, "0" }
`

const parameters = (limits: ReadonlyArray<RedisLimit>) => [
  ...limits.map(({ key }) => key),
  ...limits.flatMap(({ algorithm, limit, windowMillis }) => [algorithm, limit, windowMillis * 1000])
]

/** Asks and counts. Returns the place of the limit with the longest wait, from 1, and the wait in microseconds; or 0 if admitted. */
export const admit = Redis.script(parameters, { numberOfKeys: (limits) => limits.length, lua }).withReturnType<
  readonly [place: number, micros: string]
>()
