/**
 * Rate limits of buckets: in this process, or in Redis for all processes.
 *
 * Limits count the requests that they admit, and no others: a request is counted in all limits that it meets, or in none. In this
 * process the clock is monotonic and the count is exact to the nanosecond; in Redis the clock is that of the server, in microseconds.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Redis from "effect/persistence/Redis"
import type * as Scope from "effect/Scope"
import type { RateLimit } from "./BucketOptions.ts"
import { type LocalLimits, localLimits } from "./internal/limits/localLimits.ts"
import type { LimitName, Rejection } from "./internal/limits/rejection.ts"
import { type SharedLimits, sharedLimits } from "./internal/limits/sharedLimits.ts"
import type { RateLimitStore } from "./RateLimitOptions.ts"

export type { LimitName, Rejection }

/**
 * The limits of a bucket in this process, which decide at once. A member is `undefined` where the bucket has no such limit: nothing is
 * then to be asked.
 */
export interface BucketLimits extends LocalLimits {
  /**
   * `perAddress`, by the name of `NodeAccessRules.rateKey`. Ask it before the token is checked, so that junk tokens use up no one
   * else's rate.
   */
  readonly address: ((address: string) => Rejection | undefined) | undefined
  /**
   * `perUser` and `perBucket` together, after the token was checked. The user is the issuer and the subject of the token;
   * `undefined` in a public bucket.
   */
  readonly caller: ((user: string | undefined) => Rejection | undefined) | undefined
}

/** The limits of a bucket that several processes share. They never fail. */
export interface SharedBucketLimits extends SharedLimits {
  /** As in `BucketLimits`. */
  readonly address: ((address: string) => Effect.Effect<Rejection | undefined>) | undefined
  /** As in `BucketLimits`. */
  readonly caller: ((user: string | undefined) => Effect.Effect<Rejection | undefined>) | undefined
}

/** Makes the limits of a bucket, by its name and its option `rateLimit`. Call it once for each bucket. */
export type MakeLimits<L> = (bucket: string, options: RateLimit) => L

/**
 * Limits in this process. The users and addresses of all buckets share one memory of `maxEntries`; the one that was seen longest ago is
 * forgotten, and then begins anew. The count of a whole bucket is never forgotten.
 *
 * **Example** (Two requests per second for each address)
 *
 * ```ts import.meta.vitest
 * import { RateLimits } from "@keelson/gateway"
 * import { Clock, Effect } from "effect"
 *
 * const clock = await Effect.runPromise(Clock.Clock)
 * const limitsOf = RateLimits.local(clock, { maxEntries: 1000, fallback: "local" })
 * const { address } = limitsOf("products", { algorithm: "slidingWindow", perAddress: "2 per second" })
 *
 * const rejections = [1, 2, 3].map(() => address?.("192.0.2.7"))
 * rejections // => [undefined, undefined, { limit: "perAddress", retryAfter: 1 }]
 * ```
 */
export const local = (clock: Clock.Clock, { maxEntries }: RateLimitStore): MakeLimits<BucketLimits> =>
  localLimits(clock, maxEntries)

/**
 * Limits in Redis, which all processes share. One script asks and counts all limits of a request.
 *
 * While Redis is down or too slow, `fallback` decides: by counts of this process, or all requests or none are admitted. Each outage is
 * logged once, as a warning. After a failure, requests ask Redis again after a second, one of them first.
 */
export const shared = <E>(
  redis: Layer.Layer<Redis.Redis, E>,
  options: RateLimitStore
): Effect.Effect<MakeLimits<SharedBucketLimits>, never, Scope.Scope> =>
  Effect.flatMap(Clock.Clock, (clock) =>
    sharedLimits(redis, {
      clock,
      fallback: options.fallback,
      local: localLimits(clock, options.maxEntries),
      prefix: options.redis?.prefix ?? "keelson:rate:",
      timeout: options.redis?.timeout ?? Duration.millis(250)
    }))
