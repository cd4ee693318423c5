import { assert, describe, it } from "@effect/vitest"
import { KeelsonError } from "@keelson/core"
import { quiet } from "@keelson/testing/observe"
import { forAllEffect } from "@keelson/testing/properties"
import { Effect, Fiber, Redacted } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { WorkloadIdentity } from "../../src/index.ts"

type Mode = "works" | "fails" | "hangs"

type Step =
  | { readonly do: "set"; readonly source: number; readonly mode: Mode }
  | { readonly do: "use"; readonly callers: number }

const step = (sources: number): fc.Arbitrary<Step> =>
  fc.oneof(
    fc.record({
      do: fc.constant("set" as const),
      source: fc.nat(sources - 1),
      mode: fc.constantFrom("works", "works", "fails", "hangs")
    }),
    fc.record({ do: fc.constant("use" as const), callers: fc.integer({ min: 1, max: 4 }) })
  )

const scenario = fc.integer({ min: 1, max: 4 }).chain((sources) =>
  fc.record({ sources: fc.constant(sources), steps: fc.array(step(sources), { minLength: 5, maxLength: 30 }) })
)

/** Divisible by every number of sources. */
const within = 12_000

interface Expected {
  /** The number of the source, or the code of the error. */
  readonly result: number | string
  readonly chosen: number | undefined
  readonly after: number
}

/** What a selection gives: the first source that works, later by a share for each one before it that hangs. */
const selected = (modes: ReadonlyArray<Mode>, among: ReadonlyArray<number>): Expected => {
  const first = among.findIndex((source) => modes[source] === "works")
  const hangs = (list: ReadonlyArray<number>) => list.filter((source) => modes[source] === "hangs").length
  if (first >= 0) {
    const chosen = among[first]
    return { result: chosen ?? -1, chosen, after: hangs(among.slice(0, first)) * within / among.length }
  }
  return hangs(among) > 0
    ? { result: "TIMEOUT", chosen: undefined, after: within }
    : { result: "WORKLOAD_IDENTITY_UNAVAILABLE", chosen: undefined, after: 0 }
}

const expectedOf = (modes: ReadonlyArray<Mode>, chosen: number | undefined): Expected => {
  const all = modes.map((_, source) => source)
  if (chosen === undefined) return selected(modes, all)
  if (modes[chosen] === "works") return { result: chosen, chosen, after: 0 }
  if (modes[chosen] === "hangs") return { result: "TIMEOUT", chosen: undefined, after: within }
  const others = all.filter((source) => source !== chosen)
  return others.length === 0
    ? { result: "WORKLOAD_IDENTITY_UNAVAILABLE", chosen: undefined, after: 0 }
    : selected(modes, others)
}

const failure = new KeelsonError.AuthenticationError({ code: "WORKLOAD_IDENTITY_UNAVAILABLE" })

const run = (sources: number, steps: ReadonlyArray<Step>) =>
  Effect.gen(function*() {
    const modes: Array<Mode> = Array.from({ length: sources }, () => "fails")
    const identityOf = (source: number): WorkloadIdentity.WorkloadIdentity => {
      const acquire = Effect.suspend(() => {
        if (modes[source] === "fails") return Effect.fail(failure)
        return modes[source] === "hangs" ? Effect.never : Effect.succeed({ accessToken: Redacted.make(String(source)) })
      })
      const assertion = Effect.map(acquire, ({ accessToken }) => accessToken)
      return { name: String(source), acquire, assertion, isRetryable: () => false }
    }
    const identity = yield* WorkloadIdentity.firstOf(
      modes.map((_, source) => Effect.succeed(identityOf(source))),
      { within: "12 seconds" }
    )
    const use = Effect.match(identity.assertion, {
      onSuccess: (token): number | string => Number(Redacted.value(token)),
      onFailure: ({ code }) => code
    })
    let chosen: number | undefined
    for (const step of steps) {
      if (step.do === "set") {
        modes[step.source] = step.mode
        continue
      }
      const expected = expectedOf(modes, chosen)
      const callers = yield* Effect.forEach(
        Array.from({ length: step.callers }),
        () => Effect.forkChild(use, { startImmediately: true })
      )
      if (expected.after > 0) {
        yield* TestClock.adjust(expected.after - 1)
        assert.isTrue(callers.every((caller) => caller.pollUnsafe() === undefined), "too soon")
        yield* TestClock.adjust(1)
      }
      // What comes after the limit, if anything, would come with this.
      yield* TestClock.adjust(1)
      assert.isTrue(callers.every((caller) => caller.pollUnsafe() !== undefined), "too late")
      const results = yield* Effect.forEach(callers, Fiber.join)
      assert.deepStrictEqual(results, Array.from({ length: step.callers }, () => expected.result))
      chosen = expected.chosen
    }
  })

describe("firstOf", () => {
  it("[K-39] gives the token of the first source that works, within the limit, and keeps its choice", (context) =>
    forAllEffect(
      context,
      1000,
      scenario,
      ({ sources, steps }) => quiet(run(sources, [...steps, { do: "use", callers: 1 }]))
    ))
})
