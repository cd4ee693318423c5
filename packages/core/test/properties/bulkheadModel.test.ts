import { assert, describe, it } from "@effect/vitest"
import { forAllEffect } from "@keelson/testing/properties"
import { Deferred, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { Bulkhead } from "../../src/index.ts"

const places = 2
const maxQueued = 3
const maxWait = 10

type How = "ok" | "fail" | "die" | "interrupt"
type Step =
  | { readonly _tag: "start"; readonly key: string | undefined }
  | { readonly _tag: "end"; readonly index: number; readonly how: How }
  /** Ends one call and, before any fiber runs again, interrupts another one. */
  | { readonly _tag: "race"; readonly index: number; readonly other: number }
  | { readonly _tag: "wait"; readonly seconds: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ _tag: fc.constant("start" as const), key: fc.constantFrom(undefined, "a", "b") })
  },
  {
    weight: 5,
    arbitrary: fc.record({
      _tag: fc.constant("end" as const),
      index: fc.nat(9),
      how: fc.constantFrom<How>("ok", "fail", "die", "interrupt")
    })
  },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("race" as const), index: fc.nat(9), other: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("wait" as const), seconds: fc.integer({ min: 1, max: 12 }) }) }
)

interface Call {
  readonly id: number
  readonly key: string | undefined
  readonly gate: Deferred.Deferred<void, string>
  readonly fiber: Fiber.Fiber<void, unknown>
}

/** The places of one key: who runs, and who waits until when. */
interface Room {
  running: Array<number>
  waiting: Array<{ readonly id: number; readonly until: number }>
}

/** The bulkhead as its documentation tells it. */
class Model {
  readonly rooms = new Map<string | undefined, Room>()
  now = 0
  rejected = 0

  room(key: string | undefined): Room {
    const room = this.rooms.get(key) ?? { running: [], waiting: [] }
    this.rooms.set(key, room)
    return room
  }
  start(id: number, key: string | undefined): "running" | "waiting" | "rejected" {
    const room = this.room(key)
    if (room.running.length < places) {
      room.running.push(id)
      return "running"
    }
    if (room.waiting.length < maxQueued) {
      room.waiting.push({ id, until: this.now + maxWait })
      return "waiting"
    }
    this.rejected++
    return "rejected"
  }
  end(id: number, key: string | undefined) {
    const room = this.room(key)
    room.running = room.running.filter((running) => running !== id)
    room.waiting = room.waiting.filter((waiting) => waiting.id !== id)
    const next = room.running.length < places ? room.waiting.shift() : undefined
    if (next !== undefined) room.running.push(next.id)
  }
  wait(seconds: number): ReadonlyArray<number> {
    this.now += seconds
    const over = (until: number) => until <= this.now
    const rejected: Array<number> = []
    for (const room of this.rooms.values()) {
      rejected.push(...room.waiting.filter(({ until }) => over(until)).map(({ id }) => id))
      room.waiting = room.waiting.filter(({ until }) => !over(until))
    }
    this.rejected += rejected.length
    return rejected
  }
  get running(): ReadonlyArray<number> {
    return Array.from(this.rooms.values(), ({ running }) => running).flat().toSorted((a, b) => a - b)
  }
  get queued(): number {
    return Array.from(this.rooms.values(), ({ waiting }) => waiting.length).reduce((sum, count) => sum + count, 0)
  }
}

const run = Effect.fnUntraced(function*(steps: ReadonlyArray<Step>) {
  const bulkhead = yield* Bulkhead.make("model", { maxConcurrent: places, maxQueued, maxWait: `${maxWait} seconds` })
  const model = new Model()
  const inside = new Map<number, string | undefined>()
  let most = 0
  let calls: Array<Call> = []
  let next = 0

  const start = Effect.fnUntraced(function*(key: string | undefined) {
    const id = next++
    const expected = model.start(id, key)
    const gate = yield* Deferred.make<void, string>()
    const body = Effect.acquireUseRelease(
      Effect.sync(() => {
        inside.set(id, key)
        most = Math.max(most, Array.from(inside.values()).filter((other) => other === key).length)
      }),
      () => Deferred.await(gate),
      () => Effect.sync(() => inside.delete(id))
    )
    const call = bulkhead.execute(body, { key })
    const fiber = yield* Effect.forkChild(call, { startImmediately: true })
    if (expected === "rejected") assert.instanceOf(yield* Effect.flip(Fiber.join(fiber)), Bulkhead.BulkheadFull)
    else calls.push({ id, key, gate, fiber })
  })
  const take = (index: number): Call | undefined => calls[index % Math.max(1, calls.length)]
  const gone = ({ id, key }: Call) => {
    model.end(id, key)
    calls = calls.filter((call) => call.id !== id)
  }
  const end = Effect.fnUntraced(function*(call: Call, how: How) {
    // A call that waits ends only by interruption.
    if (how === "interrupt" || !inside.has(call.id)) yield* Fiber.interrupt(call.fiber)
    else {
      yield* Deferred.completeWith(
        call.gate,
        how === "ok" ? Effect.void : how === "fail" ? Effect.fail("no") : Effect.die("no")
      )
    }
    yield* Fiber.await(call.fiber)
    gone(call)
  })
  for (const step of steps) {
    switch (step._tag) {
      case "start":
        yield* start(step.key)
        break
      case "end": {
        const call = take(step.index)
        if (call !== undefined) yield* end(call, step.how)
        break
      }
      case "race": {
        const [call, other] = [take(step.index), take(step.other)]
        if (call === undefined || other === undefined || call === other) break
        call.fiber.interruptUnsafe()
        other.fiber.interruptUnsafe()
        yield* Effect.forEach([call, other], ({ fiber }) => Fiber.await(fiber))
        gone(call)
        gone(other)
        break
      }
      case "wait": {
        yield* TestClock.adjust(`${step.seconds} seconds`)
        const over = model.wait(step.seconds)
        for (const call of calls.filter(({ id }) => over.includes(id))) {
          assert.isTrue(Exit.isFailure(yield* Fiber.await(call.fiber)))
        }
        calls = calls.filter(({ id }) => !over.includes(id))
      }
    }
    yield* Effect.yieldNow
    const snapshot = yield* bulkhead.snapshot
    const keys = Array.from(model.rooms, ([key, { running }]) => key !== undefined && running.length > 0).filter(
      Boolean
    )
    assert.deepStrictEqual(Array.from(inside.keys()).toSorted((a, b) => a - b), model.running)
    assert.deepStrictEqual(snapshot, {
      inFlight: model.running.length,
      queued: model.queued,
      rejected: model.rejected,
      keys: keys.length
    })
    assert.isAtMost(most, places)
  }
  yield* Effect.forEach(calls, ({ fiber }) => Fiber.interrupt(fiber))
  assert.deepInclude(yield* bulkhead.snapshot, { inFlight: 0, queued: 0, keys: 0 })
})

describe("Bulkhead", () => {
  it("[K-19] [B1] never has more than N calls in flight, and serves, rejects and forgets as its model (model)", (context) =>
    forAllEffect(context, 400, fc.array(step, { maxLength: 50 }), run))
})
