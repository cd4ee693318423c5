/**
 * The record of one refresh token in Redis, each operation one script on one key. The record does not expire. Its state is
 * empty, `sent` or `refused`.
 */
import * as Redis from "effect/persistence/Redis"
import type { Holder } from "./record.ts"
import { prelude } from "./scripts.ts"

/** How many initial refresh tokens are remembered as used. */
const mostSeeds = 32

const seeds = `
local function isNew(seed)
  return seed ~= "" and not string.find(" " .. (c.seeds or "") .. " ", " " .. seed .. " ", 1, true)
end
local function remember(seed)
  if not isNew(seed) then return end
  local kept = { seed }
  for other in string.gmatch(c.seeds or "", "%S+") do
    if #kept < ${mostSeeds} then kept[#kept + 1] = other end
  end
  redis.call("HSET", key, "seeds", table.concat(kept, " "))
end
`

const begin = Redis.script(
  (key: string, owner: string, lease: number, seed: string) => [key, owner, lease, seed],
  {
    numberOfKeys: 1,
    lua: `${prelude}${seeds}
load("fence", "owner", "until", "valueFence", "state", "seeds")
local owner, lease, seed = ARGV[1], tonumber(ARGV[2]), ARGV[3]
if c.owner and c.owner ~= "" and c.owner ~= owner and timeOf("until", 60000) > now then
  return { "wait", int(num("until") - now) }
end
local stored = value()
local isSpent = c.state == "sent" or c.state == "refused"
if not isNew(seed) then
  if not stored then return { "missing" } end
  if isSpent then return { c.state } end
elseif not stored or isSpent then
  return { "lease", grant(owner, lease), "", "0" }
end
return { "lease", grant(owner, lease), stored, c.valueFence or "0" }
`
  }
).withReturnType<ReadonlyArray<unknown>>()

const holder = (key: string, { fence, owner }: Holder) => [key, owner, fence]

const mark = Redis.script((key: string, lease: Holder) => holder(key, lease), {
  numberOfKeys: 1,
  lua: `${prelude}
load("fence", "owner")
if not isHolder(ARGV[1], ARGV[2]) then return 0 end
redis.call("HSET", key, "state", "sent")
return 1
`
}).withReturnType<number>()

const write = Redis.script(
  (key: string, lease: Holder, value: string, seed: string, isLast: boolean) => [
    ...holder(key, lease),
    value,
    seed,
    isLast ? 1 : 0
  ],
  {
    numberOfKeys: 1,
    lua: `${prelude}${seeds}
load("fence", "owner", "seeds")
-- Also after the lease ended, if no other was granted since: a late or repeated write has the newest refresh token.
if c.fence ~= ARGV[2] or (c.owner and c.owner ~= "" and c.owner ~= ARGV[1]) then return 0 end
redis.call("HSET", key, "value", ARGV[3], "valueFence", ARGV[2], "state", "")
remember(ARGV[4])
if ARGV[5] == "1" then redis.call("HSET", key, "owner", "") end
return 1
`
  }
).withReturnType<number>()

const end = Redis.script(
  (key: string, lease: Holder, state: "kept" | "refused" | "ambiguous") => [...holder(key, lease), state],
  {
    numberOfKeys: 1,
    lua: `${prelude}
load("fence", "owner", "until")
if not isHolder(ARGV[1], ARGV[2]) then return 0 end
if ARGV[3] == "kept" then redis.call("HSET", key, "owner", "", "state", "") end
if ARGV[3] == "refused" then redis.call("HSET", key, "owner", "", "state", "refused") end
-- The owner stays, so that a late answer can be saved.
if ARGV[3] == "ambiguous" then redis.call("HSET", key, "until", "0") end
return 1
`
  }
).withReturnType<number>()

const release = Redis.script((key: string, owner: string) => [key, owner], {
  numberOfKeys: 1,
  lua: `
if redis.call("HGET", KEYS[1], "owner") ~= ARGV[1] or redis.call("HGET", KEYS[1], "state") == "sent" then return 0 end
redis.call("HSET", KEYS[1], "owner", "")
return 1
`
}).withReturnType<number>()

const renew = Redis.script(
  (key: string, lease: Holder, millis: number) => [...holder(key, lease), millis],
  {
    numberOfKeys: 1,
    lua: `${prelude}
load("fence", "owner")
if not isHolder(ARGV[1], ARGV[2]) then return 0 end
redis.call("HSET", key, "until", int(now + tonumber(ARGV[3])))
return 1
`
  }
).withReturnType<number>()

const seize = Redis.script((key: string, owner: string, lease: number) => [key, owner, lease], {
  numberOfKeys: 1,
  lua: `${prelude}
load("fence")
return grant(ARGV[1], tonumber(ARGV[2]))
`
}).withReturnType<string>()

const unmark = Redis.script((key: string) => [key], {
  numberOfKeys: 1,
  lua: `
if redis.call("HGET", KEYS[1], "state") ~= "sent" then return 0 end
redis.call("HSET", KEYS[1], "state", "", "owner", "")
return 1
`
}).withReturnType<number>()

const read = Redis.script((key: string) => [key], {
  numberOfKeys: 1,
  lua: `${prelude}
load("valueFence")
return { value() or "", c.valueFence or "0" }
`
}).withReturnType<ReadonlyArray<unknown>>()

/** Every script, by the operation that it performs. */
export const refreshScripts = { begin, mark, write, end, release, renew, seize, unmark, read } as const
