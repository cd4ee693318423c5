import { Clock, type Duration, Effect, Exit, Fiber, Option, type Scope } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { onTestFinished, type TestContext } from "vitest"
import { Retry } from "../src/index.ts"

/** The seed of a run that must not vary, as with mutants; otherwise fast-check chooses one and prints it on failure. */
const fixedSeed = process.env["KEELSON_SEED"] === undefined ? undefined : Number(process.env["KEELSON_SEED"])

const parameters = (cases: number): { numRuns: number; seed?: number } =>
  fixedSeed === undefined ? { numRuns: cases } : { numRuns: cases, seed: fixedSeed }

/** A property of plain values. Reports how many cases ran. */
export const forAll = <A>(
  { task }: Pick<TestContext, "task">,
  cases: number,
  arbitrary: fc.Arbitrary<A>,
  check: (value: A) => void
): void => {
  let ran = 0
  fc.assert(
    fc.property(arbitrary, (value) => {
      ran++
      check(value)
    }),
    parameters(cases)
  )
  task.meta.cases = ran
}

/** A property of effects: each case in a virtual time and scope of its own. Reports how many cases ran. */
export const forAllEffect = async <A, E>(
  { task }: Pick<TestContext, "task">,
  cases: number,
  arbitrary: fc.Arbitrary<A>,
  check: (value: A) => Effect.Effect<void, E, Scope.Scope>
): Promise<void> => {
  let ran = 0
  const abort = new AbortController()
  onTestFinished(() => abort.abort())
  await fc.assert(
    fc.asyncProperty(arbitrary, (value) => {
      ran++
      return Effect.runPromise(check(value).pipe(Effect.scoped, Effect.provide(TestClock.layer())), {
        signal: abort.signal
      })
    }),
    parameters(cases)
  )
  task.meta.cases = ran
}

/** A virtual clock whose wall time can be set apart; monotonic time and sleeps don't move with it. */
export const skewedClock = Effect.map(Clock.Clock, (base) => {
  const skew = { millis: 0 }
  const now = () => base.currentTimeMillisUnsafe() + skew.millis
  const clock: Clock.Clock = Object.create(base, {
    currentTimeMillisUnsafe: { value: now },
    currentTimeMillis: { value: Effect.sync(now) }
  })
  return { skew, clock }
})

/** Runs an effect while virtual time passes, half an hour of it: how it ended, and how much time it took. */
export const runOut = <A, E, R>(self: Effect.Effect<A, E, R>, time: Duration.Input = "30 minutes") =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(Effect.timed(Effect.exit(self)), { startImmediately: true })
    yield* TestClock.adjust(time)
    const [elapsed, exit] = yield* Fiber.join(fiber)
    return { elapsed, exit }
  })

/** The error that an effect ended with. */
export const errorOf = <E>(exit: Exit.Exit<unknown, E>): E => Option.getOrThrow(Exit.findErrorOption(exit))

const isExhausted = <E>(error: E): error is E & Retry.RetryExhausted<unknown> => error instanceof Retry.RetryExhausted

/** The same, where it has to be that of a retry that gave up. */
export const exhausted = <E>(exit: Exit.Exit<unknown, E>): E & Retry.RetryExhausted<unknown> => {
  const error = errorOf(exit)
  if (!isExhausted(error)) throw new Error(`not exhausted: ${String(error)}`)
  return error
}
