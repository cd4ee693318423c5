import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, type Scope } from "effect"
import { FetchHttpClient, HttpClient } from "effect/http"
import { Worker } from "node:worker_threads"
import { BreakerStore, Resilience } from "../src/index.ts"

const requests = 20

/** Holds all requests until it is told to respond, and counts them and its responses in shared memory. */
const server = `
const { parentPort, workerData } = require("node:worker_threads")
const { createServer } = require("node:http")
const counts = new Int32Array(workerData)
const waiting = []
const server = createServer((request, response) => {
  waiting.push(response)
  Atomics.add(counts, 0, 1)
})
parentPort.on("message", () => {
  for (const response of waiting.splice(0)) {
    response.on("close", () => {
      Atomics.add(counts, 1, 1)
      Atomics.notify(counts, 1)
    })
    response.end("answered")
  }
})
server.listen(0, "127.0.0.1", () => parentPort.postMessage(server.address().port))
`

/** A server on a thread of its own, which goes on while this thread is blocked. */
const threadedServer = Effect.acquireRelease(
  Effect.callback<{ readonly worker: Worker; readonly counts: Int32Array; readonly url: string }>((resume) => {
    const memory = new SharedArrayBuffer(8)
    const worker = new Worker(server, { eval: true, workerData: memory })
    worker.once(
      "message",
      (port) => resume(Effect.succeed({ worker, counts: new Int32Array(memory), url: `http://127.0.0.1:${port}/` }))
    )
  }),
  ({ worker }) => Effect.promise(() => worker.terminate())
)

interface Outcome {
  /** Whether all requests were at the server before the time of any attempt was over. */
  readonly isArranged: boolean
  readonly answered: number
  readonly state: string
}

/** Makes the calls, blocks this thread until all are answered and out of time, and sees what became of them. */
const stalled = (seconds: number): Effect.Effect<Outcome, unknown, HttpClient.HttpClient | Scope.Scope> =>
  Effect.gen(function*() {
    const { counts, url, worker } = yield* threadedServer
    const billing = yield* Resilience.make("billing", {
      attemptTimeout: `${seconds * 1000} millis`,
      breaker: { failureThreshold: requests }
    })
    const client = billing.http(yield* HttpClient.HttpClient)
    const call = Effect.flatMap(client.get(url), (response) => response.text)
    const began = performance.now()
    const calls = yield* Effect.forkChild(
      Effect.all(Array.from({ length: requests }, () => Effect.exit(call)), { concurrency: "unbounded" }),
      { startImmediately: true }
    )
    let blockedAt = 0
    yield* Effect.callback<void>((resume) => {
      const whenReceived = (): void => {
        if (Atomics.load(counts, 0) < requests) setTimeout(whenReceived, 1)
        // After the sockets are read, so that the next that the event loop does is to run the timers that are due.
        else setImmediate(block)
      }
      const block = (): void => {
        blockedAt = performance.now()
        // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker, not a window
        worker.postMessage("respond")
        const due = began + seconds * 1000 + 50
        for (let count = 0; count < requests; count = Atomics.load(counts, 1)) Atomics.wait(counts, 1, count, 10)
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Math.max(0, due - performance.now()))
        resume(Effect.void)
      }
      whenReceived()
    })
    const exits = yield* Fiber.join(calls)
    return {
      isArranged: blockedAt - began < seconds * 900,
      answered: exits.filter(Exit.isSuccess).length,
      state: yield* billing.breaker!.state
    }
  }).pipe(Effect.provide(BreakerStore.layerMemory))

/** Gives the attempts more time if this machine was too busy to send the requests within it. */
const arranged = (seconds: number): Effect.Effect<Outcome, unknown, HttpClient.HttpClient> =>
  Effect.flatMap(
    Effect.scoped(stalled(seconds)),
    (outcome) => outcome.isArranged ? Effect.succeed(outcome) : arranged(seconds * 2)
  )

describe("a stall of this process", () => {
  it.live.each(
    [
      ["fetch", FetchHttpClient.layer],
      ["undici", NodeHttpClient.layerUndici],
      ["node:http", NodeHttpClient.layerNodeHttp]
    ] as const
  )(
    "[K-28 D11] loses no call that was answered meanwhile, and opens no circuit: %s",
    ([, layer]) =>
      Effect.gen(function*() {
        const { answered, state } = yield* arranged(0.5)
        assert.deepStrictEqual([answered, state], [requests, "CLOSED"])
      }).pipe(Effect.provide(layer))
  )
})
