import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@keelson/testing/eventually"
import { redisCluster } from "@keelson/testing/redisCluster"
import { skipReason } from "@keelson/testing/redisServer"
import { Effect, Layer, Logger, Metric } from "effect"
import { setTimeout } from "node:timers/promises"
import { Breaker, BreakerStore, Metrics } from "../src/index.ts"

const logged = () => {
  const lines: Array<string> = []
  return { lines, layer: Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))]) }
}

const fallbacks = Effect.map(Metric.snapshot, (all) => {
  const found = all.find(({ id }) => id === "keelson_circuit_breaker_store_fallbacks_total")
  return found?.type === "Counter" ? Number(found.state.count) : 0
})

/** Circuits of many slots. */
const names = Array.from({ length: 12 }, (_, index) => `circuit-${index}`)

describe.skipIf(skipReason !== undefined)("BreakerStore in a Redis Cluster of three servers", () => {
  it.live("[D13] a connection to one server is one warning at start; circuits of the others are kept in the process", () =>
    Effect.gen(function*() {
      const cluster = yield* redisCluster
      const { layer, lines } = logged()
      let connections = 0
      const redis = Layer.effectDiscard(Effect.sync(() => connections++)).pipe(Layer.provideMerge(cluster.single))
      const body = Effect.gen(function*() {
        yield* eventually(() => lines.length > 0)
        for (const name of names) {
          const breaker = yield* Breaker.make(name, { failureThreshold: 2, openDuration: "1 hour" })
          for (let call = 0; call < 5; call++) yield* Effect.ignore(breaker.execute(Effect.fail("down")))
          assert.strictEqual(yield* breaker.state, "OPEN")
        }
        assert.deepStrictEqual(lines, [
          "Redis is a cluster, and this client does not follow its redirections (MOVED): keys of other nodes are not shared. Use a client for clusters"
        ])
        assert.strictEqual(connections, 1)
      })
      yield* body.pipe(
        Effect.provide(BreakerStore.layerRedis({ redis, timeout: "10 seconds", retryInterval: "0 millis" })),
        Effect.provide([layer, Metrics.layerIsolated])
      )
    }))

  it.live("[D13] a client for clusters shares the circuits of every server", () =>
    Effect.gen(function*() {
      const cluster = yield* redisCluster
      const { layer, lines } = logged()
      const store = BreakerStore.layerRedis({
        redis: cluster.clustered,
        timeout: "10 seconds",
        retryInterval: "0 millis"
      })
      const connected = Effect.gen(function*() {
        const breaker = yield* Breaker.make("wait")
        for (let before = -1; (yield* fallbacks) !== before;) {
          before = yield* fallbacks
          yield* breaker.execute(Effect.void)
          yield* Effect.promise(() => setTimeout(20))
        }
      })
      const states = (body: (breaker: Breaker.Breaker) => Effect.Effect<unknown>) =>
        Effect.gen(function*() {
          yield* connected
          const before = yield* fallbacks
          const seen = yield* Effect.forEach(names, (name) =>
            Effect.flatMap(
              Breaker.make(name, { failureThreshold: 2, openDuration: "1 hour" }),
              (breaker) => Effect.andThen(body(breaker), breaker.state)
            ))
          assert.strictEqual(yield* fallbacks, before)
          return new Set(seen)
        }).pipe(Effect.scoped, Effect.provide(Layer.fresh(store)))
      const failing = (breaker: Breaker.Breaker) => Effect.ignore(breaker.execute(Effect.fail("down")))
      const both = Effect.gen(function*() {
        assert.deepStrictEqual(
          yield* states((breaker) => Effect.andThen(failing(breaker), failing(breaker))),
          new Set(["OPEN"])
        )
        assert.deepStrictEqual(yield* states(() => Effect.void), new Set(["OPEN"]))
        assert.deepStrictEqual(lines, [])
      })
      yield* Effect.provide(both, [layer, Metrics.layerIsolated])
    }))
})
