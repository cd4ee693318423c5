import { NodeRedis } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@keelson/testing/eventually"
import { makeRedisServer, type RedisServer, redisServer, skipReason } from "@keelson/testing/redisServer"
import { skewedClock } from "@keelson/testing/virtualTime"
import { Clock, Deferred, Duration, Effect, Exit, Fiber, Layer, Logger, Metric, Scope } from "effect"
import { Redis } from "effect/persistence"
import { TestClock } from "effect/testing"
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { Breaker, BreakerStore, type Configuration, Deadline, Metrics, Resilience } from "../src/index.ts"
import { breakerStoreSuite } from "./BreakerStoreSuite.ts"

const fallbacks = Effect.map(Metric.snapshot, (all) => {
  const found = all.find(({ id }) => id === "keelson_circuit_breaker_store_fallbacks_total")
  return found?.type === "Counter" ? Number(found.state.count) : undefined
})

/** What is logged, and nothing on the console. */
const logged = () => {
  const lines: Array<string> = []
  const logger = Logger.make(({ message }) => void lines.push(String(message)))
  return { lines, layer: Logger.layer([logger]) }
}

const quiet = logged().layer

/** A breaker that opens at the third failure. */
const makeBreaker = Breaker.make("a", { failureThreshold: 3, openDuration: "1 hour" })

/** A store that comes back to Redis quickly, and waits for it longer than the slowest machine takes. */
const storeOf = (server: RedisServer, options?: { readonly timeout?: Configuration.DurationInput }) =>
  BreakerStore.layerRedis({ redis: server.redis, retryInterval: "50 millis", timeout: "10 seconds", ...options })

/** For a Redis that does not answer. Whether it does answer within this time depends on the machine: tests wait until it has. */
const impatient = { timeout: "200 millis" } as const

const over = <E>(store: Layer.Layer<BreakerStore.BreakerStore, E>) =>
  Effect.provide(Layer.provideMerge(store, Layer.mergeAll(Metrics.layerIsolated, quiet)))

const down = (breaker: Breaker.Breaker) => Effect.exit(breaker.execute(Effect.fail("down")))
const isOpen = (breaker: Breaker.Breaker) =>
  Effect.match(breaker.execute(Effect.void), {
    onSuccess: () => false,
    onFailure: ({ _tag }) => _tag === "CircuitOpen"
  })

/** A pause in real time, whatever the clock of the test. */
const pause = Effect.promise(() => setTimeout(25))

/** Waits until calls are answered by Redis and not by the process itself. */
const connected = (breaker: Breaker.Breaker) =>
  Effect.gen(function*() {
    for (let tries = 0; tries < 1_600; tries++) {
      const before = yield* fallbacks
      yield* Effect.ignore(breaker.execute(Effect.void))
      if (before !== undefined && (yield* fallbacks) === before) return
      yield* pause
    }
    assert.fail("Redis was not used within forty seconds")
  })

/** Waits until the circuit is the closed one in Redis: the one in the process stays open for an hour. */
const closedInRedis = (breaker: Breaker.Breaker) =>
  Effect.gen(function*() {
    for (let tries = 0; tries < 1_600 && (yield* isOpen(breaker)); tries++) yield* pause
    assert.isFalse(yield* isOpen(breaker))
  })

/** A process of its own that calls through the circuit `shared`, and says how each call went. */
const spawned = Effect.fnUntraced(function*(path: string) {
  const script = join(import.meta.dirname, "fixtures/breakerProcess.ts")
  const child = yield* Effect.acquireRelease(
    Effect.sync((): ChildProcessWithoutNullStreams => spawn(process.execPath, [script, path])),
    (child) => Effect.sync(() => void child.kill("SIGKILL"))
  )
  const answers: Array<string> = []
  let errors = ""
  child.stdout.on("data", (chunk) => answers.push(...String(chunk).trim().split("\n")))
  child.stderr.on("data", (chunk) => errors += String(chunk))
  const next = Effect.gen(function*() {
    yield* eventually(() => answers.length > 0 || child.exitCode !== null)
    return answers.shift() ?? assert.fail(errors)
  })
  assert.strictEqual(yield* next, "ready")
  return {
    call: (line: "x" | ".") => Effect.andThen(Effect.sync(() => void child.stdin.write(`${line}\n`)), next),
    end: Effect.gen(function*() {
      child.stdin.end()
      yield* eventually(() => child.exitCode !== null)
      return child.exitCode
    })
  }
})

describe("BreakerStore in memory", () => {
  breakerStoreSuite(Effect.succeed(BreakerStore.layerMemory))

  it.effect.each([["back", -1], ["forward", 1]] as const)(
    "half-opens in time where the wall clock is set %s",
    ([, by]) =>
      Effect.gen(function*() {
        yield* TestClock.adjust("1 day")
        const { clock, skew } = yield* skewedClock
        const run = Effect.gen(function*() {
          const breaker = yield* Breaker.make("a", { failureThreshold: 1, openDuration: "1 minute" })
          yield* down(breaker)
          skew.millis = by * Duration.toMillis("1 hour")
          yield* TestClock.adjust("59 seconds")
          assert.isTrue(yield* isOpen(breaker))
          yield* TestClock.adjust("1 second")
          assert.isFalse(yield* isOpen(breaker))
          assert.strictEqual(yield* breaker.state, "CLOSED")
        }).pipe(over(BreakerStore.layerMemory))
        yield* Effect.provideService(run, Clock.Clock, clock)
      })
  )

  it.effect("forgets a circuit that is idle for an hour", () =>
    Effect.gen(function*() {
      const breaker = yield* makeBreaker
      yield* Effect.all([down(breaker), down(breaker)])
      yield* TestClock.adjust("1 hour")
      yield* down(breaker)
      assert.isFalse(yield* isOpen(breaker))
    }).pipe(over(BreakerStore.layerMemory)))
})

describe.skipIf(skipReason !== undefined)(
  `BreakerStore in Redis${skipReason ? ` (skipped: ${skipReason})` : ""}`,
  () => {
    const connectedStore = Effect.gen(function*() {
      const server = yield* redisServer
      return Layer.effect(
        BreakerStore.BreakerStore,
        Effect.gen(function*() {
          const store = yield* BreakerStore.BreakerStore
          yield* Effect.provideService(
            Effect.flatMap(Breaker.make("wait"), connected),
            BreakerStore.BreakerStore,
            store
          )
          return store
        })
      ).pipe(Layer.provide(storeOf(server)), Layer.provideMerge(Metrics.layerIsolated))
    })
    breakerStoreSuite(connectedStore)

    it.live("answers from Redis once it is connected, and counts no fallback then", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const opens = Effect.gen(function*() {
          const breaker = yield* makeBreaker
          yield* connected(breaker)
          const before = yield* fallbacks
          yield* Effect.all([down(breaker), down(breaker), down(breaker)])
          assert.isTrue(yield* isOpen(breaker))
          assert.strictEqual(yield* fallbacks, before)
        })
        yield* opens.pipe(over(storeOf(server)))
        // A store of its own finds the circuit open: it is in Redis, not in the process.
        const finds = Effect.gen(function*() {
          yield* connected(yield* Breaker.make("other"))
          assert.isTrue(yield* isOpen(yield* makeBreaker))
        })
        yield* finds.pipe(over(storeOf(server)))
      }))

    it.live("[S3-16] two processes share one circuit", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const [first, second] = yield* Effect.all([spawned(server.path), spawned(server.path)], { concurrency: 2 })
        assert.deepStrictEqual([yield* first.call("x"), yield* second.call("x")], ["down", "down"])
        assert.deepStrictEqual([yield* first.call("."), yield* second.call(".")], ["ok", "ok"])
        for (const process of [first, second, first]) assert.strictEqual(yield* process.call("x"), "down")
        assert.deepStrictEqual([yield* first.call("."), yield* second.call(".")], ["rejected", "rejected"])
        assert.deepStrictEqual([yield* first.end, yield* second.end], [0, 0])
      }))

    it.live("a key that holds something else keeps its circuit here, and the others stay shared", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const run = Effect.gen(function*() {
          const good = yield* makeBreaker
          yield* connected(good)
          const redis = yield* Redis.Redis
          yield* redis.send("SET", "keelson:breaker:bad", "x")
          const bad = yield* Breaker.make("bad", { failureThreshold: 1, openDuration: "1 hour" })
          for (let n = 0; n < 10; n++) yield* down(bad)
          assert.isTrue(yield* isOpen(bad))
          const before = yield* fallbacks
          yield* good.execute(Effect.void)
          assert.strictEqual(yield* fallbacks, before)
        })
        yield* run.pipe(Effect.provide(server.redis), over(storeOf(server)))
      }))

    describe("while Redis is frozen", () => {
      it.live("bounds every call to the store, and keeps the circuit in the process", () =>
        Effect.gen(function*() {
          const server = yield* redisServer
          const { layer, lines } = logged()
          const run = Effect.gen(function*() {
            const breaker = yield* makeBreaker
            yield* connected(breaker)
            const before = (yield* fallbacks) ?? 0
            yield* server.freeze
            for (let n = 0; n < 3; n++) yield* down(breaker)
            assert.isTrue(yield* isOpen(breaker))
            assert.strictEqual(yield* breaker.state, "OPEN")
            assert.strictEqual(yield* fallbacks, before + 4)
            for (const one of [breaker.state, breaker.reset, breaker.snapshot]) {
              yield* Effect.sleep("60 millis")
              yield* one
            }
            assert.isFalse(yield* isOpen(breaker))
            assert.isTrue(lines.some((line) => line.includes("using in-process circuits")))
          })
          yield* run.pipe(Effect.provide(layer), over(storeOf(server, impatient)))
        }))

      it.live("keeps the result of a call that was admitted before, and bounds its record", () =>
        Effect.gen(function*() {
          const server = yield* redisServer
          const run = Effect.gen(function*() {
            const breaker = yield* makeBreaker
            yield* connected(breaker)
            const call = Effect.as(Effect.andThen(Effect.sleep("20 millis"), server.freeze), "value")
            assert.strictEqual(yield* breaker.execute(call), "value")
          })
          yield* run.pipe(over(storeOf(server, impatient)))
        }))

      it.live("ends a call at its deadline, where that is sooner than the limit of the store", () =>
        Effect.gen(function*() {
          const server = yield* redisServer
          const { layer, lines } = logged()
          const run = Effect.gen(function*() {
            const breaker = yield* makeBreaker
            yield* connected(breaker)
            yield* server.freeze
            const before = lines.length
            const call = Deadline.within(breaker.execute(Effect.never), "50 millis")
            assert.instanceOf(yield* Effect.flip(call), Deadline.DeadlineExceeded)
            // What is logged at the limit of the store.
            assert.strictEqual(lines.length, before)
          })
          yield* run.pipe(Effect.provide(layer), over(storeOf(server)))
        }))

      it.live("ends its scope promptly", () =>
        Effect.gen(function*() {
          const server = yield* redisServer
          const scope = yield* Scope.make()
          const breaker = yield* makeBreaker.pipe(
            Effect.provide(yield* Layer.buildWithScope(storeOf(server, impatient), scope)),
            Scope.provide(scope)
          )
          yield* connected(breaker)
          yield* server.freeze
          yield* down(breaker)
          yield* Scope.close(scope, Exit.void)
        }).pipe(Effect.provide([Metrics.layerIsolated, quiet])))

      it.live("comes back when Redis goes on, with the circuit that is there", () =>
        Effect.gen(function*() {
          const server = yield* redisServer
          const run = Effect.gen(function*() {
            const breaker = yield* makeBreaker
            yield* connected(breaker)
            yield* server.freeze
            yield* Effect.all([down(breaker), down(breaker), down(breaker)])
            assert.isTrue(yield* isOpen(breaker))
            yield* server.thaw
            yield* closedInRedis(breaker)
          })
          yield* run.pipe(over(storeOf(server, impatient)))
        }))
    })

    describe("while Redis is not there", () => {
      const takesOver = Effect.fnUntraced(function*(breaker: Breaker.Breaker) {
        yield* Effect.all([down(breaker), down(breaker), down(breaker)])
        assert.isTrue(yield* isOpen(breaker))
      })

      it.live(
        "starts without it, keeps the circuit in the process, and uses it once it is there",
        () =>
          Effect.gen(function*() {
            const server = yield* makeRedisServer
            const run = Effect.gen(function*() {
              const breaker = yield* makeBreaker
              assert.strictEqual(yield* fallbacks, 0)
              yield* takesOver(breaker)
              assert.strictEqual(yield* fallbacks, 4)
              yield* server.start
              yield* closedInRedis(breaker)
            })
            yield* run.pipe(over(storeOf(server, impatient)))
          })
      )

      it.live("starts while it is frozen, and uses it once it goes on", () =>
        Effect.gen(function*() {
          const server = yield* redisServer
          yield* server.freeze
          const run = Effect.gen(function*() {
            const breaker = yield* makeBreaker
            yield* takesOver(breaker)
            yield* server.thaw
            yield* connected(breaker)
          })
          yield* run.pipe(over(storeOf(server, impatient)))
        }))

      it.live("makes the connection anew where the client has given it up", () =>
        Effect.gen(function*() {
          const server = yield* redisServer
          const redis = NodeRedis.layer({ socket: { path: server.path, tls: false, reconnectStrategy: false } })
          const run = Effect.gen(function*() {
            const breaker = yield* makeBreaker
            yield* connected(breaker)
            yield* server.kill
            yield* takesOver(breaker)
            yield* server.start
            yield* connected(breaker)
          })
          yield* run.pipe(over(BreakerStore.layerRedis({ redis, retryInterval: "20 millis" })))
        }))

      it.live("goes on when it is killed, and uses it again once it is restarted", () =>
        Effect.gen(function*() {
          const server = yield* redisServer
          const run = Effect.gen(function*() {
            const breaker = yield* makeBreaker
            yield* connected(breaker)
            yield* server.kill
            yield* takesOver(breaker)
            yield* server.start
            yield* closedInRedis(breaker)
          })
          yield* run.pipe(over(storeOf(server, impatient)))
        }))
    })

    it.effect("takes a call that runs into its own deadline for no failure of Redis", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const run = Effect.gen(function*() {
          const policy = { deadline: "30 millis", breaker: { failureThreshold: 3 } } as const
          const resilience = yield* Resilience.make("a", policy)
          yield* connected(yield* Breaker.make("other"))
          const before = yield* fallbacks
          for (let n = 0; n < 3; n++) {
            const started = yield* Deferred.make<void>()
            const call = resilience.execute(Effect.andThen(Deferred.succeed(started, undefined), Effect.never))
            const fiber = yield* Effect.forkChild(Effect.exit(call))
            yield* Deferred.await(started)
            yield* TestClock.adjust(policy.deadline)
            yield* Fiber.join(fiber)
          }
          assert.strictEqual(yield* fallbacks, before)
          assert.instanceOf(yield* Effect.flip(resilience.execute(Effect.void)), Breaker.CircuitOpen)
        })
        yield* run.pipe(over(BreakerStore.layerRedis({ redis: server.redis })))
      }))
  }
)

describe("BreakerStore.layerRedis", () => {
  it.effect("refuses times of the Redis store that are out of range, naming the option and its bound", () =>
    Effect.gen(function*() {
      const redis = Layer.effect(Redis.Redis, Effect.never)
      const refused = [
        [{ timeout: "0 millis" }, "timeout must be a duration with its unit, from 1 milli to 10 seconds"],
        [{ timeout: "11 seconds" }, "timeout must be"],
        [{ retryInterval: "2 hours" }, "retryInterval must be a duration with its unit, from 0 millis to 1 hour"]
      ] as const
      for (const [options, message] of refused) {
        const error = yield* Effect.flip(Layer.build(BreakerStore.layerRedis({ redis, ...options })))
        assert.strictEqual(error.code, "INVALID_CONFIG")
        assert.include(error.message, message)
      }
      yield* Layer.build(BreakerStore.layerRedis({ redis, timeout: "10 seconds", retryInterval: "0 millis" }))
    }))
})
