import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { BreakerStore, Endpoints, Hedge, Metrics, Resilience } from "../../src/index.ts"

/** A store elsewhere, which takes a second to record the first outcome. */
const slowStore = Layer.effect(
  BreakerStore.BreakerStore,
  Effect.map(BreakerStore.BreakerStore, ({ admit, record, reset, isolate, state }) => {
    let records = 0
    return {
      admit,
      reset,
      isolate,
      state,
      record: (request: BreakerStore.StoreRequest, caller: BreakerStore.Caller) =>
        Effect.suspend(() => {
          const answer = record(request, caller)
          return Effect.andThen(
            records++ === 0 ? Effect.sleep("1 second") : Effect.void,
            Effect.isEffect(answer) ? answer : Effect.succeed(answer)
          )
        })
    }
  })
).pipe(Layer.provide(BreakerStore.layerMemory))

/** A client that answers at once, with the numbers of the responses that were cancelled. */
const answering = () => {
  const cancelled: Array<number> = []
  let calls = 0
  const client = HttpClient.make((request) =>
    Effect.sync(() => {
      const call = calls++
      const body = new ReadableStream({
        cancel() {
          cancelled.push(call)
        }
      })
      return HttpClientResponse.fromWeb(request, new Response(body))
    })
  )
  return { client, cancelled }
}

const policy = { breaker: {}, hedge: { delay: "100 millis", budget: { ratio: 10 } } } as const
const made = {
  Resilience: Effect.map(
    Resilience.make("search", policy),
    ({ http }) => (client: HttpClient.HttpClient) => Effect.asVoid(http(client).get("https://a.test/"))
  ),
  "Hedge.http of Resilience": Effect.map(
    Effect.all([Resilience.make("search", { breaker: {} }), Hedge.make("search", policy.hedge)]),
    ([{ http }, hedge]) => (client: HttpClient.HttpClient) =>
      Effect.asVoid(hedge.http(http(client)).get("https://a.test/"))
  ),
  Endpoints: Effect.map(
    Endpoints.make("search", { ...policy, endpoints: ["https://a.test", "https://b.test"] }),
    ({ http }) => (client: HttpClient.HttpClient) => Effect.asVoid(http(client).get("/"))
  )
}

for (const [name, make] of Object.entries(made)) {
  describe(`${name}.http`, () => {
    it.effect("[K-20][H1] cancels the response of a loser whose outcome the breaker still records", () =>
      Effect.gen(function*() {
        const { cancelled, client } = answering()
        const fiber = yield* Effect.forkChild((yield* make)(client), { startImmediately: true })
        yield* TestClock.adjust("100 millis")
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(cancelled, [])
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(cancelled, [0])
      }).pipe(Effect.scoped, Effect.provide([slowStore, Metrics.layerIsolated])))
  })
}
