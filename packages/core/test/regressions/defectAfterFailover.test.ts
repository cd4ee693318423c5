import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { BreakerStore, Endpoints, Metrics } from "../../src/index.ts"

/** A store that dies for the circuit of the second endpoint. */
const dyingStore = Layer.effect(
  BreakerStore.BreakerStore,
  Effect.map(BreakerStore.BreakerStore, ({ admit, isolate, record, reset, state }) => ({
    isolate,
    record,
    reset,
    state,
    admit: (...args: Parameters<typeof admit>) => args[0] === "billing/us.test" ? Effect.die("bug") : admit(...args)
  }))
).pipe(Layer.provide(BreakerStore.layerMemory))

describe("Endpoints.http", () => {
  it.effect("[K-34] cancels the response of an endpoint if a part of the next one dies before anything is sent", () =>
    Effect.gen(function*() {
      const cancelled: Array<string> = []
      const failing = HttpClient.make((request, { host }) =>
        Effect.sync(() => {
          const body = new ReadableStream({
            cancel() {
              cancelled.push(host)
            }
          })
          return HttpClientResponse.fromWeb(request, new Response(body, { status: 503 }))
        })
      )
      const billing = yield* Endpoints.make("billing", { endpoints: ["https://eu.test", "https://us.test"] })
      const exit = yield* Effect.exit(billing.http(failing).get("/invoices"))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      assert.deepStrictEqual(cancelled, ["eu.test"])
    }).pipe(Effect.scoped, Effect.provide([dyingStore, Metrics.layerIsolated])))
})
