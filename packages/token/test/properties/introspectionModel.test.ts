import { assert, describe, it } from "@effect/vitest"
import { forAllEffect } from "@keelson/testing/properties"
import { skewedClock } from "@keelson/testing/virtualTime"
import { Clock, Effect } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { active, introspected, json, makeEndpoint, opaque } from "../introspectionSupport.ts"

const tolerance = 30_000
const names = ["a", "b", "c"] as const
type Name = (typeof names)[number]

/** What the server says about a token from now on. `expiresIn` counts in seconds of the wall clock at that moment. */
type State =
  | { readonly kind: "active"; readonly expiresIn: number }
  | { readonly kind: "inactive" | "otherAudience" | "down" }

type Step =
  | { readonly do: "validate"; readonly name: Name }
  | { readonly do: "set"; readonly name: Name; readonly state: State }
  | { readonly do: "pass"; readonly millis: number }
  | { readonly do: "skew"; readonly millis: number }
  | { readonly do: "invalidate" }

const name = fc.constantFrom(...names)
const state: fc.Arbitrary<State> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("active" as const),
      expiresIn: fc.oneof(fc.integer({ min: -60, max: 90 }), fc.constant(3600))
    })
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      { kind: "inactive" as const },
      { kind: "otherAudience" as const },
      { kind: "down" as const }
    )
  }
)
/** Durations near the bounds of R9, and others. */
const duration = (least: number) =>
  fc.oneof(
    fc.constantFrom(1, 9_999, 10_000, 59_999, 60_000),
    fc.integer({ min: least, max: 90_000 })
  )
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant("validate" as const), name }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("set" as const), name, state }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("pass" as const), millis: duration(0) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("skew" as const), millis: duration(-120_000) }) },
  { weight: 1, arbitrary: fc.constant({ do: "invalidate" as const }) }
)

type Outcome = "accepted" | "TokenInactive" | "AudienceMismatch" | "TokenExpired" | "IntrospectionUnavailable"

/** A remembered answer. */
interface Answer {
  readonly outcome: Outcome
  readonly monotonic: number
  readonly wall: number
  /** Of an active answer, in milliseconds since 1970. */
  readonly exp: number
}

const hour = 3_600_000

/** R9 as it is written: an answer, how old it is, and whether its token has expired. */
class Model {
  monotonic = 20_000 * 24 * hour
  skew = 0
  requests = 0
  readonly states = new Map<Name, { readonly state: State; readonly exp: number }>()
  readonly answers = new Map<Name, Answer>()
  get wall(): number {
    return this.monotonic + this.skew
  }
  #isUsable({ exp, monotonic, outcome, wall }: Answer): boolean {
    // R23: the larger of the two elapsed times.
    const age = Math.max(this.monotonic - monotonic, this.wall - wall)
    if (outcome !== "accepted") {
      return age < 10_000 && (outcome !== "TokenExpired" || this.wall >= exp + tolerance)
    }
    return age < 60_000 && this.wall < exp && this.monotonic - monotonic < exp - wall
  }
  #ask(name: Name): Answer {
    this.requests++
    const { exp, state } = this.states.get(name) ?? { exp: 0, state: { kind: "inactive" } as State }
    const at = { monotonic: this.monotonic, wall: this.wall, exp }
    switch (state.kind) {
      case "active":
        return { ...at, outcome: this.wall >= exp + tolerance ? "TokenExpired" : "accepted" }
      case "inactive":
        return { ...at, outcome: "TokenInactive" }
      case "otherAudience":
        return { ...at, outcome: "AudienceMismatch" }
      case "down":
        return { ...at, outcome: "IntrospectionUnavailable" }
    }
  }
  validate(name: Name): Outcome {
    const known = this.answers.get(name)
    if (known !== undefined && this.#isUsable(known)) return known.outcome
    const answer = this.#ask(name)
    if (answer.outcome === "IntrospectionUnavailable") this.answers.delete(name)
    else this.answers.set(name, answer)
    return answer.outcome
  }
}

/** How often each outcome came from memory and from a request. */
const seen = { fromMemory: 0, asked: 0, accepted: 0, rejected: 0, down: 0 }

const respondOf = (model: Model) =>
  makeEndpoint(({ token }) => {
    const name = names.find((one) => opaque(one) === token) ?? "a"
    const { exp, state } = model.states.get(name) ?? { exp: 0, state: { kind: "inactive" } as State }
    if (state.kind === "down") return Effect.succeed(json({}, 503))
    if (state.kind === "inactive") return Effect.succeed(json({ active: false }))
    const aud = state.kind === "active" ? "api" : "other"
    return Effect.map(active({ aud, exp: exp / 1000, iat: undefined }), (answer) => json(answer))
  })

const run = Effect.fnUntraced(function*(steps: ReadonlyArray<Step>) {
  const { clock, skew } = yield* skewedClock
  const model = new Model()
  yield* TestClock.setTime(model.monotonic)
  const server = respondOf(model)
  const body = Effect.gen(function*() {
    const tokens = yield* introspected(server, {
      newTokensPerSecond: 100_000,
      resilience: { retry: { maxAttempts: 1 }, breaker: { enabled: false } }
    })
    for (const step of steps) {
      if (step.do === "pass") {
        yield* TestClock.adjust(step.millis)
        model.monotonic += step.millis
      } else if (step.do === "skew") {
        skew.millis += step.millis
        model.skew = skew.millis
      } else if (step.do === "set") {
        const lifetime = step.state.kind === "active" ? step.state.expiresIn * 1000 : 24 * hour
        // Whole seconds, as in an answer.
        model.states.set(step.name, { state: step.state, exp: Math.floor((model.wall + lifetime) / 1000) * 1000 })
      } else if (step.do === "invalidate") {
        yield* tokens.invalidate
        model.answers.clear()
      } else {
        const before = model.requests
        const expected = model.validate(step.name)
        const outcome = yield* Effect.match(tokens.validate(opaque(step.name)), {
          onSuccess: (): string => "accepted",
          onFailure: ({ reason }) => reason._tag
        })
        assert.deepStrictEqual([outcome, server.asked.length], [expected, model.requests])
        seen[model.requests === before ? "fromMemory" : "asked"]++
        seen[expected === "accepted" ? "accepted" : expected === "IntrospectionUnavailable" ? "down" : "rejected"]++
      }
    }
  })
  yield* Effect.provideService(body, Clock.Clock, clock)
})

describe("Introspection", () => {
  it("[K-23] [R9] [R23] the cache agrees with a naive model, for any answers and clock changes", async (context) => {
    await forAllEffect(context, 150, fc.array(step, { maxLength: 60, size: "max" }), run)
    assert.isAbove(seen.fromMemory, 150)
    assert.isAbove(seen.asked, 150)
    assert.isAbove(seen.accepted, 100)
    assert.isAbove(seen.rejected, 100)
    assert.isAbove(seen.down, 20)
  })
})
