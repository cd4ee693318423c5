import { waitAtMost } from "@keelson/core/unstable/Bounded"
import type { Sender } from "@keelson/core/unstable/RedisConnection"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Identity } from "../../Revocation.ts"
import { hashText } from "../validation/platform.ts"
import { type Entry, isMeant } from "./entry.ts"
import { makeNames } from "./redisNames.ts"

/**
 * What is under keys, each cut to one character more than a second of `iat` may have; `?` where it is no text. `MGET` would
 * tell a key of another type as one that is not there, and send whatever is in it.
 */
const readScript = `
local found = {}
for place, key in ipairs(KEYS) do
  local value = redis.pcall('GET', key)
  if type(value) == 'table' then value = '?' end
  found[place] = value and string.sub(value, 1, 13)
end
return found`

/**
 * Sets a key to the last second of `iat` that is meant, for so many milliseconds: both the greater of what is there and
 * what is given, so that no revocation shortens another, nor ends one that somebody made to stay for good. What is not
 * one of ours stays, and is told by 0.
 */
const writeScript = `
local issuedUntil, life = tonumber(ARGV[1]), tonumber(ARGV[2])
local known = redis.pcall('GET', KEYS[1])
if type(known) == 'table' then return 0 end
if known then
  if #known > 12 or not string.find(known, '^%d+$') then return 0 end
  issuedUntil = math.max(issuedUntil, tonumber(known))
  local left = redis.call('PTTL', KEYS[1])
  if left < 0 then
    redis.call('SET', KEYS[1], string.format('%.0f', issuedUntil))
    return 1
  end
  life = math.max(life, left)
end
redis.call('SET', KEYS[1], string.format('%.0f', issuedUntil), 'PX', string.format('%.0f', life))
return 1`

/** What a stored entry may be. */
const stored = /^\d{1,12}$/

/** What became of a call: an answer, none, or one that can't be read. */
export type Answer<A> = { readonly _tag: "answer"; readonly value: A } | { readonly _tag: "failed" | "unreadable" }

const failed = { _tag: "failed" } as const
const unreadable = { _tag: "unreadable" } as const

const judge = (values: unknown, names: ReadonlyArray<string>, token: Identity): Answer<boolean> => {
  if (!Array.isArray(values) || values.length !== names.length) return unreadable
  let isReadable = true
  for (const value of values) {
    if (value === null) continue
    if (typeof value !== "string" || !stored.test(value)) isReadable = false
    else if (isMeant(Number(value), token)) return { _tag: "answer", value: true }
  }
  return isReadable ? { _tag: "answer", value: false } : unreadable
}

/** The list in Redis: one round trip for each call, which waits no longer than the timeout. */
export const makeRedisList = (
  redis: Sender,
  { prefix, timeout }: { readonly prefix: string; readonly timeout: Duration.Duration }
) => {
  const { nameOf, namesOf } = makeNames(prefix, hashText)
  const run = <A>(
    script: string,
    names: ReadonlyArray<string>,
    args: ReadonlyArray<string>,
    read: (reply: unknown) => Answer<A>
  ): Effect.Effect<Answer<A>> =>
    // A client that dies is no reason for its caller to.
    Effect.suspend(() => waitAtMost(redis.send("EVAL", script, String(names.length), ...names, ...args), timeout)).pipe(
      Effect.map(Option.match({ onNone: () => failed, onSome: read })),
      Effect.catch(() => Effect.succeed(failed)),
      Effect.catchDefect(() => Effect.succeed(failed))
    )
  return {
    /** Whether an entry means a token. */
    has: (token: Identity): Effect.Effect<Answer<boolean>> =>
      Effect.flatMap(namesOf(token), (names) =>
        // Nothing can be revoked of a token that has no name.
        names.length === 0
          ? Effect.succeed({ _tag: "answer", value: false })
          : run(readScript, names, [], (values) => judge(values, names, token))),
    /** Adds an entry. */
    add: (entry: Entry): Effect.Effect<Answer<void>> =>
      Effect.flatMap(nameOf(entry), (name) =>
        run(
          writeScript,
          [name],
          [String(entry.issuedUntil), String(Math.ceil(entry.life))],
          (reply) => reply === 1 ? { _tag: "answer", value: undefined } : unreadable
        ))
  }
}
