/** The records of used proofs: in this process, and in Redis. */
import * as Instant from "@keelson/core/unstable/Instant"
import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import { connectInBackground } from "@keelson/core/unstable/RedisConnection"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Redis from "effect/persistence/Redis"
import type * as Scope from "effect/Scope"
import type * as ProofReplays from "../../ProofReplays.ts"
import { andThen, digestOf } from "../validation/digest.ts"
import { hashText } from "../validation/platform.ts"
import { addToRedis, type StoreResult } from "./redisReplays.ts"
import { failReplaysFull, failReplayStore } from "./replaysUnavailable.ts"
import { type ReplayResult, ReplayWindow } from "./replayWindow.ts"

type Service = ProofReplays.ProofReplays["Service"]

const results = { new: Effect.succeed(true), used: Effect.succeed(false), full: failReplaysFull } as const

const outcome = (result: ReplayResult) => results[result]

const digest = digestOf(hashText)

/** A name for a proof that is short, whatever the client chose, and contains nothing of it. */
const hashOf = ({ jkt, jti }: ProofReplays.UsedProof): string | Promise<string> => digest(JSON.stringify([jkt, jti]))

/** Longer identifiers are hashed, so that a record in memory has a bound. */
const maxPlainLength = 64

const idOf = (proof: ProofReplays.UsedProof): string | Promise<string> =>
  proof.jti.length > maxPlainLength ? hashOf(proof) : `${proof.jkt} ${proof.jti}`

/** A record in this process, without a metric. */
export const replaysOf = (window: ReplayWindow): Service => ({
  add: (proof) =>
    Effect.withFiber((fiber) =>
      andThen(idOf(proof), (id) => outcome(window.add(id, proof.end, fiber.getRef(Clock.Clock))))
    )
})

/** A record in this process, with the metric of its entries. */
export const makeMemoryReplays = Effect.fnUntraced(
  function*({ maxEntries }: ProofReplays.Memory): Effect.fn.Return<Service, never, Scope.Scope> {
    const window = new ReplayWindow(maxEntries)
    const clock = yield* Clock.Clock
    yield* MetricSeries.register("dpopReplayEntries", { store: "memory" }, () => window.entries(clock))
    return replaysOf(window)
  }
)

const warnings = {
  refuse: "Redis record of DPoP proofs unavailable; rejecting requests with proofs",
  local: "Redis record of DPoP proofs unavailable; detecting replays at this process only"
}

/** The minimum time between two warnings, in milliseconds. */
const warnInterval = 60_000

/** Counts failed calls, and logs a warning at most once per interval. */
const makeFailureLog = Effect.fnUntraced(function*(warning: string) {
  let failures = 0
  let quietUntil: Instant.Instant | undefined
  yield* MetricSeries.register("dpopReplayStoreFailures", {}, () => failures)
  return (result: StoreResult): Effect.Effect<void> => {
    if (result !== "failed") return Effect.void
    failures++
    return Effect.clockWith((clock) => {
      if (quietUntil !== undefined && !Instant.hasCome(quietUntil, clock)) return Effect.void
      quietUntil = Instant.after(Instant.now(clock), warnInterval)
      return Effect.logWarning(warning)
    })
  }
})

/**
 * A record that processes share in Redis. With `onStoreFailure: "local"` the proofs used at this process are recorded here too,
 * so that an outage of Redis makes none of them usable again here.
 */
export const makeRedisReplays = Effect.fnUntraced(
  function*<E>(
    options: ProofReplays.RedisStore,
    layer: Layer.Layer<Redis.Redis, E>
  ): Effect.fn.Return<Service, never, Scope.Scope> {
    const redis = yield* connectInBackground(layer, "Redis record of DPoP proofs not connected")
    const record = yield* makeFailureLog(warnings[options.onStoreFailure])
    const own = options.onStoreFailure === "local" ? new ReplayWindow(options.maxEntries) : undefined
    const clock = yield* Clock.Clock
    if (own !== undefined) {
      yield* MetricSeries.register("dpopReplayEntries", { store: "redis" }, () => own.entries(clock))
    }
    return {
      add: (proof) =>
        andThen(hashOf(proof), (id) =>
          Effect.withFiber((fiber) => {
            const clock = fiber.getRef(Clock.Clock)
            const here = own?.add(id, proof.end, clock)
            if (here === "used") return results.used
            return Effect.flatMap(
              addToRedis(redis, options, id, proof.end - clock.currentTimeMillisUnsafe()),
              (result) => {
                if (result !== "failed") return results[result]
                return Effect.andThen(record(result), here === undefined ? failReplayStore : outcome(here))
              }
            )
          }))
    }
  }
)
