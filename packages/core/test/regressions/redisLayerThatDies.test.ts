import { assert, describe, it } from "@effect/vitest"
import { makeRedisServer, skipReason } from "@keelson/testing/redisServer"
import { Effect, Layer } from "effect"
import { Redis } from "effect/persistence"
import { TestClock } from "effect/testing"
import { Breaker, BreakerPolicy, BreakerStore } from "../../src/index.ts"

describe("A Redis layer that dies", () => {
  it.effect("is built again, like one that fails", () =>
    Effect.gen(function*() {
      const seen = { builds: 0 }
      const redis = Layer.effect(
        Redis.Redis,
        Effect.sync((): Redis.Redis["Service"] => {
          seen.builds++
          throw new TypeError("Invalid protocol")
        })
      )
      const store = yield* Layer.build(BreakerStore.layerRedis({ redis }))
      yield* TestClock.adjust("1 second")
      assert.isAbove(seen.builds, 2)
      const breaker = yield* Effect.provide(Breaker.make("a"), store)
      assert.strictEqual(yield* breaker.execute(Effect.succeed(1)), 1)
    }))

  it.live.skipIf(skipReason !== undefined)("connects once it no longer dies", () =>
    Effect.gen(function*() {
      const server = yield* makeRedisServer
      yield* server.start
      const seen = { builds: 0 }
      const redis = Layer.unwrap(
        Effect.suspend(() => seen.builds++ === 0 ? Effect.die("once") : Effect.succeed(server.redis))
      )
      const store = yield* Effect.provideContext(
        BreakerStore.BreakerStore,
        yield* Layer.build(BreakerStore.layerRedis({ redis, timeout: "10 seconds" }))
      )
      const admit = Effect.withFiber((fiber) => {
        const answer = store.admit("a", BreakerPolicy.make(), fiber)
        return Effect.isEffect(answer) ? answer : Effect.succeed(answer)
      })
      const isShared = Effect.map(admit, (answer) => answer._tag === "Admitted" && answer.generation >= 0)
      while (!(yield* isShared)) yield* Effect.sleep("20 millis")
      assert.strictEqual(seen.builds, 2)
    }))
})
