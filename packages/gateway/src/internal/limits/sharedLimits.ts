import { waitAtMost } from "@keelson/core/unstable/Bounded"
import * as RedisConnection from "@keelson/core/unstable/RedisConnection"
import type * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redis from "effect/persistence/Redis"
import type * as Scope from "effect/Scope"
import type { RateLimit } from "../../BucketOptions.ts"
import { parseRate } from "../config/rate.ts"
import type { LocalLimits } from "./localLimits.ts"
import { admit, type RedisLimit } from "./redisScript.ts"
import { type LimitName, type Rejection, rejectionOf } from "./rejection.ts"

/** Limits that several processes share. A member is absent where the option is. */
export interface SharedLimits {
  readonly address: ((address: string) => Effect.Effect<Rejection | undefined>) | undefined
  readonly caller: ((user: string | undefined) => Effect.Effect<Rejection | undefined>) | undefined
}

/** What shared limits need. */
interface Settings {
  readonly clock: Clock.Clock
  readonly fallback: "local" | "allow" | "reject"
  readonly local: (bucket: string, options: RateLimit) => LocalLimits
  readonly prefix: string
  readonly timeout: Duration.Duration
}

/** A limit with the member that names it. */
interface Named extends RedisLimit {
  readonly name: LimitName
}

const warnings = {
  local: "Redis for rate limits is down or too slow; each process counts by itself",
  allow: "Redis for rate limits is down or too slow; requests are admitted without a limit",
  reject: "Redis for rate limits is down or too slow; requests with a limit are rejected"
} as const

/** How long requests do not ask Redis after a failure: all would wait for its time-out. In nanoseconds. */
const pause = 1_000_000_000n

/** The limit of an option; `undefined` where it is not set. The rate is in its key, so that another rate counts anew. */
const limitOf = (
  { algorithm, ...rates }: RateLimit,
  name: LimitName,
  prefix: string
): ((id: string) => Named) | undefined => {
  const rate = parseRate(rates[name] ?? "")
  if (rate === undefined) return undefined
  const begin = `${prefix}${name}:${algorithm}:${rate.limit}:${rate.windowMillis}:`
  return (id) => ({ name, algorithm, limit: rate.limit, windowMillis: rate.windowMillis, key: begin + id })
}

/** Makes the limits of buckets in Redis. */
export const sharedLimits = Effect.fnUntraced(function*<E>(
  redis: Layer.Layer<Redis.Redis, E>,
  { clock, fallback, local, prefix, timeout }: Settings
): Effect.fn.Return<(bucket: string, options: RateLimit) => SharedLimits, never, Scope.Scope> {
  const warning = warnings[fallback]
  const connection = yield* RedisConnection.connectInBackground(redis, warning)
  const run = connection.eval(admit)
  let askAgain = 0n

  const instead = (decide: () => Rejection | undefined, name: LimitName): Rejection | undefined => {
    if (fallback === "local") return decide()
    return fallback === "allow" ? undefined : rejectionOf(name, 0)
  }

  const ask = (limits: ReadonlyArray<Named>, decide: () => Rejection | undefined) => {
    const [first] = limits
    if (first === undefined) return Effect.undefined
    return Effect.suspend(() => {
      const now = clock.monotonicTimeNanosUnsafe()
      if (now < askAgain) return Effect.succeed(instead(decide, first.name))
      const failed = Effect.suspend(() => {
        askAgain = clock.monotonicTimeNanosUnsafe() + pause
        return Effect.as(connection.warnOnce(warning), instead(decide, first.name))
      })
      // While Redis fails, the others do not wait for the request that asks again.
      if (askAgain > 0n) askAgain = now + pause
      return waitAtMost(run(limits), timeout).pipe(
        Effect.flatMap(Option.match({
          onNone: () => failed,
          onSome: ([place, micros]) => {
            askAgain = 0n
            const limit = limits[place - 1]
            return Effect.succeed(limit === undefined ? undefined : rejectionOf(limit.name, Number(micros) * 1000))
          }
        })),
        Effect.catch(() => failed),
        Effect.catchDefect(() => failed)
      )
    })
  }

  return (bucket, options) => {
    const own = local(bucket, options)
    // One slot of a cluster has all counters of a bucket, as a script requires.
    const begin = `${prefix}{${bucket}}:`
    const [byAddress, byUser, byBucket] = [
      limitOf(options, "perAddress", begin),
      limitOf(options, "perUser", begin),
      limitOf(options, "perBucket", begin)
    ]
    return {
      address: byAddress === undefined
        ? undefined
        : (address) => ask([byAddress(address)], () => own.address?.(address)),
      caller: byUser === undefined && byBucket === undefined ? undefined : (user) =>
        ask([
          ...(byUser === undefined || user === undefined ? [] : [byUser(user)]),
          ...(byBucket === undefined ? [] : [byBucket("")])
        ], () => own.caller?.(user))
    }
  }
})
