import * as ErrorCode from "@keelson/core/ErrorCode"
import * as Metrics from "@keelson/core/Metrics"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { allCodes } from "../../TokenError.ts"
import type { Validation } from "./validation.ts"

/** Registers the metrics of a validator for as long as the scope is open. */
export const countValidations = <C>(
  { cache, counts, parts: { id } }: Validation<C>
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.all([
    Metrics.register("tokenValidations", { validator: id, result: "accepted" }, () => counts.accepted),
    ...allCodes.map((code) =>
      Metrics.register(
        "tokenValidations",
        { validator: id, result: ErrorCode.codeInfo[code].id },
        () => counts.refused.get(code) ?? 0
      )
    ),
    Metrics.register("tokenCacheHits", { validator: id }, () => counts.hits),
    Metrics.register("tokenCacheMisses", { validator: id }, () => counts.misses),
    Metrics.register("tokenCacheEntries", { validator: id }, () => cache?.entries ?? 0),
    Metrics.register("tokenCacheBytes", { validator: id }, () => cache?.bytes ?? 0)
  ], { discard: true })
