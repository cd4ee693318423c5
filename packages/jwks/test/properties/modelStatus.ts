/** Checks the status of the cache in the model test. */
import { DateTime } from "effect"
import type { JwksStatus } from "../../src/JwksStatus.ts"
import { isReached, type Model, must, trusted } from "./model.ts"

const isShare = (share: number, part: number, whole: number): boolean =>
  share >= 0 && share <= 1 && share === (whole === 0 ? 0 : part / whole)

/** The health is bad during a first fetch that takes too long, and not yet during the first refresh of expired keys. */
const isHealth = (model: Model, health: JwksStatus["health"]): boolean =>
  health === healthOf(model) || (health === "bad" && model.phase === "Loading") ||
  (health === "ok" && model.phase === "Refreshing" && model.failures === 0)

const healthOf = (model: Model): JwksStatus["health"] => {
  if (model.held === undefined) return model.failures > 0 ? "bad" : "ok"
  if (isReached(model.held.expiresAt, model.now())) return "bad"
  return model.failures > 1 ? "degraded" : "ok"
}

/** The status agrees with the model, and its counts with each other. */
export const statusAgrees = (model: Model, status: JwksStatus, lookups: number): void => {
  const { metrics } = status
  const held = trusted(model)
  // Keys past their stale deadline do not count, even before a transition reports it.
  const phase = model.held !== undefined && held === undefined ? "Empty" : model.phase
  must(model, status.state === phase, `S1-09: the state is ${status.state}, and no transition led to it`)
  const isHolding = status.state === "Ready" || status.state === "Refreshing"
  must(model, isHolding === (held !== undefined), `S1-09: ${status.state} with keys ${held !== undefined}`)
  must(model, status.keys === (held?.keys.length ?? 0), "S1-31: number of keys")
  must(model, status.errorCount === model.failures, "S1-18: failures in a row")
  must(model, isHealth(model, status.health), `S1-38: health is ${status.health}`)
  const isFresh = status.expiresAt !== undefined && DateTime.toEpochMillis(status.expiresAt) > model.now().wall
  must(
    model,
    isFresh === (model.held !== undefined && !isReached(model.held.expiresAt, model.now())),
    "S1-31: the expiry"
  )
  const isTrusted = status.staleUntil !== undefined && DateTime.toEpochMillis(status.staleUntil) > model.now().wall
  must(model, isTrusted === (held !== undefined), "S1-31: the stale deadline")
  must(
    model,
    metrics.hits + metrics.misses === lookups,
    `L7: ${metrics.hits} + ${metrics.misses} of ${lookups} lookups`
  )
  must(model, metrics.requests === lookups, "L7: requests")
  must(model, metrics.refreshes === model.succeeded + model.failed, "S1-32: refreshes")
  must(model, metrics.errors === model.failed, "S1-32: failed refreshes")
  must(model, metrics.notModified === model.notModified, "S1-32: refreshes answered with 304")
  must(model, metrics.stale <= metrics.hits, "S1-31: stale hits")
  must(model, isShare(status.hitRate, metrics.hits, metrics.requests), "S1-31: hit rate")
  must(model, isShare(status.staleServeRatio, metrics.stale, metrics.hits), "S1-31: share of stale hits")
}
