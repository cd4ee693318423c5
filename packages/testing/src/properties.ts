/** Properties with fast-check. Each case of an effect has its own virtual time. */
import { Effect, type Scope } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { onTestFinished, type TestContext } from "vitest"

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

/** A property of effects. Each case has its own virtual time and scope. Reports how many cases ran. */
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
