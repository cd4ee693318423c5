import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { CacheResult } from "./cacheStatus.ts"

/** Why a request was refused, as metrics name it. */
const refusalReasons = ["target", "address", "method", "rate", "token", "authorization", "upload"] as const
export type RefusalReason = (typeof refusalReasons)[number]

const results = ["hit", "miss", "revalidated", "stale", "bypass"] as const satisfies ReadonlyArray<CacheResult>
const fillResults = ["stored", "uncached", "broken", "aborted"] as const

/** How a fill ended. */
export type FillResult = (typeof fillResults)[number]

/** Counts of one bucket, in plain fields, which are read when metrics are read. */
export class BucketCounts {
  readonly results: Record<CacheResult, number> = { hit: 0, miss: 0, revalidated: 0, stale: 0, bypass: 0 }
  readonly refusals: Record<RefusalReason, number> = {
    target: 0,
    address: 0,
    method: 0,
    rate: 0,
    token: 0,
    authorization: 0,
    upload: 0
  }
  readonly fills: Record<FillResult, number> = { stored: 0, uncached: 0, broken: 0, aborted: 0 }
  /** Answers that the store had no good response for. */
  failures = 0

  /** Registers the metrics for as long as the scope is open. */
  register(bucket: string): Effect.Effect<void, never, Scope.Scope> {
    return Effect.all([
      ...results.map((result) =>
        MetricSeries.register("gatewayRequests", { bucket, result }, () => this.results[result])
      ),
      ...refusalReasons.map((reason) =>
        MetricSeries.register("gatewayRefusals", { bucket, reason }, () => this.refusals[reason])
      ),
      ...fillResults.map((result) =>
        MetricSeries.register("gatewayFills", { bucket, result }, () => this.fills[result])
      ),
      MetricSeries.register("gatewayStoreFailures", { bucket }, () => this.failures)
    ], { discard: true })
  }
}
