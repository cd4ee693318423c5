/** The status of a key set: its state, times, counts and health. */
import * as ErrorCode from "@keelson/core/ErrorCode"
import * as Schema from "effect/Schema"
import { SkipReason } from "./Jwk.ts"

/**
 * - `ok`: neither of the following.
 * - `degraded`: at least two consecutive fetches failed, and the keys are still fresh.
 * - `bad`: the keys are stale and their first refresh is not running within its deadline, or no keys are available although a lookup requested them.
 */
const Health = Schema.Literals(["ok", "degraded", "bad"])
export type Health = typeof Health.Type

/** Counts since the provider started. `hits` + `misses` = `requests`, whatever the outcome. */
const Counts = Schema.Struct({
  requests: Schema.Number,
  /** Lookups answered immediately from memory. */
  hits: Schema.Number,
  misses: Schema.Number,
  /** Hits answered with keys past their lifetime. */
  stale: Schema.Number,
  /** Completed fetches, successful or failed. */
  refreshes: Schema.Number,
  /** Completed fetches that the provider answered with 304. */
  notModified: Schema.Number,
  /** Fetches whose attempts all failed. */
  errors: Schema.Number,
  /** Lookups of unknown keys for which the limit suppressed a fetch. */
  floodLimited: Schema.Number
})
export type Counts = typeof Counts.Type

/**
 * Wall-clock times are UTC. The status contains no key id.
 *
 * **Example** (A status as JSON)
 *
 * ```ts import.meta.vitest
 * import { FetchEgress, JwksCache, JwksStatus } from "@keelson/jwks"
 * import { Effect, Schema } from "effect"
 *
 * const status = Effect.gen(function*() {
 *   const cache = yield* JwksCache.make({ issuer: "https://idp.example", prefetch: false })
 *   return Schema.encodeSync(JwksStatus.JwksStatus)(yield* cache.status)
 * })
 * const egress = FetchEgress.layer({ allowedHosts: ["idp.example"] })
 * const json = await Effect.runPromise(Effect.scoped(Effect.provide(status, egress)))
 * json.metrics.requests // => 0
 * ```
 */
export const JwksStatus = Schema.Struct({
  state: Schema.Literals(["Empty", "Loading", "Ready", "Refreshing"]),
  health: Health,
  /** When the provider last confirmed the keys. */
  lastRefresh: Schema.optionalKey(Schema.DateTimeUtcFromString),
  /** When the next scheduled fetch is due. */
  nextRefresh: Schema.optionalKey(Schema.DateTimeUtcFromString),
  /** The end of the keys' lifetime. The keys continue to verify tokens until `staleUntil`. */
  expiresAt: Schema.optionalKey(Schema.DateTimeUtcFromString),
  staleUntil: Schema.optionalKey(Schema.DateTimeUtcFromString),
  /** Consecutive failures. */
  errorCount: Schema.Number,
  lastFailure: Schema.optionalKey(ErrorCode.ErrorCode),
  /** The generation of the current set. */
  generation: Schema.Number,
  keys: Schema.Number,
  /** The skipped keys of the last document, also if it had no usable key: their index, and the reason. */
  skipped: Schema.Array(Schema.Struct({ index: Schema.Number, reason: SkipReason })),
  /** hits / requests, from 0 to 1; 0 without requests. */
  hitRate: Schema.Number,
  /** stale / hits, from 0 to 1; 0 without hits. */
  staleServeRatio: Schema.Number,
  /**
   * How many seconds the provider's clock is ahead of the local clock. Absent if the provider's responses state no
   * time.
   */
  clockSkewSeconds: Schema.optionalKey(Schema.Number),
  metrics: Counts
})
export type JwksStatus = typeof JwksStatus.Type
