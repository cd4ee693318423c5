/** Circuits that several processes share, each process a store with a connection of its own. */
import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@keelson/testing/eventually"
import { type RedisServer, redisServer, skipReason } from "@keelson/testing/redisServer"
import { Context, Deferred, Effect, Fiber, Layer, Logger, Metric, type Scope } from "effect"
import { setTimeout } from "node:timers/promises"
import { Breaker, type BreakerPolicy, BreakerStore, Metrics } from "../src/index.ts"

const fallbacks = Effect.map(Metric.snapshot, (all) => {
  const found = all.find(({ id }) => id === "keelson_circuit_breaker_store_fallbacks_total")
  return found?.type === "Counter" ? Number(found.state.count) : 0
})

/** A process with a breaker that is connected. */
const process = Effect.fnUntraced(function*(
  server: RedisServer,
  policy: BreakerPolicy.Options,
  options?: { readonly timeout?: "100 millis" }
) {
  const layer = BreakerStore.layerRedis({
    redis: server.redis,
    timeout: "10 seconds",
    retryInterval: "0 millis",
    ...options
  })
  const store = Context.get(yield* Layer.build(Layer.fresh(layer)), BreakerStore.BreakerStore)
  const make = (name: string) => Effect.provideService(Breaker.make(name, policy), BreakerStore.BreakerStore, store)
  const wait = yield* make("wait")
  for (let before = -1; (yield* fallbacks) !== before;) {
    before = yield* fallbacks
    yield* wait.execute(Effect.void)
    yield* Effect.promise(() => setTimeout(10))
  }
  return yield* make("billing")
})

const fail = (breaker: Breaker.Breaker) => Effect.exit(breaker.execute(Effect.fail("down")))
const stateOfRejection = (breaker: Breaker.Breaker) =>
  Effect.match(breaker.execute(Effect.void), {
    onSuccess: () => "admitted",
    onFailure: (error) => error.state
  })

/** How long Redis keeps a probe for a process that does not renew it, in milliseconds. */
const lease = 3_000

/** Waits for a call to a shared circuit, and notes how long it took. */
type Watch = <A, E, R>(call: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/**
 * Runs a body on a server that is started, and again where one of its calls took as long as the lease of a probe: a process
 * that does not run for so long has lost its probe, as it should, and the body shows nothing.
 */
const withinLease = (
  body: (server: RedisServer, watch: Watch) => Effect.Effect<void, unknown, Scope.Scope>
): Effect.Effect<void, unknown> =>
  Effect.suspend(() => {
    let longest = 0
    const watch: Watch = (call) =>
      Effect.suspend(() => {
        const began = performance.now()
        return Effect.onExit(call, () =>
          Effect.sync(() => {
            longest = Math.max(longest, performance.now() - began)
          }))
      })
    const run = Effect.scoped(Effect.flatMap(redisServer, (server) => body(server, watch)))
    return Effect.flatMap(
      Effect.exit(Effect.provide(run, Metrics.layerIsolated)),
      (exit) => longest < lease ? exit : withinLease(body)
    )
  })

const test = (
  title: string,
  body: (server: RedisServer, lines: ReadonlyArray<string>) => Effect.Effect<void, unknown, Scope.Scope>
) =>
  it.live(title, () => {
    const lines: Array<string> = []
    const layer = Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))])
    return Effect.flatMap(redisServer, (server) => body(server, lines)).pipe(
      Effect.provide([layer, Metrics.layerIsolated])
    )
  })

describe.skipIf(skipReason !== undefined)("Processes that share a circuit in Redis", () => {
  it.live("[K-18] [B2] admit at most the probes of one window together, one at a time", () =>
    withinLease(Effect.fnUntraced(function*(server, watch) {
      const policy = { failureThreshold: 1, openDuration: "0 millis", probes: 4, probeSuccesses: 3 } as const
      const breakers = yield* Effect.all([process(server, policy), process(server, policy), process(server, policy)])
      yield* fail(breakers[0])
      let running = 0
      let probes = 0
      let most = 0
      // Every call fails, so that each window ends after two probes.
      const call = Effect.gen(function*() {
        most = Math.max(most, ++running)
        probes++
        yield* Effect.promise(() => setTimeout(1))
        running--
        return yield* Effect.fail("down")
      })
      const calls = breakers.flatMap((breaker) =>
        Array.from({ length: 5 }, () => Effect.forever(watch(Effect.exit(breaker.execute(call)))))
      )
      const callers = yield* Effect.forEach(calls, (caller) => Effect.forkScoped(caller))
      const count = Effect.map(
        Metric.snapshot,
        (all) =>
          all.flatMap(({ attributes, id, state }) =>
            id === "keelson_circuit_breaker_transitions_total" && attributes?.["from"] === "HALF_OPEN" &&
              attributes["to"] === "OPEN" && attributes["server"] === "billing"
              ? [JSON.stringify(state)]
              : []
          )
      )
      yield* eventually(() => probes >= 20)
      yield* Fiber.interruptAll(callers)
      assert.strictEqual(most, 1)
      const [state = "{}"] = yield* count
      const reopened = Number(/"count":(\d+)/.exec(state)?.[1])
      // Two failures of four probes put three successes out of reach.
      assert.isAtMost(Math.abs(probes - 2 * reopened), 3)
    })))

  test("[K-18] reject every call once one of them is isolated, also while Redis hangs, until another resets it", (server) =>
    Effect.gen(function*() {
      const policy = { openDuration: "1 second" } as const
      const impatient = { timeout: "100 millis" } as const
      const one = yield* process(server, policy)
      const other = yield* process(server, policy, impatient)
      yield* one.isolate
      assert.strictEqual(yield* stateOfRejection(other), "ISOLATED")
      assert.strictEqual(yield* other.state, "ISOLATED")
      yield* server.freeze
      assert.strictEqual(yield* stateOfRejection(other), "ISOLATED")
      yield* server.thaw
      yield* one.reset
      while ((yield* stateOfRejection(other)) !== "admitted") yield* Effect.promise(() => setTimeout(5))
      assert.strictEqual(yield* one.state, "CLOSED")
    }))

  test("[K-18] isolate their own circuit and say so, where Redis hangs", (server, lines) =>
    Effect.gen(function*() {
      const breaker = yield* process(server, {}, { timeout: "100 millis" })
      yield* server.freeze
      yield* breaker.isolate
      assert.strictEqual(yield* stateOfRejection(breaker), "ISOLATED")
      assert.include(lines, "Breaker store is not reachable; circuit billing is isolated in this process only")
      yield* server.thaw
      assert.strictEqual(yield* stateOfRejection(breaker), "ISOLATED")
      yield* breaker.reset
      while ((yield* stateOfRejection(breaker)) !== "admitted") yield* Effect.promise(() => setTimeout(5))
    }))

  it.live("[D7] probe again once the probe of another process is interrupted, and not before", () =>
    withinLease(Effect.fnUntraced(function*(server, watch) {
      const policy = { failureThreshold: 1, openDuration: "0 millis" } as const
      const one = yield* process(server, policy)
      const other = yield* process(server, policy)
      yield* fail(one)
      const started = yield* Deferred.make<void>()
      const probe = yield* Effect.forkScoped(
        watch(one.execute(Effect.andThen(Deferred.succeed(started, undefined), Effect.never)))
      )
      yield* Deferred.await(started)
      assert.strictEqual(yield* stateOfRejection(other), "HALF_OPEN")
      yield* Fiber.interrupt(probe)
      assert.strictEqual(yield* stateOfRejection(other), "admitted")
      assert.strictEqual(yield* one.state, "CLOSED")
    })))
})
