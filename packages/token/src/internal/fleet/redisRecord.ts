import * as ErrorCode from "@keelson/core/ErrorCode"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { Reply, SharedFailure, SharedValue, TokenRecord } from "./record.ts"
import { scripts } from "./scripts.ts"
import type { IgnoredReason, Seal } from "./seal.ts"
import type { StoreCalls } from "./storeCalls.ts"

/** A token as text, before it is encrypted. */
const encodeValue = ({ accessToken, lifetime, scope }: SharedValue, issuedAt: number): string =>
  JSON.stringify({ accessToken: Redacted.value(accessToken), lifetime, scope, issuedAt: Math.floor(issuedAt) })

/** How far the clock of the store may go back, as in a failover, before its values count as wrong. In milliseconds. */
const clockTolerance = 30_000

interface Opened {
  readonly value: SharedValue
  readonly age: number
}

const isCount = (value: unknown): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0

const decodeValue = (text: string, now: number): Result.Result<Opened, IgnoredReason> => {
  const json = Result.getOrUndefined(Result.try((): unknown => JSON.parse(text)))
  if (!Predicate.hasProperty(json, "accessToken") || typeof json.accessToken !== "string") return Result.fail("content")
  const lifetime = Predicate.hasProperty(json, "lifetime") ? json.lifetime : undefined
  const issuedAt = Predicate.hasProperty(json, "issuedAt") ? json.issuedAt : undefined
  const scope = Predicate.hasProperty(json, "scope") ? json.scope : undefined
  if (!isCount(lifetime) || !isCount(issuedAt)) return Result.fail("content")
  if (issuedAt > now + clockTolerance) return Result.fail("clock")
  return Result.succeed({
    value: {
      accessToken: Redacted.make(json.accessToken),
      lifetime,
      scope: typeof scope === "string" ? scope : undefined
    },
    age: Math.max(0, now - issuedAt)
  })
}

const codes: ReadonlySet<string> = new Set(Object.keys(ErrorCode.codeInfo))
const isCode = (text: string): text is ErrorCode.ErrorCode => codes.has(text)

/** The form of an OAuth error that is repeated. Others are dropped: whoever can write to Redis must not write to the log. */
const errorForm = /^[a-z]{2,24}(?:_[a-z]{2,24}){0,5}$/

const failureOf = ([code = "", error = "", status = "", pause, count]: ReadonlyArray<string>): SharedFailure => ({
  code: isCode(code) ? code : "TOKEN_ACQUISITION_FAILED",
  error: errorForm.test(error) ? error : undefined,
  status: /^[1-5]\d\d$/.test(status) ? Number(status) : undefined,
  pause: Number(pause),
  count: Number(count)
})

/** The texts of a reply; `undefined` if it has anything else. */
const textsOf = (reply: unknown): ReadonlyArray<string> | undefined =>
  Array.isArray(reply) && reply.every((part): part is string => typeof part === "string") ? reply : undefined

type Parsed = Exclude<Reply, { readonly _tag: "token" }> | {
  readonly _tag: "sealed"
  readonly fence: number
  readonly sealed: string
  readonly now: number
}

const parse = (reply: unknown): Parsed | undefined => {
  const [tag, second = "", third = "", fourth = "", ...others] = textsOf(reply) ?? []
  const number = Number(second)
  switch (tag) {
    case "token":
      return isCount(number) ? { _tag: "sealed", fence: number, sealed: third, now: Number(fourth) } : undefined
    case "wait":
      return isCount(number) ? { _tag: "wait", millis: number } : undefined
    case "failed": {
      const failure = failureOf([second, third, fourth, ...others])
      return isCount(failure.pause) && isCount(failure.count) ? { _tag: "failed", failure } : undefined
    }
    case "lease":
      return isCount(number) && isCount(Number(fourth))
        ? { _tag: "lease", fence: number, at: Number(fourth) }
        : undefined
    case "unchanged":
    case "alone":
      return { _tag: tag }
    default:
      return undefined
  }
}

const countOf = (reply: unknown): number | undefined => isCount(reply) ? reply : undefined
const flagOf = (reply: unknown): boolean | undefined => reply === 1 ? true : reply === 0 ? false : undefined

/** What binds a stored token beside its key: the identity of the tokens, and the fencing number of the lease. */
const about = (identity: string, fence: number): string => JSON.stringify(["token", identity, fence])

/** The record in Redis, under a key, with its token encrypted. */
export const makeRedisRecord = (
  { ignore, run }: StoreCalls,
  seal: Seal,
  options: { readonly key: string; readonly identity: string; readonly lease: Duration.Duration }
): TokenRecord => {
  const { identity, key } = options
  const lease = Duration.toMillis(options.lease)
  const open = (fence: number, sealed: string, now: number): Effect.Effect<Reply> =>
    seal.open(sealed, about(identity, fence)).pipe(
      Effect.map(Result.flatMap((text) => decodeValue(text, now))),
      Effect.flatMap((opened): Effect.Effect<Reply> =>
        Result.isSuccess(opened)
          ? Effect.succeed({ _tag: "token", fence, ...opened.success })
          : Effect.as(ignore(opened.failure), { _tag: "token", fence, value: undefined, age: 0 })
      )
    )
  return {
    begin: (request) =>
      Effect.flatMap(
        run("begin", ({ eval: call }) => call(scripts.begin)(key, lease, request), parse),
        (parsed): Effect.Effect<Reply | undefined> =>
          parsed?._tag === "sealed" ? open(parsed.fence, parsed.sealed, parsed.now) : Effect.succeed(parsed)
      ),
    commit: (holder, value, issuedAt) =>
      Effect.flatMap(
        seal.close(encodeValue(value, issuedAt), about(identity, holder.fence)),
        (sealed) => run("commit", ({ eval: call }) => call(scripts.commit)(key, holder, sealed, value.lifetime), flagOf)
      ),
    fail: (holder, process, failure) =>
      run("settle", ({ eval: call }) => call(scripts.fail)(key, holder, process, failure), countOf),
    unshare: (holder) => Effect.asVoid(run("settle", ({ eval: call }) => call(scripts.unshare)(key, holder), flagOf)),
    release: (owner) => Effect.asVoid(run("settle", ({ eval: call }) => call(scripts.release)(key, owner), flagOf)),
    renew: (holder) => run("renew", ({ eval: call }) => call(scripts.renew)(key, holder, lease), flagOf),
    invalidate: (fence) =>
      Effect.asVoid(run("invalidate", ({ eval: call }) => call(scripts.invalidate)(key, fence), flagOf))
  }
}
