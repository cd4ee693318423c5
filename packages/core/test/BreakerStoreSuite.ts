import { assert, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, type Layer, type Scope } from "effect"
import { Breaker, type BreakerPolicy, type BreakerStore, Metrics } from "../src/index.ts"

const down = Effect.fail("down")

/** What one call came to: `ok`, `down`, or `rejected` with the state that the circuit was in. */
const call = (breaker: Breaker.Breaker, self: Effect.Effect<unknown, string>) =>
  breaker.execute(self).pipe(
    Effect.as("ok"),
    Effect.catch((error) => Effect.succeed(typeof error === "string" ? error : `rejected ${error.state}`))
  )

const calls = (breaker: Breaker.Breaker, outcomes: string) =>
  Effect.forEach(outcomes, (outcome) => call(breaker, outcome === "x" ? down : Effect.void))

/** A circuit stays open for longer than any test takes, except where the end of that time is what is tested. */
const open = "1 hour"
const brief = { openDuration: "100 millis" } as const
const opened = Effect.sleep("120 millis")

/** A call that is admitted and waits for the gate; done once it is. */
const admitted = Effect.fnUntraced(function*(breaker: Breaker.Breaker, self: Effect.Effect<unknown, string>) {
  const started = yield* Deferred.make<void>()
  const fiber = yield* Effect.forkScoped(call(breaker, Effect.andThen(Deferred.succeed(started, undefined), self)))
  yield* Deferred.await(started)
  return fiber
})

/** How every store has to behave: tests for a `describe` of the store, in real time, since a server's clock cannot be moved. */
export const breakerStoreSuite = <E>(
  layer: Effect.Effect<Layer.Layer<BreakerStore.BreakerStore, E>, never, Scope.Scope>
): void => {
  const make = (key: string, policy?: BreakerPolicy.Options) =>
    Breaker.make(key, { failureThreshold: 3, openDuration: open, ...policy })

  const test = (title: string, body: Effect.Effect<void, unknown, BreakerStore.BreakerStore | Scope.Scope>) =>
    it.live(
      title,
      () => Effect.flatMap(layer, (store) => Effect.scoped(Effect.provide(body, [store, Metrics.layerIsolated])))
    )

  test(
    "opens at the n-th failure in a row, a success between them counts from the start",
    Effect.gen(function*() {
      const breaker = yield* make("a")
      assert.deepStrictEqual(yield* calls(breaker, "xx.xx"), ["down", "down", "ok", "down", "down"])
      assert.strictEqual(yield* breaker.state, "CLOSED")
      assert.deepStrictEqual(yield* calls(breaker, "x."), ["down", "rejected OPEN"])
      assert.strictEqual(yield* breaker.state, "OPEN")
    })
  )

  test(
    "opens by the share of failures in a window",
    Effect.gen(function*() {
      const breaker = yield* make("a", { strategy: "ratio", failureRatio: 0.5, windowSize: 4, minimumCalls: 4 })
      assert.deepStrictEqual(yield* calls(breaker, "x...x"), ["down", "ok", "ok", "ok", "down"])
      assert.deepStrictEqual(yield* calls(breaker, "xx"), ["down", "rejected OPEN"])
    })
  )

  test(
    "says when to come back, admits one probe after that, and closes with its success",
    Effect.gen(function*() {
      const breaker = yield* make("a")
      yield* calls(breaker, "xxx")
      const rejected = yield* Effect.flip(breaker.execute(Effect.void))
      assert(rejected._tag === "CircuitOpen")
      assert.isTrue(Duration.isGreaterThan(rejected.retryAfter, Duration.zero))
      assert.isTrue(Duration.isLessThanOrEqualTo(rejected.retryAfter, Duration.fromInputUnsafe(open)))
      yield* breaker.reset
      yield* calls(yield* make("a", brief), "xxx")
      yield* opened
      const gate = yield* Deferred.make<void>()
      const probe = yield* admitted(breaker, Deferred.await(gate))
      assert.deepStrictEqual(yield* calls(breaker, "..."), Array.from({ length: 3 }, () => "rejected HALF_OPEN"))
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* Fiber.join(probe), "ok")
      assert.deepStrictEqual(yield* calls(breaker, ".x."), ["ok", "down", "ok"])
    })
  )

  test(
    "opens again where the probe fails, and admits the next where it was interrupted",
    Effect.gen(function*() {
      const [breaker, short] = [yield* make("a"), yield* make("a", brief)]
      yield* calls(short, "xxx")
      yield* opened
      assert.deepStrictEqual(yield* calls(breaker, "x."), ["down", "rejected OPEN"])
      yield* breaker.reset
      yield* calls(short, "xxx")
      yield* opened
      assert.deepStrictEqual(yield* calls(short, "x"), ["down"])
      yield* opened
      const probe = yield* admitted(breaker, Effect.never)
      yield* Fiber.interrupt(probe)
      assert.deepStrictEqual(yield* calls(breaker, ".."), ["ok", "ok"])
    })
  )

  test(
    "breakers of one name share a circuit, and other names have their own",
    Effect.gen(function*() {
      const [first, second, other] = [yield* make("a"), yield* make("a"), yield* make("b")]
      yield* Effect.all([calls(first, "x"), calls(second, "x"), calls(first, "x")])
      assert.deepStrictEqual(yield* calls(second, "."), ["rejected OPEN"])
      assert.strictEqual(yield* second.state, "OPEN")
      assert.deepStrictEqual(yield* calls(other, "."), ["ok"])
    })
  )

  test(
    "[S3-16] a reset closes the circuit, and what was under way is not recorded",
    Effect.gen(function*() {
      const breaker = yield* make("a", { failureThreshold: 1, openDuration: "1 hour" })
      const gate = yield* Deferred.make<void>()
      const late = Effect.andThen(Deferred.await(gate), down)
      const underWay = yield* admitted(breaker, late)
      assert.deepStrictEqual(yield* calls(breaker, "x."), ["down", "rejected OPEN"])
      yield* breaker.reset
      assert.strictEqual(yield* breaker.state, "CLOSED")
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* Fiber.join(underWay), "down")
      assert.deepStrictEqual(yield* calls(breaker, ".x."), ["ok", "down", "rejected OPEN"])
      yield* breaker.reset
      assert.deepStrictEqual(yield* calls(breaker, "."), ["ok"])
    })
  )

  test(
    "[S3-16] counts every one of many failures that end together, and opens once",
    Effect.gen(function*() {
      const breaker = yield* make("a", { failureThreshold: 50 })
      const gate = yield* Deferred.make<void>()
      const late = admitted(breaker, Effect.andThen(Deferred.await(gate), down))
      const all = yield* Effect.all(Array.from({ length: 50 }, () => late), { concurrency: 50 })
      assert.strictEqual(yield* breaker.state, "CLOSED")
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.joinAll(all)
      assert.strictEqual(yield* breaker.state, "OPEN")
      assert.strictEqual((yield* breaker.snapshot).failureCount, 50)
    })
  )

  test(
    "fails a call with the call's own exit, defects too",
    Effect.gen(function*() {
      const breaker = yield* make("a")
      assert.isTrue(Exit.hasDies(yield* Effect.exit(breaker.execute(Effect.die("defect")))))
      assert.strictEqual(yield* breaker.execute(Effect.succeed(7)), 7)
    })
  )
}
