import { assert, describe, it } from "@effect/vitest"
import { forAll } from "@keelson/testing/properties"
import { Duration, Effect, Scope } from "effect"
import fc from "fast-check"
import { type Gate, makeGate, Pauses } from "../../src/internal/retry/gate.ts"

const milli = 1_000_000n
const ceiling = 30_000

/** When calls are let through again, in milliseconds. */
interface Model {
  now: number
  until: number
}

type Real = Gate<unknown>
const nanos = (millis: number): bigint => BigInt(millis) * milli

class Advance implements fc.Command<Model, Real> {
  readonly millis: number
  constructor(millis: number) {
    this.millis = millis
  }
  check = () => true
  run(model: Model) {
    model.now += this.millis
  }
  toString = () => `advance ${this.millis} ms`
}

class Pause implements fc.Command<Model, Real> {
  readonly millis: number
  constructor(millis: number) {
    this.millis = millis
  }
  check = () => true
  run(model: Model, gate: Real) {
    gate.pause(Duration.millis(this.millis), nanos(model.now))
    model.until = Math.max(model.until, model.now + Math.min(this.millis, ceiling))
  }
  toString = () => `pause ${this.millis} ms`
}

class Open implements fc.Command<Model, Real> {
  check = () => true
  run(model: Model, gate: Real) {
    gate.open()
    model.until = 0
  }
  toString = () => "open"
}

class Call implements fc.Command<Model, Real> {
  readonly random: number
  constructor(random: number) {
    this.random = random
  }
  check = () => true
  run({ now, until }: Model, gate: Real) {
    const isClosed = until > now
    assert.strictEqual(gate.isClosed(nanos(now)), isClosed)
    const wait = Duration.toMillis(gate.delay(nanos(now), this.random))
    if (isClosed) {
      // No call is made during a pause, and the last one waits for at most a tenth of the longest pause after it.
      assert.isAtLeast(wait, until - now)
      assert.isAtMost(wait, until - now + ceiling * 0.1)
    } else assert.strictEqual(wait, 0)
  }
  toString = () => `call ${this.random}`
}

const commands = fc.commands([
  fc.nat(20_000).map((millis) => new Advance(millis)),
  fc.nat(60_000).map((millis) => new Pause(millis)),
  fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }).map((random) => new Call(random)),
  fc.constant(new Open())
], { maxCommands: 100, size: "max" })

describe("Throttle", () => {
  it("[K-32] lets no call through during a pause, keeps the longest, and none above the ceiling (model)", (context) => {
    const policy = { ceiling: Duration.millis(ceiling), maxWait: Duration.minutes(1), spread: 0.1 }
    forAll(context, 500, commands, (steps) =>
      fc.modelRun(() => ({
        model: { now: 1, until: 0 },
        real: makeGate("model", policy).pipe(
          Effect.provideService(Pauses, new Map()),
          Scope.provide(Scope.makeUnsafe()),
          Effect.runSync
        )
      }), steps))
  })
})
