/**
 * The record of one kind of token in Redis: the rules of `memoryRecord.ts`, each operation one script on one key, on the clock
 * of the server.
 *
 * Fencing numbers are the larger of the previous one plus one and the time in microseconds, not those of `INCR`: a record
 * that was evicted, flushed or lost in a failover never issues the number of an older lease again. Numbers are written
 * without an exponent.
 */
import * as Redis from "effect/persistence/Redis"
import { aloneMillis, type Holder, type ReportedFailure, slackMillis, type TurnRequest } from "./record.ts"

/** The longest value that is read, in characters: three times what the longest token needs. */
const longestValue = 98_304

/** The longest lease of any process, in milliseconds. */
const longestLease = 60_000

export const prelude = `
local key = KEYS[1]
local function int(n) return string.format("%.0f", n) end
local time = redis.call("TIME")
local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(micros / 1000)
local c = {}
local function load(...)
  local names = { ... }
  local values = redis.call("HMGET", key, unpack(names))
  for i, name in ipairs(names) do c[name] = values[i] or nil end
end
local function num(name) return tonumber(c[name]) or 0 end
-- A number that no process writes, as after a manual change, counts as none.
local day = 86400000
local function fenceOf(name)
  local fence = num(name)
  return fence < micros + day * 1000 and fence or 0
end
local function timeOf(name, longest)
  local at = num(name)
  return at <= now + longest and at or 0
end
local function keep(millis)
  local left = redis.call("PTTL", key)
  if left < millis then redis.call("PEXPIRE", key, int(millis)) end
end
local function value()
  if redis.call("HSTRLEN", key, "value") > ${longestValue} then return "" end
  return redis.call("HGET", key, "value")
end
local function isHolder(owner, fence) return c.owner == owner and c.fence == fence end
local function grant(owner, lease)
  local fence = int(math.max(fenceOf("fence") + 1, micros))
  redis.call("HSET", key, "fence", fence, "owner", owner, "until", int(now + lease))
  return fence
end
`

const millis = (amount: number): number => Math.ceil(amount)

const begin = Redis.script(
  (key: string, lease: number, request: TurnRequest) => [
    key,
    request.owner,
    request.process,
    millis(lease),
    request.known,
    request.isForced ? 1 : 0,
    millis(request.cooldown)
  ],
  {
    numberOfKeys: 1,
    lua: `${prelude}
load("fence", "owner", "until", "valueFence", "aloneUntil", "replacedAt", "failUntil", "failPause", "failProcess", "failCode",
  "failError", "failStatus", "failCount")
local owner, process, lease, known = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local isForced, cooldown = ARGV[5] == "1", tonumber(ARGV[6])
if fenceOf("valueFence") > known then
  local stored = value()
  if stored then return { "token", c.valueFence, stored, int(now) } end
end
if timeOf("aloneUntil", day) > now then return { "alone" } end
local isHeld = c.owner and c.owner ~= "" and c.owner ~= owner and timeOf("until", ${longestLease}) > now
if isHeld then return { "wait", int(num("until") - now) } end
if cooldown > 0 and c.replacedAt and now < timeOf("replacedAt", 0) + cooldown then return { "unchanged" } end
if not isForced then
  local pausedUntil = timeOf("failUntil", day)
  if c.failProcess == process then pausedUntil = pausedUntil + timeOf("failPause", 0) end
  if pausedUntil > now then
    return { "failed", c.failCode or "", c.failError or "", c.failStatus or "", int(pausedUntil - now), int(num("failCount")) }
  end
end
local fence = grant(owner, lease)
if cooldown > 0 then redis.call("HSET", key, "replacedAt", int(now)) end
keep(lease + cooldown + ${slackMillis})
return { "lease", fence, "", int(now) }
`
  }
).withReturnType<ReadonlyArray<unknown>>()

const commit = Redis.script(
  (key: string, { fence, owner }: Holder, value: string, lifetime: number) => [
    key,
    owner,
    fence,
    value,
    millis(lifetime)
  ],
  {
    numberOfKeys: 1,
    lua: `${prelude}
load("fence", "owner")
if not isHolder(ARGV[1], ARGV[2]) then return 0 end
redis.call("HSET", key, "value", ARGV[3], "valueFence", ARGV[2], "owner", "")
redis.call("HDEL", key, "failUntil", "failPause", "failProcess", "failCode", "failError", "failStatus", "failCount")
keep(tonumber(ARGV[4]) + ${slackMillis})
return 1
`
  }
).withReturnType<number>()

const fail = Redis.script(
  (key: string, { fence, owner }: Holder, process: string, failure: ReportedFailure) => [
    key,
    owner,
    fence,
    process,
    failure.code,
    failure.error ?? "",
    failure.status ?? "",
    millis(failure.pause.first),
    millis(failure.pause.most),
    millis(failure.pause.asked),
    failure.isGrowing ? 1 : 0
  ],
  {
    numberOfKeys: 1,
    lua: `${prelude}
load("fence", "owner", "failCount")
if not isHolder(ARGV[1], ARGV[2]) then return 0 end
local count = num("failCount") + 1
local pause = tonumber(ARGV[7])
if ARGV[10] == "1" then pause = math.min(pause * 2 ^ math.min(count - 1, 20), tonumber(ARGV[8])) end
pause = math.max(pause, tonumber(ARGV[9]))
redis.call("HSET", key, "owner", "", "failUntil", int(now + pause), "failPause", int(pause), "failProcess", ARGV[3],
  "failCode", ARGV[4], "failError", ARGV[5], "failStatus", ARGV[6], "failCount", int(count))
keep(2 * pause + ${slackMillis})
return count
`
  }
).withReturnType<number>()

const unshare = Redis.script(
  (key: string, { fence, owner }: Holder) => [key, owner, fence],
  {
    numberOfKeys: 1,
    lua: `${prelude}
load("fence", "owner")
if not isHolder(ARGV[1], ARGV[2]) then return 0 end
redis.call("HSET", key, "owner", "", "aloneUntil", int(now + ${aloneMillis}))
redis.call("HDEL", key, "value", "valueFence")
keep(${aloneMillis + slackMillis})
return 1
`
  }
).withReturnType<number>()

const release = Redis.script((key: string, owner: string) => [key, owner], {
  numberOfKeys: 1,
  lua: `
if redis.call("HGET", KEYS[1], "owner") ~= ARGV[1] then return 0 end
redis.call("HDEL", KEYS[1], "owner")
return 1
`
}).withReturnType<number>()

const renew = Redis.script(
  (key: string, { fence, owner }: Holder, lease: number) => [key, owner, fence, millis(lease)],
  {
    numberOfKeys: 1,
    lua: `${prelude}
load("fence", "owner")
if not isHolder(ARGV[1], ARGV[2]) then return 0 end
redis.call("HSET", key, "until", int(now + tonumber(ARGV[3])))
keep(tonumber(ARGV[3]) + ${slackMillis})
return 1
`
  }
).withReturnType<number>()

const invalidate = Redis.script((key: string, fence: number) => [key, fence], {
  numberOfKeys: 1,
  lua: `
if redis.call("HGET", KEYS[1], "valueFence") ~= ARGV[1] then return 0 end
redis.call("HDEL", KEYS[1], "value")
return 1
`
}).withReturnType<number>()

/** Every script, by the operation that it performs. */
export const scripts = { begin, commit, fail, unshare, release, renew, invalidate } as const
