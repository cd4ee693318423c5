/** How a key set is: its state, times, counts and health. */
import * as ErrorCode from "@keelson/core/ErrorCode"
import * as Schema from "effect/Schema"
import { SkipReason } from "./Jwk.ts"

/**
 * `ok`; `degraded` after two failures in a row, with keys still fresh; `bad` with stale keys, or none though they were
 * asked for.
 */
export const Health = Schema.Literals(["ok", "degraded", "bad"])
export type Health = typeof Health.Type

/** Counts since the start. `hits` + `misses` = `requests`, whatever the outcome. */
export const Counts = Schema.Struct({
  requests: Schema.Number,
  /** Lookups answered at once from memory. */
  hits: Schema.Number,
  misses: Schema.Number,
  /** Hits past the lifetime. */
  stale: Schema.Number,
  /** Fetches that ended, of either outcome. */
  refreshes: Schema.Number,
  /** Of them, those answered with 304. */
  notModified: Schema.Number,
  /** Fetches that failed with all their attempts. */
  errors: Schema.Number,
  /** Unknown keys that were not allowed to ask. */
  floodLimited: Schema.Number
})
export type Counts = typeof Counts.Type

/** Wall-clock times are UTC. Nothing here names a key. */
export const JwksStatus = Schema.Struct({
  state: Schema.Literals(["Empty", "Loading", "Ready", "Refreshing"]),
  health: Health,
  /** When the provider last confirmed the keys. */
  lastRefresh: Schema.optionalKey(Schema.DateTimeUtcFromString),
  /** When the next fetch is due by itself. */
  nextRefresh: Schema.optionalKey(Schema.DateTimeUtcFromString),
  /** The end of the lifetime; the keys go on verifying until `staleUntil`. */
  expiresAt: Schema.optionalKey(Schema.DateTimeUtcFromString),
  staleUntil: Schema.optionalKey(Schema.DateTimeUtcFromString),
  /** Failures in a row. */
  errorCount: Schema.Number,
  lastFailure: Schema.optionalKey(ErrorCode.ErrorCode),
  /** Of the set that is held. */
  generation: Schema.Number,
  keys: Schema.Number,
  /** Keys of its document that were skipped: their place, and why. */
  skipped: Schema.Array(Schema.Struct({ index: Schema.Number, reason: SkipReason })),
  /** hits / requests, from 0 to 1; 0 without requests. */
  hitRate: Schema.Number,
  /** stale / hits, from 0 to 1; 0 without hits. */
  staleServeRatio: Schema.Number,
  /** How many seconds the provider's clock is ahead of ours. Absent if the provider's responses state no time. */
  clockSkewSeconds: Schema.optionalKey(Schema.Number),
  metrics: Counts
})
export type JwksStatus = typeof JwksStatus.Type
