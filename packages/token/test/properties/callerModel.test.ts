/**
 * The tokens of callers against a model. The model has no fibers: it says which lookups are answered at once, which wait for which
 * exchange, and what is kept.
 */
import { assert, describe, it } from "@effect/vitest"
import { BreakerStore, KeelsonError, Resilience } from "@keelson/core"
import { quiet } from "@keelson/testing/observe"
import { forAllEffect } from "@keelson/testing/properties"
import { Deferred, Duration, Effect, Exit, Fiber, Redacted } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { AcquiredToken, type TokenSource } from "../../src/index.ts"
import type { CallerGrant } from "../../src/internal/delegation/callerKey.ts"
import { makeCallerTokens } from "../../src/internal/delegation/callerTokens.ts"
import { rejecting } from "../callerSupport.ts"

const names = ["ada", "ada-phone", "bob", "eve"] as const
type Name = (typeof names)[number]

/** Two callers are one subject, and the token of the last one ends soon. */
const subjects: Record<Name, string> = { ada: "a", "ada-phone": "a", bob: "b", eve: "e" }
const expiry = (name: Name): number => name === "eve" ? 50 : 1e9
const capacity = 2

const callerOf = (name: Name): CallerGrant => ({
  token: Redacted.make(name),
  issuer: "i",
  subject: subjects[name],
  expiresAt: expiry(name),
  grant: {}
})

type Outcome = { readonly lifetime: number } | "rejected" | "down"

type Step =
  | { readonly type: "get"; readonly name: Name }
  | { readonly type: "replace"; readonly name: Name; readonly isOld: boolean }
  | { readonly type: "finish"; readonly name: Name; readonly outcome: Outcome }
  | { readonly type: "forget"; readonly name: Name }
  | { readonly type: "advance"; readonly seconds: number }

const name = fc.constantFrom(...names)
const outcome: fc.Arbitrary<Outcome> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ lifetime: fc.constantFrom(1, 10, 100) }) },
  fc.constantFrom("rejected" as const, "down" as const)
)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ type: fc.constant("get" as const), name }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("replace" as const), name, isOld: fc.boolean() }) },
  { weight: 5, arbitrary: fc.record({ type: fc.constant("finish" as const), name, outcome }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("forget" as const), name }) },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant("advance" as const), seconds: fc.constantFrom(1, 5, 9, 10, 30, 60) })
  }
)

/** What a lookup results in: a token, an error's code, or `none` where a token must not be replaced. */
type Result = string

interface Flight {
  readonly number: number
  readonly began: number
  readonly isReplacement: boolean
  isDiscarded: boolean
}

interface Entry {
  readonly result: Result
  readonly until: number
  readonly replacedAt: number | undefined
}

class Model {
  now = 0
  started = 0
  /** In the order of their use, the last one last. */
  readonly kept = new Map<Name, Entry>()
  readonly flights = new Map<Name, Flight>()

  entryOf(name: Name): Entry | undefined {
    const entry = this.kept.get(name)
    this.kept.delete(name)
    if (entry === undefined || this.now >= entry.until) return undefined
    this.kept.set(name, entry)
    return entry
  }
  join(name: Name, isReplacement: boolean): Result | Flight {
    if (expiry(name) <= this.now) return "TOKEN_EXPIRED"
    const running = this.flights.get(name)
    if (running !== undefined) return running
    const flight = { number: ++this.started, began: this.now, isReplacement, isDiscarded: false }
    this.flights.set(name, flight)
    return flight
  }
  get(name: Name): Result | Flight {
    return this.entryOf(name)?.result ?? this.join(name, false)
  }
  replace(name: Name, rejected: string): Result | Flight {
    const entry = this.entryOf(name)
    if (entry !== undefined && (entry.result !== rejected || entry.result === "SUBJECT_TOKEN_REJECTED")) {
      return entry.result
    }
    const isEarly = entry?.replacedAt !== undefined && this.now < entry.replacedAt + 30
    return isEarly && !this.flights.has(name) ? "none" : this.join(name, true)
  }
  finish(name: Name, flight: Flight, outcome: Outcome): Result {
    if (this.flights.get(name) === flight) this.flights.delete(name)
    if (outcome === "down") return "NETWORK_ERROR"
    const replacedAt = flight.isReplacement ? this.now : undefined
    if (outcome === "rejected") return this.keep(name, flight, "SUBJECT_TOKEN_REJECTED", this.now + 10, replacedAt)
    const { lifetime } = outcome
    const until = Math.min(flight.began + lifetime - Math.min(30, lifetime / 10), expiry(name))
    return this.now >= until ? "TOKEN_EXPIRED" : this.keep(name, flight, `${name}-${flight.number}`, until, replacedAt)
  }
  keep(name: Name, { isDiscarded }: Flight, result: Result, until: number, replacedAt: number | undefined): Result {
    if (isDiscarded) return result
    this.kept.delete(name)
    this.kept.set(name, { result, until, replacedAt })
    const [oldest] = this.kept.keys()
    if (this.kept.size > capacity && oldest !== undefined) this.kept.delete(oldest)
    return result
  }
  forget(subject: string): void {
    for (const name of names) {
      if (subjects[name] !== subject) continue
      this.kept.delete(name)
      const flight = this.flights.get(name)
      if (flight !== undefined) flight.isDiscarded = true
      this.flights.delete(name)
    }
  }
}

interface Waiting {
  readonly flight: Flight
  readonly fiber: Fiber.Fiber<Result>
}

const tokenText = (text: string) =>
  new AcquiredToken.AcquiredToken({
    value: Redacted.make(text),
    issuedAt: { monotonic: 0n, wall: 0 },
    expiresAt: { monotonic: 0n, wall: 0 }
  })

const run = Effect.fnUntraced(function*(steps: ReadonlyArray<Step>) {
  const model = new Model()
  const gates: Array<Deferred.Deferred<TokenSource.TokenResponse, unknown>> = []
  const resilience = yield* Effect.provide(
    Resilience.make("api", {}),
    BreakerStore.layerMemory
  )
  const tokens = yield* makeCallerTokens({
    server: "api",
    source: {
      acquireFor: () =>
        Effect.suspend(() => {
          const gate = Deferred.makeUnsafe<TokenSource.TokenResponse, unknown>()
          gates.push(gate)
          return Deferred.await(gate)
        }),
      isRetryable: () => false
    },
    resilience,
    defaultLifetime: Duration.minutes(5),
    deviations: new Set()
  }, capacity)
  const waiting: Array<Waiting> = []
  /** Exchanges that run, the discarded ones included, in the order of their start. */
  const running: Array<{ readonly name: Name; readonly flight: Flight }> = []

  const look = Effect.fnUntraced(function*(
    name: Name,
    lookup: Effect.Effect<AcquiredToken.AcquiredToken | undefined, { readonly code: string }>,
    expected: Result | Flight
  ) {
    const result = Effect.match(lookup, {
      onSuccess: (token) => token === undefined ? "none" : Redacted.value(token.value),
      onFailure: ({ code }) => code
    })
    const fiber = yield* Effect.forkChild(result, { startImmediately: true })
    const exit = fiber.pollUnsafe()
    if (typeof expected === "string") {
      assert.deepStrictEqual(exit, Exit.succeed(expected))
      return
    }
    assert.isUndefined(exit)
    waiting.push({ flight: expected, fiber })
    if (!running.some(({ flight }) => flight === expected)) running.push({ name, flight: expected })
  })

  const settle = Effect.fnUntraced(function*(name: Name, outcome: Outcome) {
    const index = running.findIndex((one) => one.name === name)
    const [found] = index === -1 ? [] : running.splice(index, 1)
    if (found === undefined) return
    const { flight } = found
    const gate = gates[flight.number - 1]
    assert.isDefined(gate)
    const expected = model.finish(name, flight, outcome)
    if (outcome === "rejected") {
      yield* Deferred.failCause(gate, yield* Effect.flip(Effect.sandbox(rejecting("", {}, 0))))
    } else if (outcome === "down") yield* Deferred.fail(gate, new KeelsonError.NetworkError({ code: "NETWORK_ERROR" }))
    else {
      yield* Deferred.succeed(gate, {
        accessToken: Redacted.make(`${name}-${flight.number}`),
        expiresIn: Duration.seconds(outcome.lifetime)
      })
    }
    for (const one of waiting.filter((one) => one.flight === flight)) {
      assert.strictEqual(yield* Fiber.join(one.fiber), expected)
      waiting.splice(waiting.indexOf(one), 1)
    }
  })

  const lastOf = (name: Name): string => model.kept.get(name)?.result ?? `${name}-0`

  for (const step of steps) {
    switch (step.type) {
      case "get": {
        yield* look(step.name, tokens.get(step.name, callerOf(step.name)), model.get(step.name))
        break
      }
      case "replace": {
        const rejected = step.isOld ? `${step.name}-0` : lastOf(step.name)
        const expected = model.replace(step.name, rejected)
        yield* look(step.name, tokens.replace(step.name, callerOf(step.name), tokenText(rejected)), expected)
        break
      }
      case "finish": {
        yield* settle(step.name, step.outcome)
        break
      }
      case "forget": {
        tokens.forget({ issuer: "i", subject: subjects[step.name] })
        model.forget(subjects[step.name])
        break
      }
      case "advance": {
        model.now += step.seconds
        yield* TestClock.adjust(Duration.seconds(step.seconds))
        break
      }
    }
    assert.strictEqual(gates.length, model.started)
    assert.strictEqual(tokens.size(), model.kept.size)
  }
})

describe("Model of the tokens of callers", () => {
  it("[K-38] lookups, replacements, rejections, expiries, evictions and logouts are those of the model", (context) =>
    forAllEffect(context, 200, fc.array(step, { maxLength: 80, size: "max" }), (steps) => quiet(run(steps))))
})
