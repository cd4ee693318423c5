/**
 * The state machine of a circuit in Redis: the rules of `circuit.ts`, each operation one script on one key, on the clock of
 * the server.
 *
 * Generations are the larger of the previous generation plus one and the time in microseconds: a key that expired and was
 * created again never reissues the generation of a call that is still running. Numbers are written without an exponent.
 */
import * as Duration from "effect/Duration"
import * as Redis from "effect/persistence/Redis"
import type { BreakerPolicy } from "../../BreakerPolicy.ts"
import type { StoreRequest } from "../../BreakerStore.ts"
import { idleMillis, neededOf } from "./circuit.ts"
import { askedMillis, capMillis } from "./openFor.ts"
import { bucketMillis, buckets, slowRatioOf } from "./window.ts"

/**
 * The lease of a probe, renewed while the probe runs. It is short: if a process dies during its probe, another process probes
 * after this time.
 */
export const leaseMillis = 3_000

const millis = (duration: Duration.Duration): number => Math.ceil(Duration.toMillis(duration))

/** What a circuit needs to compute how long it stays open: `openMillis` in Lua. */
const opening = (policy: BreakerPolicy, jitter: number): ReadonlyArray<number> => [
  millis(policy.openDuration),
  policy.openMultiplier,
  capMillis(policy),
  jitter
]

const prelude = `
local key = KEYS[1]
local idle, lease = ${idleMillis}, ${leaseMillis}
local function int(n) return string.format("%.0f", n) end
local time = redis.call("TIME")
local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(micros / 1000)
local names = { "state", "generation", "openUntil", "openings", "lastOpenFor", "resetAt", "leaseUntil", "probeUntil",
  "streak", "ring", "buckets", "failures", "slow", "passed", "failed" }
local values = redis.call("HMGET", key, unpack(names))
local c = {}
for i, name in ipairs(names) do c[name] = values[i] or nil end
local function num(name, otherwise) return tonumber(c[name]) or otherwise or 0 end
local moves = {}
local function set(...)
  local args = { ... }
  for i = 1, #args, 2 do c[args[i]] = args[i + 1] end
  redis.call("HSET", key, ...)
end
local function advance() set("generation", int(math.max(num("generation") + 1, micros))) end
local function move(to)
  moves[#moves + 1] = (c.state or "Closed") .. " " .. to
  set("state", to, "streak", 0, "ring", "", "buckets", "", "failures", 0, "slow", 0, "leaseUntil", 0)
  advance()
end
local function open(at, asked, base, multiplier, cap, jitter)
  local openings = num("openings")
  if c.state == "Closed" and at >= num("resetAt") then openings = 0 end
  openings = openings + 1
  local grown = math.min(base * multiplier ^ math.min(openings - 1, 64), cap)
  local openFor = math.ceil(math.max(grown, asked) * jitter)
  set("openings", openings, "lastOpenFor", int(openFor), "openUntil", int(at + openFor))
  move("Open")
  redis.call("PEXPIRE", key, int(math.max(at + openFor - now, 0) + idle))
end
local function isLate() return c.state == "HalfOpen" and num("leaseUntil") > 0 and now >= num("probeUntil", math.huge) end
`

const admit = Redis.script(
  (key: string, policy: BreakerPolicy, jitter: number) => [
    key,
    millis(policy.probeTimeout),
    ...opening(policy, jitter)
  ],
  {
    numberOfKeys: 1,
    lua: `${prelude}
local probeTimeout = tonumber(ARGV[1])
if c.state == "Isolated" then return { "isolated", "0", 0, "" } end
if not c.state or c.state == "Closed" then
  if not c.state then
    set("state", "Closed")
    advance()
  end
  redis.call("PEXPIRE", key, idle)
  return { "ok", c.generation, 0, "" }
end
if isLate() then
  open(num("probeUntil"), 0, tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]))
end
if c.state == "Open" then
  if now < num("openUntil") then
    return { "open", int(math.min(num("openUntil") - now, 2 ^ 50)), 0, table.concat(moves, ",") }
  end
  move("HalfOpen")
  set("passed", 0, "failed", 0)
elseif num("leaseUntil") > now then
  return { "halfopen", "0", 0, "" }
end
set("leaseUntil", int(now + math.min(lease, probeTimeout)), "probeUntil", int(now + probeTimeout))
advance()
redis.call("PEXPIRE", key, int(probeTimeout + idle))
return { "ok", c.generation, 1, table.concat(moves, ",") }
`
  }
).withReturnType<
  readonly [tag: "ok" | "open" | "halfopen" | "isolated", value: string, isProbe: number, moves: string]
>()

const record = Redis.script(
  (key: string, { generation, isSlow, outcome, policy, retryAfter }: StoreRequest, jitter: number) => [
    key,
    String(generation),
    outcome,
    isSlow === true ? 1 : 0,
    policy.strategy,
    policy.strategy === "consecutive" ? policy.failureThreshold : policy.failureRatio,
    policy.minimumCalls,
    policy.strategy === "timeWindow" ? bucketMillis(policy) : policy.windowSize,
    policy.slowCallDuration === undefined ? 2 : slowRatioOf(policy),
    policy.probes,
    neededOf(policy),
    Math.ceil(askedMillis(policy, retryAfter)),
    ...opening(policy, jitter)
  ],
  {
    numberOfKeys: 1,
    lua: `${prelude}
local outcome, strategy = ARGV[2], ARGV[4]
local isFailed, isSlow = outcome == "Failure", ARGV[3] == "1"
local function openFor(at, asked)
  open(at, asked, tonumber(ARGV[12]), tonumber(ARGV[13]), tonumber(ARGV[14]), tonumber(ARGV[15]))
end
local asked = tonumber(ARGV[11])
if not c.state or c.generation ~= ARGV[1] then return "" end

if c.state == "HalfOpen" then
  if isLate() then
    openFor(num("probeUntil"), 0)
    return table.concat(moves, ",")
  end
  set("leaseUntil", 0)
  advance()
  redis.call("PEXPIRE", key, idle)
  if outcome == "Ignored" then return "" end
  local probes, needed = tonumber(ARGV[9]), tonumber(ARGV[10])
  if isFailed or isSlow then set("failed", num("failed") + 1) else set("passed", num("passed") + 1) end
  if num("passed") >= needed then
    set("resetAt", int(now + num("lastOpenFor")))
    move("Closed")
  elseif num("failed") > probes - needed then
    openFor(now, asked)
  end
  return table.concat(moves, ",")
end

if c.state ~= "Closed" then return "" end
redis.call("PEXPIRE", key, idle)
if outcome == "Ignored" then return "" end
if strategy == "consecutive" then
  local streak = isFailed and num("streak") + 1 or 0
  if streak >= tonumber(ARGV[5]) then openFor(now, asked) else set("streak", streak) end
  return table.concat(moves, ",")
end

local calls, failures, slow
if strategy == "ratio" then
  local size = tonumber(ARGV[7])
  local ring = (c.ring or "") .. ((isFailed and 1 or 0) + (isSlow and 2 or 0))
  failures = num("failures") + (isFailed and 1 or 0)
  slow = num("slow") + (isSlow and 1 or 0)
  if #ring > size then
    for bits in string.gmatch(string.sub(ring, 1, #ring - size), "%d") do
      if bits == "1" or bits == "3" then failures = failures - 1 end
      if bits == "2" or bits == "3" then slow = slow - 1 end
    end
    ring = string.sub(ring, #ring - size + 1)
  end
  calls = #ring
  set("ring", ring, "failures", failures, "slow", slow)
else
  local current = math.floor(now / tonumber(ARGV[7]))
  local kept = {}
  calls, failures, slow = 1, isFailed and 1 or 0, isSlow and 1 or 0
  local last = { 1, failures, slow }
  for bucket, n, f, s in string.gmatch(c.buckets or "", "(%d+):(%d+):(%d+):(%d+)") do
    if tonumber(bucket) > current - ${buckets} and tonumber(bucket) <= current then
      calls, failures, slow = calls + n, failures + f, slow + s
      if tonumber(bucket) == current then last = { last[1] + n, last[2] + f, last[3] + s }
      else kept[#kept + 1] = bucket .. ":" .. n .. ":" .. f .. ":" .. s end
    end
  end
  kept[#kept + 1] = int(current) .. ":" .. last[1] .. ":" .. last[2] .. ":" .. last[3]
  set("buckets", table.concat(kept, ";"))
end
if calls >= tonumber(ARGV[6]) and
  ((failures > 0 and failures / calls >= tonumber(ARGV[5])) or (slow > 0 and slow / calls >= tonumber(ARGV[8]))) then
  openFor(now, asked)
end
return table.concat(moves, ",")
`
  }
).withReturnType<string>()

/** Read-only. */
const state = Redis.script(
  (key: string, policy: BreakerPolicy) => [key, bucketMillis(policy), policy.strategy],
  {
    numberOfKeys: 1,
    lua: `${prelude}
local calls, failures, slow = 0, 0, 0
if c.state == "Closed" and ARGV[2] == "ratio" then
  calls, failures, slow = #(c.ring or ""), num("failures"), num("slow")
elseif c.state == "Closed" then
  for bucket, n, f, s in string.gmatch(c.buckets or "", "(%d+):(%d+):(%d+):(%d+)") do
    if tonumber(bucket) > math.floor(now / tonumber(ARGV[1])) - ${buckets} then
      calls, failures, slow = calls + n, failures + f, slow + s
    end
  end
end
if isLate() then return { "Open", num("openings") + 1, 0, 0, calls, failures, slow } end
local isHalf = c.state == "HalfOpen"
return { c.state or "Closed", num("openings"), isHalf and num("passed") or 0, isHalf and num("failed") or 0, calls, failures, slow }
`
  }
).withReturnType<
  readonly [
    state: "Closed" | "Open" | "HalfOpen" | "Isolated",
    openings: number,
    passed: number,
    failed: number,
    calls: number,
    failures: number,
    slow: number
  ]
>()

/** Extends the lease of the probe that has it. Returns 1, or 0 if the lease is gone. */
const renew = Redis.script((key: string, generation: number) => [key, String(generation)], {
  numberOfKeys: 1,
  lua: `${prelude}
if c.state ~= "HalfOpen" or c.generation ~= ARGV[1] or now >= num("probeUntil") then return 0 end
set("leaseUntil", int(math.min(now + lease, num("probeUntil"))))
return 1
`
}).withReturnType<number>()

/** Deletes a circuit. Returns the state that it had. */
const reset = Redis.script((key: string) => [key], {
  numberOfKeys: 1,
  lua: `
local state = redis.call("HGET", KEYS[1], "state")
redis.call("DEL", KEYS[1])
return state or "Closed"
`
}).withReturnType<string>()

/** Rejects every call until a reset. Returns the state that the circuit had. An isolated circuit does not expire. */
const isolate = Redis.script((key: string) => [key], {
  numberOfKeys: 1,
  lua: `${prelude}
local before = c.state or "Closed"
move("Isolated")
set("openings", 0)
redis.call("PERSIST", key)
return before
`
}).withReturnType<string>()

/** Shortens what no breaker writes: a circuit that is open for longer than a duration, or a probe with a longer lease. */
const hold = Redis.script((key: string, longest: number) => [key, longest], {
  numberOfKeys: 1,
  lua: `${prelude}
local function shorten(field, longest)
  if tonumber(c[field]) == nil or num(field) <= now + longest then return 0 end
  set(field, int(now + longest))
  return 1
end
if c.state == "Open" then return shorten("openUntil", tonumber(ARGV[1])) end
if c.state == "HalfOpen" then return shorten("leaseUntil", lease) end
return 0
`
}).withReturnType<number>()

/** Every script, by the operation that it performs. */
export const scripts = { admit, record, state, renew, reset, isolate, hold } as const
