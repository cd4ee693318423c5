import { assert, describe, it } from "@effect/vitest"
import { errorOf } from "@keelson/testing/exits"
import { Duration, Effect, Exit, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { Worker } from "node:worker_threads"
import { waitAtMost } from "../../src/unstable/Bounded.ts"

const second = Duration.seconds(1)

/** Cells of the memory that the threads share. */
const [paused, answered, never] = [0, 1, 2]

/** Answers once this process is paused, and then tells so. */
const answering = `
const { parentPort, workerData } = require("node:worker_threads")
parentPort.on("message", () => {
  Atomics.wait(workerData, ${paused}, 0)
  parentPort.postMessage("answer")
  Atomics.store(workerData, ${answered}, 1)
  Atomics.notify(workerData, ${answered})
})`

/** A store on another thread, and a pause of this one that lasts until it has answered, and so long after that. */
const threadStore = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => {
      const cells = new Int32Array(new SharedArrayBuffer(12))
      return { cells, worker: new Worker(answering, { eval: true, workerData: cells }) }
    }),
    ({ worker }) => Effect.promise(() => worker.terminate())
  ),
  ({ cells, worker }) => ({
    ask: Effect.callback<string>((resume) => {
      cells.fill(0)
      worker.once("message", (answer: string) => resume(Effect.succeed(answer)))
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
      worker.postMessage("ask")
    }),
    pause: (millis: number) =>
      Effect.sync(() => {
        Atomics.store(cells, paused, 1)
        Atomics.notify(cells, paused)
        Atomics.wait(cells, answered, 0)
        Atomics.wait(cells, never, 0, millis)
      })
  })
)

/** A pause of this process. */
const block = (millis: number) =>
  Effect.sync(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, millis))

describe("bounded", () => {
  it.effect("gives what the call gives, its error, and none where it has not ended by the limit", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* waitAtMost(Effect.succeed(1), second), Option.some(1))
      assert.strictEqual(errorOf(yield* Effect.exit(waitAtMost(Effect.fail("no"), second))), "no")
      const waiting = yield* Effect.forkChild(waitAtMost(Effect.never, second), { startImmediately: true })
      yield* TestClock.adjust(999)
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* Fiber.join(waiting), Option.none())
    }))

  it.effect("tells a call to end that nobody waits for, and does not wait until it has", () =>
    Effect.gen(function*() {
      let ended = 0
      const hanging = Effect.ensuring(Effect.never, Effect.andThen(Effect.sync(() => ended++), Effect.never))
      const waiting = yield* Effect.forkChild(waitAtMost(hanging, second), { startImmediately: true })
      yield* TestClock.adjust(second)
      assert.deepStrictEqual(yield* Fiber.join(waiting), Option.none())
      assert.strictEqual(ended, 1)
      const left = yield* Effect.forkChild(waitAtMost(hanging, second), { startImmediately: true })
      yield* Fiber.interrupt(left)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(left)))
      assert.strictEqual(ended, 2)
    }))

  it.live("[R10] a pause of this process is not the store's: an answer that is there by then counts", () =>
    Effect.gen(function*() {
      const { ask, pause } = yield* threadStore
      const waiting = yield* Effect.forkChild(waitAtMost(ask, second), { startImmediately: true })
      // Its timer begins with the next turn.
      yield* Effect.yieldNow
      yield* pause(1_100)
      assert.deepStrictEqual(yield* Fiber.join(waiting), Option.some("answer"))
    }))

  it.live("[R10] a pause of this process is not the store's: a call that had not been sent before it has its time after it", () =>
    Effect.gen(function*() {
      const call = Effect.as(Effect.andThen(Effect.sleep(1), Effect.sleep(20)), "answer")
      const waiting = yield* Effect.forkChild(waitAtMost(call, second), { startImmediately: true })
      // Its timer begins with the next turn.
      yield* Effect.yieldNow
      yield* block(2_000)
      assert.deepStrictEqual(yield* Fiber.join(waiting), Option.some("answer"))
    }))
})
