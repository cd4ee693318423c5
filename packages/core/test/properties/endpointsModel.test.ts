import { assert, describe, it } from "@effect/vitest"
import { forAllEffect } from "@keelson/testing/properties"
import { Deferred, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { BreakerStore, Endpoints } from "../../src/index.ts"

const threshold = 2
const openSeconds = 10
const ids = ["a", "b", "c"] as const
type How = "ok" | "fail" | "interrupt"

/** One step: an endpoint changes its health, a call, the end of a call that hangs, time. */
type Step =
  | { readonly _tag: "health"; readonly index: number; readonly health: "ok" | "down" | "hung" }
  | { readonly _tag: "call" }
  | { readonly _tag: "end"; readonly index: number; readonly how: How }
  | { readonly _tag: "wait"; readonly seconds: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      _tag: fc.constant("health" as const),
      index: fc.nat(2),
      health: fc.constantFrom("ok" as const, "down" as const, "down" as const, "hung" as const)
    })
  },
  { weight: 6, arbitrary: fc.record({ _tag: fc.constant("call" as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      _tag: fc.constant("end" as const),
      index: fc.nat(5),
      how: fc.constantFrom("ok" as const, "fail" as const, "interrupt" as const)
    })
  },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("wait" as const), seconds: fc.integer({ min: 1, max: 12 }) }) }
)

interface Admission {
  readonly era: number
  readonly isProbe: boolean
}

/** The circuit of one endpoint, as its documentation describes it. */
class Circuit {
  state: "CLOSED" | "OPEN" | "HALF_OPEN" = "CLOSED"
  streak = 0
  openUntil = 0
  era = 0
  probing = false

  admit(now: number): Admission | undefined {
    if (this.state === "OPEN" && now >= this.openUntil) this.state = "HALF_OPEN"
    if (this.state === "OPEN" || (this.state === "HALF_OPEN" && this.probing)) return undefined
    if (this.state === "CLOSED") return { era: this.era, isProbe: false }
    this.probing = true
    return { era: ++this.era, isProbe: true }
  }
  record({ era, isProbe }: Admission, how: How, now: number): void {
    if (era !== this.era) return
    if (isProbe) this.probing = false
    if (how === "interrupt") return
    if (how === "ok") {
      this.state = "CLOSED"
      this.streak = 0
      if (isProbe) this.era++
    } else if (isProbe || ++this.streak >= threshold) {
      this.state = "OPEN"
      this.openUntil = now + openSeconds
      this.streak = 0
      this.era++
    }
  }
}

/** What a call came to: the id of the endpoint that answered, `<id> failed`, or `none`. A hung call has no result. */
interface Running {
  readonly at: number
  readonly admission: Admission
}

class Model {
  readonly health: Array<"ok" | "down" | "hung"> = ["ok", "ok", "ok"]
  readonly circuits = ids.map(() => new Circuit())
  readonly called: Array<string> = []
  now = 0

  /** Continues a call at an endpoint. Returns its result, or where it hangs. */
  call(from = 0, failed?: string): string | Running {
    for (let at = from; at < ids.length; at++) {
      const circuit = this.circuits[at]!
      const admission = circuit.admit(this.now)
      if (admission === undefined) continue
      const id = ids[at]!
      this.called.push(id)
      if (this.health[at] === "hung") return { at, admission }
      circuit.record(admission, this.health[at] === "ok" ? "ok" : "fail", this.now)
      if (this.health[at] === "ok") return id
      failed = `${id} failed`
    }
    return failed ?? "none"
  }
  end({ admission, at }: Running, how: How): string | Running {
    this.circuits[at]!.record(admission, how, this.now)
    const id = ids[at]!
    return how === "ok" ? id : how === "interrupt" ? "interrupted" : this.call(at + 1, `${id} failed`)
  }
}

interface Hung {
  running: Running
  readonly fiber: Fiber.Fiber<string>
  gates: ReadonlyArray<Deferred.Deferred<string, string>>
}

const run = Effect.fnUntraced(function*(steps: ReadonlyArray<Step>) {
  const model = new Model()
  const called: Array<string> = []
  const endpoints = yield* Endpoints.make("model", {
    endpoints: [...ids],
    breaker: { failureThreshold: threshold, openDuration: `${openSeconds} seconds` }
  })
  let hung: Array<Hung> = []

  const begin = Effect.fnUntraced(function*() {
    const gates: Array<Deferred.Deferred<string, string>> = []
    const call = endpoints.execute(({ id }) =>
      Effect.suspend(() => {
        called.push(id)
        const health = model.health[ids.findIndex((known) => known === id)]
        if (health === "ok") return Effect.succeed(id)
        if (health === "down") return Effect.fail(`${id} failed`)
        const gate = Deferred.makeUnsafe<string, string>()
        gates.push(gate)
        return Deferred.await(gate)
      })
    ).pipe(Effect.catch((error) => Effect.succeed(typeof error === "string" ? error : "none")))
    const fiber = yield* Effect.forkChild(call, { startImmediately: true })
    return { fiber, gates }
  })
  /** Compares a call with what the model says of it. */
  const settle = Effect.fnUntraced(function*(call: Omit<Hung, "running">, expected: string | Running) {
    if (typeof expected === "string") assert.strictEqual(yield* Fiber.join(call.fiber), expected)
    else {
      yield* Effect.yieldNow
      assert.isUndefined(call.fiber.pollUnsafe())
      hung.push({ ...call, running: expected })
    }
  })
  for (const step of steps) {
    switch (step._tag) {
      case "health":
        model.health[step.index] = step.health
        break
      case "call": {
        const expected = model.call()
        yield* settle(yield* begin(), expected)
        break
      }
      case "end": {
        const [call] = hung.splice(step.index % Math.max(1, hung.length), 1)
        if (call === undefined) break
        const expected = model.end(call.running, step.how)
        const gate = call.gates.at(-1)!
        if (step.how === "interrupt") yield* Fiber.interrupt(call.fiber)
        else {
          const id = ids[call.running.at]!
          yield* Deferred.completeWith(gate, step.how === "ok" ? Effect.succeed(id) : Effect.fail(`${id} failed`))
          yield* settle(call, expected)
        }
        break
      }
      case "wait":
        yield* TestClock.adjust(`${step.seconds} seconds`)
        model.now += step.seconds
    }
    assert.deepStrictEqual(called, model.called)
    const states = yield* Effect.forEach(endpoints.endpoints, ({ breaker }) => breaker!.state)
    assert.deepStrictEqual(states, model.circuits.map(({ state }) => state))
  }
  yield* Effect.forEach(hung, ({ fiber }) => Fiber.interrupt(fiber))
})

describe("Endpoints", () => {
  it("[K-34] each call goes to the first endpoints that admit it, each at most once, whatever the order of events (model)", (context) =>
    forAllEffect(
      context,
      400,
      fc.array(step, { maxLength: 40 }),
      (steps) => Effect.provide(run(steps), BreakerStore.layerMemory)
    ))
})
