import * as Metrics from "@keelson/core/Metrics"
import * as Instant from "@keelson/core/unstable/Instant"
import { connectInBackground } from "@keelson/core/unstable/RedisConnection"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Redis from "effect/persistence/Redis"
import type * as Scope from "effect/Scope"
import type { Revocation } from "../../Revocation.ts"
import type { RedisOptions } from "../../RevocationOptions.ts"
import { entryOf } from "./entry.ts"
import { makeLocalList } from "./memoryRevocation.ts"
import { type Answer, makeRedisList } from "./redisList.ts"
import { storeFailed } from "./revocationUnavailable.ts"

const unanswered = {
  refuse: "The list of revocations did not answer as it should; tokens are refused meanwhile",
  local: "The list of revocations did not answer as it should; this process goes by what it revoked itself"
}
const foreign = "The list of revocations holds something that is not its own; tokens that it may mean are refused"

/** How long nothing more is logged, in milliseconds. */
const quiet = 60_000

/** Counts what fails, and logs some of it. */
const makeWatch = Effect.fnUntraced(function*(warning: string) {
  const failures = { check: 0, revoke: 0 }
  let quietUntil: Instant.Instant | undefined
  yield* Metrics.register("revocationStoreFailures", { operation: "check" }, () => failures.check)
  yield* Metrics.register("revocationStoreFailures", { operation: "revoke" }, () => failures.revoke)
  return <A>(operation: "check" | "revoke", { _tag }: Answer<A>): Effect.Effect<void> => {
    if (_tag === "answer") return Effect.void
    failures[operation]++
    return Effect.clockWith((clock) => {
      if (quietUntil !== undefined && !Instant.hasCome(quietUntil, clock)) return Effect.void
      quietUntil = Instant.after(Instant.now(clock), quiet)
      return Effect.logWarning(_tag === "failed" ? warning : foreign)
    })
  }
})

/**
 * Revocations that processes share in Redis. What is revoked here is known here at once, and stays so whatever becomes of
 * Redis: its answer is not waited for, and a Redis that starts anew without its data brings nothing of it back.
 */
export const makeRedisRevocation = Effect.fnUntraced(
  function*<E>(
    options: RedisOptions,
    layer: Layer.Layer<Redis.Redis, E>
  ): Effect.fn.Return<Revocation["Service"], never, Scope.Scope> {
    const own = yield* makeLocalList(options, "redis")
    const redis = yield* connectInBackground(layer, "The list of revocations is not connected")
    const shared = makeRedisList(redis, options)
    const watch = yield* makeWatch(unanswered[options.onStoreFailure])
    const tolerance = Duration.toMillis(options.clockTolerance)
    return {
      isRevoked: (token) =>
        Effect.withFiber((fiber) =>
          own.has(token, fiber.getRef(Clock.Clock))
            ? Effect.succeed(true)
            : Effect.flatMap(
              Effect.tap(shared.has(token), (answer) => watch("check", answer)),
              (answer) => {
                if (answer._tag === "answer") return Effect.succeed(answer.value)
                // What is there and can't be read is no outage: it may well mean this token.
                return answer._tag === "failed" && options.onStoreFailure === "local"
                  ? Effect.succeed(false)
                  : storeFailed
              }
            )
        ),
      revoke: Effect.fn("Revocation.revoke")(function*(subject, until) {
        const clock = yield* Clock.Clock
        const entry = entryOf(subject, until, tolerance, clock)
        if (entry.life <= 0) return
        // Where this process has no room for it, it is in Redis alone, as are those of others.
        own.add(entry, clock)
        const answer = yield* shared.add(entry)
        yield* watch("revoke", answer)
        if (answer._tag !== "answer") return yield* storeFailed
      })
    }
  }
)
