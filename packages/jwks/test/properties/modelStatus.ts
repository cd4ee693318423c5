/** Checks the status of the cache in the model test. */
import { DateTime } from "effect"
import type { JwksStatus } from "../../src/JwksStatus.ts"
import { check, isReached, type Model, trusted } from "./model.ts"

const isShare = (share: number, part: number, whole: number): boolean =>
  share >= 0 && share <= 1 && share === (whole === 0 ? 0 : part / whole)

/** The health is bad during a first fetch that takes too long, and not yet during the first refresh of expired keys. */
const isHealth = (model: Model, health: JwksStatus["health"]): boolean =>
  health === healthOf(model) || (health === "bad" && model.phase === "Loading") ||
  (health === "ok" && model.phase === "Refreshing" && model.failures === 0)

const healthOf = (model: Model): JwksStatus["health"] => {
  if (model.cached === undefined) return model.failures > 0 ? "bad" : "ok"
  if (isReached(model.cached.expiresAt, model.now())) return "bad"
  return model.failures > 1 ? "degraded" : "ok"
}

/** The status agrees with the model, and its counts with each other. */
export const checkStatus = (model: Model, status: JwksStatus, lookups: number): void => {
  const { metrics } = status
  const cached = trusted(model)
  // Keys past their stale deadline do not count, even before a transition reports it.
  const phase = model.cached !== undefined && cached === undefined ? "Empty" : model.phase
  check(model, status.state === phase, `S1-09: the state is ${status.state}, and no transition led to it`)
  const hasKeys = status.state === "Ready" || status.state === "Refreshing"
  check(model, hasKeys === (cached !== undefined), `S1-09: ${status.state} with keys ${cached !== undefined}`)
  check(model, status.keys === (cached?.keys.length ?? 0), "S1-31: number of keys")
  check(model, status.errorCount === model.failures, "S1-18: failures in a row")
  check(model, isHealth(model, status.health), `S1-38: health is ${status.health}`)
  const isFresh = status.expiresAt !== undefined && DateTime.toEpochMillis(status.expiresAt) > model.now().wall
  check(
    model,
    isFresh === (model.cached !== undefined && !isReached(model.cached.expiresAt, model.now())),
    "S1-31: the expiry"
  )
  const isTrusted = status.staleUntil !== undefined && DateTime.toEpochMillis(status.staleUntil) > model.now().wall
  check(model, isTrusted === (cached !== undefined), "S1-31: the stale deadline")
  check(
    model,
    metrics.hits + metrics.misses === lookups,
    `L7: ${metrics.hits} + ${metrics.misses} of ${lookups} lookups`
  )
  check(model, metrics.requests === lookups, "L7: requests")
  check(model, metrics.refreshes === model.succeeded + model.failed, "S1-32: refreshes")
  check(model, metrics.errors === model.failed, "S1-32: failed refreshes")
  check(model, metrics.notModified === model.notModified, "S1-32: refreshes answered with 304")
  check(model, metrics.stale <= metrics.hits, "S1-31: stale hits")
  check(model, isShare(status.hitRate, metrics.hits, metrics.requests), "S1-31: hit rate")
  check(model, isShare(status.staleServeRatio, metrics.stale, metrics.hits), "S1-31: share of stale hits")
}
