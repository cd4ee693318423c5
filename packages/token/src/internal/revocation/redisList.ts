import { waitAtMost } from "@keelson/core/unstable/Bounded"
import type { Sender } from "@keelson/core/unstable/RedisConnection"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Identity } from "../../Revocation.ts"
import { hashText } from "../validation/platform.ts"
import { type RevocationEntry, revokes } from "./entry.ts"
import { makeNames } from "./redisNames.ts"

/**
 * Reads the values of keys, each truncated to one character more than a valid entry can have; `?` for a value that is not a
 * string. `MGET` would report a key of another type as missing, and return values of any size.
 */
const readScript = `
local values = {}
for place, key in ipairs(KEYS) do
  local value = redis.pcall('GET', key)
  if type(value) == 'table' then value = '?' end
  values[place] = value and string.sub(value, 1, 13)
end
return values`

/**
 * Sets a key to the last revoked `iat`, with a lifetime in milliseconds. Keeps the greater of the stored and the given value
 * of both, so that no revocation shortens another, and a stored value without an expiry gets none. Returns 0, and changes
 * nothing, where the stored value is not an entry.
 */
const writeScript = `
local issuedUntil, lifetime = tonumber(ARGV[1]), tonumber(ARGV[2])
local stored = redis.pcall('GET', KEYS[1])
if type(stored) == 'table' then return 0 end
if stored then
  if #stored > 12 or not string.find(stored, '^%d+$') then return 0 end
  issuedUntil = math.max(issuedUntil, tonumber(stored))
  local left = redis.call('PTTL', KEYS[1])
  if left < 0 then
    redis.call('SET', KEYS[1], string.format('%.0f', issuedUntil))
    return 1
  end
  lifetime = math.max(lifetime, left)
end
redis.call('SET', KEYS[1], string.format('%.0f', issuedUntil), 'PX', string.format('%.0f', lifetime))
return 1`

/** A valid stored entry. */
const storedEntry = /^\d{1,12}$/

/** The result of a call: a value, a failure, or an unreadable reply. */
export type StoreResult<A> = { readonly _tag: "value"; readonly value: A } | { readonly _tag: "failed" | "unreadable" }

const failed = { _tag: "failed" } as const
const unreadable = { _tag: "unreadable" } as const

const findRevocation = (values: unknown, names: ReadonlyArray<string>, token: Identity): StoreResult<boolean> => {
  if (!Array.isArray(values) || values.length !== names.length) return unreadable
  let isReadable = true
  for (const value of values) {
    if (value === null) continue
    if (typeof value !== "string" || !storedEntry.test(value)) isReadable = false
    else if (revokes(Number(value), token)) return { _tag: "value", value: true }
  }
  return isReadable ? { _tag: "value", value: false } : unreadable
}

/** The list in Redis. Each call is one round trip, and waits no longer than the timeout. */
export const makeRedisList = (
  redis: Sender,
  { prefix, timeout }: { readonly prefix: string; readonly timeout: Duration.Duration }
) => {
  const { nameOf, namesOf } = makeNames(prefix, hashText)
  const run = <A>(
    script: string,
    names: ReadonlyArray<string>,
    args: ReadonlyArray<string>,
    read: (reply: unknown) => StoreResult<A>
  ): Effect.Effect<StoreResult<A>> =>
    // A defect of the client must not end its caller.
    Effect.suspend(() => waitAtMost(redis.send("EVAL", script, String(names.length), ...names, ...args), timeout)).pipe(
      Effect.map(Option.match({ onNone: () => failed, onSome: read })),
      Effect.catch(() => Effect.succeed(failed)),
      Effect.catchDefect(() => Effect.succeed(failed))
    )
  return {
    /** Whether an entry revokes a token. */
    has: (token: Identity): Effect.Effect<StoreResult<boolean>> =>
      Effect.flatMap(namesOf(token), (names) =>
        // A token without any of the claims cannot be revoked.
        names.length === 0
          ? Effect.succeed({ _tag: "value", value: false })
          : run(readScript, names, [], (values) => findRevocation(values, names, token))),
    /** Adds an entry. */
    add: (entry: RevocationEntry): Effect.Effect<StoreResult<void>> =>
      Effect.flatMap(nameOf(entry), (name) =>
        run(
          writeScript,
          [name],
          [String(entry.issuedUntil), String(Math.ceil(entry.lifetime))],
          (reply) => reply === 1 ? { _tag: "value", value: undefined } : unreadable
        ))
  }
}
