import * as Instant from "@keelson/core/unstable/Instant"
import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import { connectInBackground } from "@keelson/core/unstable/RedisConnection"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Redis from "effect/persistence/Redis"
import type * as Scope from "effect/Scope"
import type { Revocation } from "../../Revocation.ts"
import type * as RevocationOptions from "../../RevocationOptions.ts"
import { makeEntry } from "./entry.ts"
import { makeLocalList } from "./memoryRevocation.ts"
import { makeRedisList, type StoreResult } from "./redisList.ts"
import { failStore } from "./revocationUnavailable.ts"

const warnings = {
  refuse: "Redis revocation list unavailable; rejecting tokens",
  local: "Redis revocation list unavailable; using the revocations of this process only"
}
const unreadable = "Redis revocation list has an unreadable entry; rejecting tokens that it may revoke"

/** The minimum time between two warnings, in milliseconds. */
const warnInterval = 60_000

/** Counts failed calls, and logs a warning at most once per interval. */
const makeFailureLog = Effect.fnUntraced(function*(warning: string) {
  const failures = { check: 0, revoke: 0 }
  let quietUntil: Instant.Instant | undefined
  yield* MetricSeries.register("revocationStoreFailures", { operation: "check" }, () => failures.check)
  yield* MetricSeries.register("revocationStoreFailures", { operation: "revoke" }, () => failures.revoke)
  return <A>(operation: "check" | "revoke", { _tag }: StoreResult<A>): Effect.Effect<void> => {
    if (_tag === "value") return Effect.void
    failures[operation]++
    return Effect.clockWith((clock) => {
      if (quietUntil !== undefined && !Instant.hasCome(quietUntil, clock)) return Effect.void
      quietUntil = Instant.after(Instant.now(clock), warnInterval)
      return Effect.logWarning(_tag === "failed" ? warning : unreadable)
    })
  }
})

/**
 * Revocations shared by processes in Redis. A revocation of this process takes effect here immediately, and also holds here if
 * Redis fails or loses its data.
 */
export const makeRedisRevocation = Effect.fnUntraced(
  function*<E>(
    options: RevocationOptions.Redis,
    layer: Layer.Layer<Redis.Redis, E>
  ): Effect.fn.Return<Revocation["Service"], never, Scope.Scope> {
    const own = yield* makeLocalList(options, "redis")
    const redis = yield* connectInBackground(layer, "Redis revocation list not connected")
    const shared = makeRedisList(redis, options)
    const record = yield* makeFailureLog(warnings[options.onStoreFailure])
    const tolerance = Duration.toMillis(options.clockTolerance)
    return {
      isRevoked: (token) =>
        Effect.withFiber((fiber) =>
          own.has(token, fiber.getRef(Clock.Clock))
            ? Effect.succeed(true)
            : Effect.flatMap(
              Effect.tap(shared.has(token), (result) => record("check", result)),
              (result) => {
                if (result._tag === "value") return Effect.succeed(result.value)
                // An unreadable entry is not an outage: it may revoke this token.
                return result._tag === "failed" && options.onStoreFailure === "local"
                  ? Effect.succeed(false)
                  : failStore
              }
            )
        ),
      revoke: Effect.fn("Revocation.revoke")(function*(subject, until) {
        const clock = yield* Clock.Clock
        const entry = makeEntry(subject, until, tolerance, clock)
        if (entry.lifetime <= 0) return
        // Where the list of this process is full, the entry is in Redis alone, as are those of other processes.
        own.add(entry, clock)
        const result = yield* shared.add(entry)
        yield* record("revoke", result)
        if (result._tag !== "value") return yield* failStore
      })
    }
  }
)
