import { assert, describe, it } from "@effect/vitest"
import { errorOf } from "@keelson/testing/exits"
import { metric } from "@keelson/testing/observe"
import { runOut } from "@keelson/testing/virtualTime"
import { Cause, Clock, Context, Duration, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Breaker, BreakerStore, Deadline, Hedge, KeelsonError, Metrics, Resilience, RetryBudget } from "../src/index.ts"

const layer = Layer.merge(BreakerStore.layerMemory, Metrics.layerIsolated)

/** What one execution does: after how long, and how it ends. */
interface Step<E> {
  readonly after: Duration.Input
  readonly exit: Exit.Exit<string, E>
}

const after = (after: Duration.Input, value: string): Step<never> => ({ after, exit: Exit.succeed(value) })
const failing = <E>(after: Duration.Input, error: E): Step<E> => ({ after, exit: Exit.fail(error) })
const hanging: Step<never> = { after: "1 day", exit: Exit.succeed("late") }

/** A call whose n-th execution follows the n-th step, and what happened to each. */
const scripted = <E>(...steps: ReadonlyArray<Step<E>>) => {
  const log: Array<string> = []
  const call = (hedge: number) =>
    Effect.suspend(() => {
      const step = steps[hedge] ?? steps.at(-1)!
      log.push(`start ${hedge}`)
      return Effect.andThen(Effect.sleep(step.after), step.exit)
    }).pipe(Effect.onInterrupt(() => Effect.sync(() => log.push(`interrupt ${hedge}`))))
  return { call, log }
}

const busy = new KeelsonError.NetworkError({ code: "UPSTREAM_UNAVAILABLE" })
const open = new KeelsonError.NetworkError({ code: "CIRCUIT_OPEN" })

describe("Hedge", () => {
  describe("execute with a fixed delay", () => {
    it.effect("[K-20] a call that ends before the delay runs once", () =>
      Effect.gen(function*() {
        const hedge = yield* Hedge.make("search", { delay: "100 millis" })
        const { call, log } = scripted(after("99 millis", "first"))
        const { elapsed, exit } = yield* runOut(hedge.execute(call))
        assert.deepStrictEqual(exit, Exit.succeed("first"))
        assert.deepStrictEqual([Duration.toMillis(elapsed), log], [99, ["start 0"]])
      }).pipe(Effect.scoped, Effect.provide(layer)))

    it.effect("[K-20][H1] the hedge answers first: its answer is used and the first execution is interrupted", () =>
      Effect.gen(function*() {
        const hedge = yield* Hedge.make("search", { delay: "100 millis" })
        const { call, log } = scripted(hanging, after("10 millis", "hedge"))
        const { elapsed, exit } = yield* runOut(hedge.execute(call))
        assert.deepStrictEqual(exit, Exit.succeed("hedge"))
        assert.deepStrictEqual(Duration.toMillis(elapsed), 110)
        assert.deepStrictEqual(log, ["start 0", "start 1", "interrupt 0"])
      }).pipe(Effect.scoped, Effect.provide(layer)))

    it.effect("[K-20][H1] the first execution answers first: the hedge is interrupted", () =>
      Effect.gen(function*() {
        const hedge = yield* Hedge.make("search", { delay: "100 millis" })
        const { call, log } = scripted(after("120 millis", "first"), hanging)
        const { exit } = yield* runOut(hedge.execute(call))
        assert.deepStrictEqual([exit, log], [Exit.succeed("first"), ["start 0", "start 1", "interrupt 1"]])
      }).pipe(Effect.scoped, Effect.provide(layer)))

    it.live("[K-20][D11] an answer that is there wins over a delay that passed while the process was busy", () =>
      Effect.gen(function*() {
        const hedge = yield* Hedge.make("search", { delay: "5 millis" })
        // Read in the second turn of the event loop from now, as from a socket: after the timers that are due then.
        const call = Effect.callback<void>((resume) => {
          setImmediate(() => setImmediate(() => resume(Effect.void)))
        })
        const busy = Effect.sync(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20))
        const fiber = yield* Effect.forkChild(hedge.execute(call), { startImmediately: true })
        yield* busy
        yield* Fiber.join(fiber)
        assert.strictEqual((yield* hedge.snapshot).hedges, 0)
      }).pipe(Effect.scoped, Effect.provide(layer)))

    it.effect("[K-20] makes at most maxHedges, one per delay", () =>
      Effect.gen(function*() {
        const hedge = yield* Hedge.make("search", { delay: "1 second", maxHedges: 3, budget: { ratio: 10 } })
        const { call, log } = scripted(hanging)
        const fiber = yield* Effect.forkChild(hedge.execute(call), { startImmediately: true })
        const started: Array<number> = []
        for (let second = 0; second < 6; second++) {
          started.push(log.length)
          yield* TestClock.adjust("1 second")
        }
        assert.deepStrictEqual(started, [1, 2, 3, 4, 4, 4])
        yield* Fiber.interrupt(fiber)
      }).pipe(Effect.scoped, Effect.provide(layer)))

    it.effect("[K-20] a failure before the delay ends the call at once: repeating it is left to retries", () =>
      Effect.gen(function*() {
        const hedge = yield* Hedge.make("search", { delay: "100 millis" })
        const { call, log } = scripted(failing("10 millis", "down"))
        const { elapsed, exit } = yield* runOut(hedge.execute(call))
        assert.deepStrictEqual([errorOf(exit), Duration.toMillis(elapsed), log], ["down", 10, ["start 0"]])
      }).pipe(Effect.scoped, Effect.provide(layer)))

    it.effect("[K-20] a failure waits for the executions that still run", () =>
      Effect.gen(function*() {
        const hedge = yield* Hedge.make("search", { delay: "100 millis" })
        const first = yield* runOut(
          hedge.execute(scripted<unknown>(failing("110 millis", 1), after("1 second", "b")).call)
        )
        const second = yield* runOut(
          hedge.execute(scripted<unknown>(after("1 second", "a"), failing("10 millis", 2)).call)
        )
        assert.deepStrictEqual([first.exit, second.exit], [Exit.succeed("b"), Exit.succeed("a")])
      }).pipe(Effect.scoped, Effect.provide(layer)))

    it.effect("[K-20] if all fail, the first error that says something about the service is the call's", () =>
      Effect.gen(function*() {
        const hedge = yield* Hedge.make("search", { delay: "100 millis", maxHedges: 2, budget: { ratio: 10 } })
        const { call } = scripted(failing("1 second", busy), failing("1 milli", open), failing("1 milli", open))
        assert.strictEqual(errorOf((yield* runOut(hedge.execute(call))).exit), busy)
        const { call: other } = scripted<unknown>(
          failing("1 second", "one"),
          failing("10 millis", "two"),
          failing("1 second", open)
        )
        assert.strictEqual(errorOf((yield* runOut(hedge.execute(other))).exit), "two")
      }).pipe(Effect.scoped, Effect.provide(layer)))

    it.effect("[K-20] a defect ends the call and interrupts the others", () =>
      Effect.gen(function*() {
        const hedge = yield* Hedge.make("search", { delay: "100 millis" })
        const { call, log } = scripted(hanging, { after: "1 milli", exit: Exit.die("bug") })
        const { exit } = yield* runOut(hedge.execute(call))
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
        assert.deepStrictEqual(log, ["start 0", "start 1", "interrupt 0"])
      }).pipe(Effect.scoped, Effect.provide(layer)))

    it.effect("[K-20] an answer that accept rejects is used only if no execution gives a better one", () =>
      Effect.gen(function*() {
        const hedge = yield* Hedge.make("search", { delay: "100 millis" })
        const released: Array<unknown> = []
        const options = {
          accept: (answer: string) => answer !== "busy",
          discard: (exit: Exit.Exit<string>) => Effect.sync(() => void released.push(exit))
        }
        const good = yield* runOut(hedge.execute(scripted(after("1 second", "good"), after(1, "busy")).call, options))
        assert.deepStrictEqual([good.exit, released], [Exit.succeed("good"), [Exit.succeed("busy")]])
        const alone = yield* runOut(hedge.execute(scripted(after("1 milli", "busy")).call, options))
        assert.deepStrictEqual(alone.exit, Exit.succeed("busy"))
        const error = yield* runOut(
          hedge.execute(scripted<unknown>(failing("1 second", "no"), after(1, "busy")).call, { accept: options.accept })
        )
        assert.deepStrictEqual(error.exit, Exit.succeed("busy"))
      }).pipe(Effect.scoped, Effect.provide(layer)))

    it.effect("[K-20] when, accept or the call itself throwing is a defect of the call, and nothing keeps running", () =>
      Effect.gen(function*() {
        const hedge = yield* Hedge.make("search", { delay: "100 millis" })
        const thrower = (): never => {
          throw new Error("bug")
        }
        const { call, log } = scripted(hanging, after("1 milli", "hedge"))
        const calls = [
          hedge.execute(call, { when: thrower }),
          hedge.execute(call, { accept: thrower }),
          hedge.execute((hedge) => hedge === 0 ? call(0) : thrower())
        ]
        for (const one of calls) {
          const { exit } = yield* runOut(one, "1 second")
          assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
        }
        assert.strictEqual(log.filter((line) => line === "interrupt 0").length, 3)
      }).pipe(Effect.scoped, Effect.provide(layer)))

    it.effect("[K-20] with enabled false the call runs once and nothing is counted", () =>
      Effect.gen(function*() {
        const hedge = yield* Hedge.make("search", { enabled: false, delay: "1 milli" })
        const { call, log } = scripted(after("1 second", "first"))
        yield* runOut(hedge.execute(call))
        assert.deepStrictEqual([log, (yield* hedge.snapshot).calls], [["start 0"], 0])
        assert.isUndefined(yield* metric("hedges_total", "server=\"search\""))
      }).pipe(Effect.scoped, Effect.provide(layer)))

    it.effect("[K-20] the function receives the number of the hedge, so that it can choose another endpoint", () =>
      Effect.gen(function*() {
        const hedge = yield* Hedge.make("search", { delay: "100 millis", maxHedges: 2, budget: { ratio: 10 } })
        const endpoints = ["a", "b", "c"]
        const { exit } = yield* runOut(
          hedge.execute((hedge) => hedge === 2 ? Effect.succeed(endpoints[hedge]) : Effect.never)
        )
        assert.deepStrictEqual(exit, Exit.succeed("c"))
      }).pipe(Effect.scoped, Effect.provide(layer)))
  })

  describe("interruption", () => {
    it.effect("[K-20][H1] interrupting the caller interrupts every execution and waits for their finalizers", () =>
      Effect.gen(function*() {
        const hedge = yield* Hedge.make("search", { delay: "100 millis", maxHedges: 2, budget: { ratio: 10 } })
        const { call, log } = scripted(hanging)
        const slow = (hedge: number) => Effect.onInterrupt(call(hedge), () => Effect.sleep("1 second"))
        const fiber = yield* Effect.forkChild(hedge.execute(slow), { startImmediately: true })
        yield* TestClock.adjust("300 millis")
        fiber.interruptUnsafe()
        yield* TestClock.adjust("999 millis")
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("1 milli")
        assert.isDefined(fiber.pollUnsafe())
        assert.deepStrictEqual(log.slice(3).toSorted(), ["interrupt 0", "interrupt 1", "interrupt 2"])
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(log.length, 6)
      }).pipe(Effect.scoped, Effect.provide(layer)))

    it.effect("[K-20][H1] no hedge starts while the executions of an interrupted caller end", () =>
      Effect.gen(function*() {
        const hedge = yield* Hedge.make("search", { delay: "100 millis" })
        const started: Array<number> = []
        const call = hedge.execute((number) => {
          started.push(number)
          return Effect.ensuring(Effect.never, Effect.sleep("1 second"))
        })
        const fiber = yield* Effect.forkChild(call, { startImmediately: true })
        yield* TestClock.adjust("50 millis")
        const ended = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
        yield* TestClock.adjust("2 seconds")
        yield* Fiber.join(ended)
        assert.deepStrictEqual(started, [0])
      }).pipe(Effect.scoped, Effect.provide(layer)))

    it.effect("[K-20][H1] a hedge whose start ends the first execution is interrupted", () =>
      Effect.gen(function*() {
        const hedge = yield* Hedge.make("search", { delay: "100 millis" })
        const log: Array<string> = []
        let answer: (first: Effect.Effect<string>) => void = () => assert.fail("not started")
        const call = hedge.execute((number) =>
          number === 0
            ? Effect.callback<string>((resume) => {
              answer = resume
            })
            : Effect.suspend(() => {
              answer(Effect.succeed("first"))
              return Effect.never
            }).pipe(Effect.onInterrupt(() => Effect.sync(() => log.push("interrupted"))))
        )
        const { exit } = yield* runOut(call, "1 second")
        assert.deepStrictEqual([exit, log], [Exit.succeed("first"), ["interrupted"]])
      }).pipe(Effect.scoped, Effect.provide(layer)))

    it.effect("[K-20][H1] the caller gets the answer before a loser's finalizers have run; closing the hedge waits", () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const hedge = yield* Hedge.make("search", { delay: "100 millis" }).pipe(Scope.provide(scope))
        let isReleased = false
        const stuck = Effect.onInterrupt(
          Effect.never,
          () => Effect.andThen(Effect.sleep("1 minute"), Effect.sync(() => isReleased = true))
        )
        const call = hedge.execute((hedge) => hedge === 0 ? stuck : Effect.succeed("hedge"))
        // The caller has no scope.
        const context = Context.omit(Scope.Scope)(yield* Effect.context<Scope.Scope>())
        const fiber = Effect.runForkWith(context)(call)
        yield* TestClock.adjust("100 millis")
        assert.deepStrictEqual(fiber.pollUnsafe(), Exit.succeed("hedge"))
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
        yield* TestClock.adjust("59 seconds")
        assert.deepStrictEqual([isReleased, closing.pollUnsafe()], [false, undefined])
        yield* TestClock.adjust("2 seconds")
        assert.isTrue(isReleased)
        assert.isDefined(closing.pollUnsafe())
      }).pipe(Effect.provide(layer)))
  })

  describe("scopes", () => {
    const acquiring = (log: Array<string>, hedge: number) =>
      Effect.acquireRelease(
        Effect.sync(() => log.push(`acquire ${hedge}`)),
        () => Effect.sync(() => log.push(`release ${hedge}`))
      )

    it.effect("[K-20][H1] what a loser acquired in the caller's scope is released, what the winner acquired stays", () =>
      Effect.gen(function*() {
        const hedge = yield* Hedge.make("search", { delay: "100 millis" })
        const log: Array<string> = []
        const scope = yield* Scope.make()
        const call = hedge.execute((hedge) =>
          Effect.andThen(acquiring(log, hedge), hedge === 0 ? Effect.never : Effect.succeed("hedge"))
        )
        yield* runOut(Scope.provide(call, scope), "1 second")
        assert.deepStrictEqual(log, ["acquire 0", "acquire 1", "release 0"])
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(log, ["acquire 0", "acquire 1", "release 0", "release 1"])
      }).pipe(Effect.scoped, Effect.provide(layer)))

    it.effect("[K-20] calls that acquire nothing leave nothing in a scope that stays open", () =>
      Effect.gen(function*() {
        const hedge = yield* Hedge.make("search", { delay: "100 millis" })
        const scope = yield* Scope.make()
        yield* Scope.provide(hedge.execute(Effect.succeed(1)), scope)
        yield* runOut(
          Scope.provide(hedge.execute((hedge) => hedge === 0 ? Effect.never : Effect.succeed(1)), scope),
          "1 second"
        )
        const background = Effect.andThen(Effect.forkScoped(Effect.sleep("1 second")), Effect.succeed(1))
        yield* runOut(Scope.provide(hedge.execute(background), scope), "10 seconds")
        assert.strictEqual(scope.state._tag, "Empty")
      }).pipe(Effect.scoped, Effect.provide(layer)))

    it.effect("[K-20] a resource that the answer acquires after it released all others belongs to the caller's scope", () =>
      Effect.gen(function*() {
        const hedge = yield* Hedge.make("search", { delay: "100 millis" })
        const log: Array<string> = []
        const scope = yield* Scope.make()
        const own = yield* Scope.provide(hedge.execute(Effect.scope), scope)
        for (let round = 0; round < 3; round++) {
          const inner = yield* Scope.fork(own)
          yield* Scope.provide(acquiring(log, round), inner)
          yield* Scope.close(inner, Exit.void)
          assert.strictEqual(scope.state._tag, "Empty")
        }
        yield* Scope.provide(acquiring(log, 3), own)
        assert.deepStrictEqual(log.slice(-2), ["release 2", "acquire 3"])
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(log.slice(-2), ["acquire 3", "release 3"])
      }).pipe(Effect.scoped, Effect.provide(layer)))

    it.effect("[K-20] a resource that the answer acquires later belongs to the caller's scope", () =>
      Effect.gen(function*() {
        const hedge = yield* Hedge.make("search", { delay: "100 millis" })
        const log: Array<string> = []
        const scope = yield* Scope.make()
        const lazily = Effect.map(Effect.scope, (own) => Scope.provide(acquiring(log, 0), own))
        const answer = yield* Scope.provide(hedge.execute(lazily), scope)
        yield* answer
        assert.deepStrictEqual(log, ["acquire 0"])
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(log, ["acquire 0", "release 0"])
      }).pipe(Effect.scoped, Effect.provide(layer)))
  })

  describe("bounds", () => {
    it.effect("[K-17][K-20] a hedge withdraws from the budget, and is not made when it is spent", () =>
      Effect.gen(function*() {
        const budget = RetryBudget.make({ ratio: 0, minPerSecond: 0.2 })
        const hedge = yield* Hedge.make("search", { delay: "100 millis", budget })
        const { call, log } = scripted(after("1 second", "a"))
        const calls = Effect.all([hedge.execute(call), hedge.execute(call), hedge.execute(call)], { concurrency: 3 })
        yield* runOut(calls, "2 seconds")
        assert.strictEqual(log.filter((line) => line === "start 1").length, 2)
        assert.strictEqual(yield* RetryBudget.available(budget), 0)
        const { budgetSpent, calls: seen, hedges, wins } = yield* hedge.snapshot
        assert.deepStrictEqual([seen, hedges, wins, budgetSpent], [3, 2, 0, 1])
      }).pipe(Effect.scoped, Effect.provide(layer)))

    it.effect("[K-17][K-20] a budget shared with the retries inside counts a call once", () =>
      Effect.gen(function*() {
        const budget = RetryBudget.make({ ratio: 1, minPerSecond: 0 })
        const hedge = yield* Hedge.make("search", { delay: "100 millis", budget })
        const resilience = yield* Resilience.make("search", { retry: { budget } })
        yield* runOut(hedge.execute(resilience.execute(Effect.sleep("50 millis"))), "1 second")
        assert.strictEqual(yield* RetryBudget.available(budget), 1)
        // The hedge withdraws one, and its own execution is no new call.
        yield* runOut(hedge.execute(resilience.execute(Effect.sleep("150 millis"))), "1 second")
        assert.strictEqual(yield* RetryBudget.available(budget), 1)
      }).pipe(Effect.scoped, Effect.provide(layer)))

    it.effect("[K-17][K-20] so it does for a call that is not hedged, since too few answers are known", () =>
      Effect.gen(function*() {
        const budget = RetryBudget.make({ ratio: 1, minPerSecond: 0 })
        const hedge = yield* Hedge.make("search", { minimumCalls: 10, budget })
        const resilience = yield* Resilience.make("search", { retry: { budget } })
        yield* hedge.execute(resilience.execute(Effect.void))
        assert.strictEqual(yield* RetryBudget.available(budget), 1)
      }).pipe(Effect.scoped, Effect.provide(layer)))

    it.effect("[K-12][K-20] maxAttempts of the retries inside counts hedges too", () =>
      Effect.gen(function*() {
        const hedge = yield* Hedge.make("search", { delay: "100 millis", maxHedges: 5, budget: { ratio: 10 } })
        const counting = (maxAttempts: number, work: Effect.Effect<unknown, KeelsonError.NetworkError>) =>
          Effect.gen(function*() {
            let attempts = 0
            const resilience = yield* Resilience.make("search", {
              retry: { maxAttempts, initialDelay: "10 millis", jitter: "none" }
            })
            yield* runOut(
              hedge.execute(resilience.execute(Effect.suspend(() => {
                attempts++
                return work
              }))),
              "10 seconds"
            )
            return attempts
          })
        const slowFailure = Effect.andThen(Effect.sleep("150 millis"), Effect.fail(busy))
        assert.strictEqual(yield* counting(1, Effect.sleep("5 seconds")), 1)
        assert.strictEqual(yield* counting(3, Effect.sleep("5 seconds")), 3)
        assert.strictEqual(yield* counting(3, slowFailure), 3)
        assert.strictEqual(yield* counting(10, Effect.sleep("5 seconds")), 6)
      }).pipe(Effect.scoped, Effect.provide(layer)))

    it.effect("[K-20] retries of another service within a hedged call keep their own attempts", () =>
      Effect.gen(function*() {
        const hedge = yield* Hedge.make("search", { delay: "100 millis" })
        const other = yield* Resilience.make("tokens", { retry: { maxAttempts: 4, initialDelay: "0 millis" } })
        let attempts = 0
        const call = hedge.execute(Effect.andThen(
          Effect.sleep("150 millis"),
          other.execute(Effect.suspend(() => ++attempts % 4 === 0 ? Effect.succeed(1) : Effect.fail(busy)))
        ))
        const { exit } = yield* runOut(call, "1 second")
        assert.deepStrictEqual([exit, attempts], [Exit.succeed(1), 4])
      }).pipe(Effect.scoped, Effect.provide(layer)))

    it.effect("[K-20] no hedge starts at or after the deadline", () =>
      Effect.gen(function*() {
        const hedge = yield* Hedge.make("search", { delay: "100 millis", maxHedges: 5, budget: { ratio: 10 } })
        const { call, log } = scripted(hanging)
        yield* runOut(Deadline.within(hedge.execute(call), "100 millis"), "1 second")
        assert.deepStrictEqual(log, ["start 0", "interrupt 0"])
        yield* runOut(Deadline.within(hedge.execute(call), "250 millis"), "1 second")
        assert.strictEqual(log.filter((line) => line.startsWith("start")).length, 4)
        // Also where nothing ends the call at its deadline: hedges at 100 and 200 of 300 milliseconds.
        log.splice(0)
        const until = (yield* Clock.Clock).monotonicTimeNanosUnsafe() + Duration.toNanosUnsafe("300 millis")
        const call3 = Effect.provideService(hedge.execute(call), Deadline.CurrentDeadline, until)
        yield* runOut(Effect.timeout(call3, "1 second"), "2 seconds")
        assert.deepStrictEqual(log.filter((line) => line.startsWith("start")), ["start 0", "start 1", "start 2"])
      }).pipe(Effect.scoped, Effect.provide(layer)))

    it.effect("[K-20] a rejected hedge does not end the call, and the breaker ignores the interrupted loser", () =>
      Effect.gen(function*() {
        const hedge = yield* Hedge.make("search", { delay: "100 millis" })
        const breaker = yield* Breaker.make("search", { failureThreshold: 1 })
        const { exit } = yield* runOut(
          hedge.execute((hedge) => breaker.execute(hedge === 0 ? Effect.never : Effect.succeed("hedge"))),
          "1 second"
        )
        assert.deepStrictEqual([exit, yield* breaker.state], [Exit.succeed("hedge"), "CLOSED"])
      }).pipe(Effect.scoped, Effect.provide(layer)))
  })

  describe("with a quantile", () => {
    const millis = (count: number) => Effect.sleep(`${count} millis`)

    const seen = (hedge: Hedge.Hedge, latencies: ReadonlyArray<number>) =>
      Effect.forEach(latencies, (latency) => runOut(hedge.execute(millis(latency)), `${latency} millis`))

    it.effect("[K-20] makes no hedge before minimumCalls answers, and then waits for the quantile of what it saw", () =>
      Effect.gen(function*() {
        const hedge = yield* Hedge.make("search", { quantile: 0.9, minimumCalls: 20, budget: { ratio: 10 } })
        yield* seen(hedge, Array.from({ length: 19 }, (_, index) => index + 1))
        assert.isUndefined((yield* hedge.snapshot).delay)
        yield* runOut(hedge.execute(millis(10_000)), "10 seconds")
        const { delay, hedges } = yield* hedge.snapshot
        assert.strictEqual(hedges, 0)
        // The 18th of the 20 latencies, rounded up by at most 4.5 %.
        assert.isAtLeast(Duration.toMillis(delay!), 18)
        assert.isAtMost(Duration.toMillis(delay!), 18 * 1.045)
        yield* runOut(hedge.execute(millis(10_000)), "10 seconds")
        assert.strictEqual((yield* hedge.snapshot).hedges, 1)
      }).pipe(Effect.scoped, Effect.provide(layer)))

    it.live("[K-20] a call is not hedged, however long it takes, while too few answers are known", () =>
      Effect.gen(function*() {
        const hedge = yield* Hedge.make("search", { minimumCalls: 10 })
        yield* hedge.execute(millis(30))
        assert.strictEqual((yield* hedge.snapshot).hedges, 0)
      }).pipe(Effect.scoped, Effect.provide(layer)))

    it.effect("[K-20] failures are no latencies", () =>
      Effect.gen(function*() {
        const hedge = yield* Hedge.make("search", { minimumCalls: 10 })
        for (let call = 0; call < 20; call++) yield* Effect.exit(hedge.execute(Effect.fail("down")))
        assert.isUndefined((yield* hedge.snapshot).delay)
      }).pipe(Effect.scoped, Effect.provide(layer)))

    it.effect("[K-20] a call that its hedge answered counts with at least the delay, so that the quantile does not fall", () =>
      Effect.gen(function*() {
        const hedge = yield* Hedge.make("search", {
          quantile: 0.9,
          minimumCalls: 10,
          windowSize: 20,
          budget: { ratio: 10 }
        })
        yield* seen(hedge, Array.from({ length: 20 }, () => 10))
        const before = (yield* hedge.snapshot).delay!
        for (let call = 0; call < 100; call++) {
          const isSlow = call % 10 === 0
          yield* runOut(hedge.execute((hedge) => millis(isSlow && hedge === 0 ? 1000 : 10)), "2 seconds")
        }
        const { delay, wins } = yield* hedge.snapshot
        assert.strictEqual(wins, 10)
        assert.isAtLeast(Duration.toMillis(delay!), Duration.toMillis(before))
      }).pipe(Effect.scoped, Effect.provide(layer)))

    it.effect("[K-20] follows a service that becomes slower", () =>
      Effect.gen(function*() {
        const hedge = yield* Hedge.make("search", { minimumCalls: 10, windowSize: 50, budget: { ratio: 10 } })
        yield* seen(hedge, Array.from({ length: 100 }, () => 10))
        yield* seen(hedge, Array.from({ length: 20 }, () => 200))
        assert.isAtLeast(Duration.toMillis((yield* hedge.snapshot).delay!), 200)
      }).pipe(Effect.scoped, Effect.provide(layer)))

    it.effect("[K-20] never waits less than minDelay", () =>
      Effect.gen(function*() {
        const hedge = yield* Hedge.make("search", { minimumCalls: 10, minDelay: "25 millis" })
        for (let call = 0; call < 20; call++) yield* hedge.execute(Effect.succeed(1))
        assert.strictEqual(Duration.toMillis((yield* hedge.snapshot).delay!), 25)
      }).pipe(Effect.scoped, Effect.provide(layer)))
  })

  it.effect("[K-20] counts hedges, wins and calls without budget per service", () =>
    Effect.gen(function*() {
      const hedge = yield* Hedge.make("search", {
        delay: "100 millis",
        budget: { ratio: 0, minPerSecond: 0.1, window: "10 seconds" }
      })
      const call = hedge.execute((hedge) => hedge === 0 ? Effect.sleep("1 second") : Effect.void)
      yield* runOut(call, "1 second")
      yield* runOut(call, "1 second")
      const label = "server=\"search\""
      assert.deepStrictEqual(
        [
          yield* metric("hedges_total", label),
          yield* metric("hedge_wins_total", label),
          yield* metric("hedge_budget_spent_total", label)
        ],
        [1, 1, 1]
      )
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.effect("[K-20] an option out of its range is refused", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Hedge.make("search", { quantile: 2 }))
      assert.strictEqual(error.code, "INVALID_CONFIG")
      assert.include(error.message, "quantile")
      assert.include((yield* Effect.flip(Hedge.make("search", { minimumCalls: 600 }))).message, "windowSize")
      for (const options of [null, 5, "text", { budget: null }, { budget: 5 }]) {
        const refused: Effect.Effect<unknown, KeelsonError.ConfigurationError, Scope.Scope> = Reflect.apply(
          Hedge.make,
          undefined,
          ["search", options]
        )
        assert.strictEqual((yield* Effect.flip(refused)).code, "INVALID_CONFIG")
      }
    }).pipe(Effect.scoped, Effect.provide(layer)))
})
