import { assert, describe, it } from "@effect/vitest"
import { BreakerStore } from "@keelson/core"
import { type ObjectStore, Replicas } from "@keelson/gateway"
import { forAllEffect } from "@keelson/testing/properties"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { bodyOf, onceOf, start } from "../support.ts"

/** What a store does with a request. */
interface Behaviour {
  readonly does: "answers" | "breaks" | "fails" | "hangs"
  /** For `answers` and `breaks`. */
  readonly status: number
  /** For `fails`. */
  readonly failure: ObjectStore.StoreFailure
  /** How many times other work runs before it does it; at 0 it does it before `dispatch` returns. */
  readonly steps: number
  /** Whether it reads the body of the request first. */
  readonly isReading: boolean
}

const behaviour: fc.Arbitrary<Behaviour> = fc.record({
  does: fc.constantFrom("answers", "answers", "breaks", "fails", "hangs"),
  status: fc.constantFrom(200, 206, 304, 403, 404, 412, 416, 429, 500, 501, 503),
  failure: fc.constantFrom("unreachable", "timeout", "credentials", "invalid"),
  steps: fc.integer({ min: 0, max: 3 }),
  isReading: fc.boolean()
})

const cases = fc.record({
  stores: fc.array(behaviour, { minLength: 1, maxLength: 4 }),
  body: fc.constantFrom("none", "once", "repeatable"),
  /** After how many steps the caller leaves. */
  abortAfter: fc.option(fc.integer({ min: 0, max: 8 }), { nil: undefined })
})

const step = () => new Promise<void>((resolve) => setImmediate(resolve))

/** Waits for so many steps. */
const pause = (steps: number): Promise<void> => steps === 0 ? Promise.resolve() : step().then(() => pause(steps - 1))

/** A store that behaves so, and counts what it is asked. */
const storeOf = ({ does, failure, isReading, status, steps }: Behaviour) => {
  const seen = { dispatched: 0, aborted: 0, running: 0 }
  const dispatch: ObjectStore.ObjectStore["dispatch"] = ({ body }, handler) => {
    let isOver = false
    seen.dispatched++
    seen.running++
    const finish = (how: () => void): void => {
      if (isOver) return
      isOver = true
      seen.running--
      how()
    }
    const act = (): void => {
      if (isOver || does === "hangs") return
      if (does === "fails") return finish(() => handler.onFailure(failure, undefined))
      handler.onHead({ status, headers: { from: String(seen.dispatched) }, replica: 0 })
      if (isOver) return
      handler.onData(Buffer.from("body"))
      finish(() => does === "answers" ? handler.onEnd() : handler.onFailure("incomplete", undefined))
    }
    const later = async (): Promise<void> => {
      if (isReading && body !== undefined) { for await (const _ of body.chunks) await step() }
      await pause(steps)
      act()
    }
    if (steps === 0 && !(isReading && body !== undefined)) act()
    else void later()
    return {
      resume: () => {},
      abort: () => {
        seen.aborted++
        finish(() => handler.onFailure("aborted", undefined))
      }
    }
  }
  return { seen, store: { dispatch } }
}

const isFault = (status: number) => status === 429 || (status >= 500 && status !== 501)

/** Whether the request moves on from a store, by the rules of the guide. */
const movesOn = ({ does, failure, isReading, status }: Behaviour, body: string): boolean => {
  if (body === "once" && isReading) return false
  if (does === "hangs") return body === "none"
  return does === "fails" ? failure !== "invalid" : isFault(status)
}

/** How the request must end, if its caller stays; `undefined` for one that never does. */
const expected = (stores: ReadonlyArray<Behaviour>, body: string): string | undefined => {
  const index = stores.findIndex((one) => !movesOn(one, body))
  const last = index < 0 ? stores.length - 1 : index
  const { does, failure, status } = stores[last]!
  if (does === "hangs") return body === "none" ? "timeout" : undefined
  if (does === "fails") return failure
  if (isFault(status)) return `${status} by ${last}, empty, end`
  return `${status} by ${last}, body, ${does === "answers" ? "end" : "incomplete"}`
}

describe("Replicas", () => {
  it("[K-34] every request ends once, as the first replica without a fault answers", (context) =>
    forAllEffect(context, 300, cases, ({ abortAfter, body, stores }) =>
      Effect.gen(function*() {
        const made = stores.map(storeOf)
        const options = { breaker: { enabled: false }, retry: { maxAttempts: 1 }, deadline: "1 minute" } as const
        const store = yield* Replicas.make("any", made, options).pipe(Effect.provide(BreakerStore.layerMemory))
        const content = body === "none" ? undefined : body === "once" ? onceOf("a", "b") : bodyOf("a", "b")
        const running = start(store, { method: content === undefined ? "GET" : "PUT", key: "a", body: content })
        assert.strictEqual(running.seen.ends > 0 && running.seen.head === undefined, false)
        for (let n = 0; n < 40 && running.seen.ends === 0; n++) {
          if (n === abortAfter) running.call.abort()
          yield* Effect.promise(step)
          // Only once all that runs has come to its end do stores count as silent.
          if (n > 15 && n % 4 === 0) yield* TestClock.adjust("2500 millis")
          if (n === 39) yield* TestClock.adjust("2 minutes")
        }
        const wanted = expected(stores, body)
        if (wanted === undefined) {
          if (running.seen.ends === 0) running.call.abort()
        }
        const { body: bytes, end, replica, status } = yield* running.outcome
        const text = status === undefined
          ? end
          : `${status} by ${replica}, ${bytes.length === 0 ? "empty" : bytes.toString()}, ${end}`
        if (end !== "aborted") assert.strictEqual(text, wanted)
        else assert.isTrue(abortAfter !== undefined || wanted === undefined)
        yield* Effect.promise(step)
        assert.deepStrictEqual([running.seen.ends, running.seen.late], [1, 0])
        for (const { seen } of made) {
          assert.isAtMost(seen.dispatched, 1)
          assert.strictEqual(seen.running, 0)
        }
      })))
})
