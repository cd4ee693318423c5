import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@keelson/testing/eventually"
import { type Answer, httpOrigin, type Origin } from "@keelson/testing/httpOrigin"
import { runOut } from "@keelson/testing/virtualTime"
import { Effect, Exit, Fiber, Layer, Queue, Scope } from "effect"
import { FetchHttpClient, HttpBody, HttpClient, type HttpClientError, HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import { BreakerStore, Hedge, Metrics, Resilience } from "../src/index.ts"
import { holdResponses } from "../src/internal/hedge/holdResponses.ts"

const services = Layer.merge(BreakerStore.layerMemory, Metrics.layerIsolated)
/** What `fetch` requires for a body that is a stream. */
const streaming = { method: "POST", duplex: "half" }
const endless: Answer = { status: 200, endless: true }

/** Lets the delay before a hedge pass whenever a request hangs. */
const passDelays = Effect.fnUntraced(function*(origin: Origin) {
  const hangs = yield* Queue.unbounded<void>()
  origin.onHang = () => Queue.offerUnsafe(hangs, undefined)
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Queue.take(hangs), TestClock.adjust("100 millis"))))
})

const hedged = (options?: Hedge.HttpOptions<HttpClientError.HttpClientError, never>, maxHedges = 1) =>
  Effect.map(
    Effect.all([
      HttpClient.HttpClient,
      Hedge.make("search", { delay: "100 millis", maxHedges, budget: { ratio: 10 } })
    ]),
    ([client, hedge]) => hedge.http(client, options)
  )

const clients = {
  fetch: FetchHttpClient.layer,
  "node:http": NodeHttpClient.layerNodeHttp,
  undici: NodeHttpClient.layerUndici
}

for (const [name, layer] of Object.entries(clients)) {
  describe(`Hedge.http over ${name}`, () => {
    it.effect("[K-20][H1] the server sees the connection of the interrupted request end", () =>
      Effect.gen(function*() {
        const origin = yield* httpOrigin("hang", 200)
        yield* passDelays(origin)
        const response = yield* (yield* hedged()).get(origin.url)
        assert.strictEqual(response.status, 200)
        yield* eventually(() => origin.aborted() === 1)
        assert.strictEqual(origin.received.length, 2)
      }).pipe(Effect.scoped, Effect.provide([layer, services])))

    it.effect("[K-20][H1] the body of a response that is not used is cancelled, that of the answer is not", () =>
      Effect.gen(function*() {
        const origin = yield* httpOrigin("hang", { status: 503, endless: true }, "hang", { status: 200, body: "found" })
        yield* passDelays(origin)
        const client = yield* hedged(undefined, 3)
        const fiber = yield* Effect.forkChild(client.get(origin.url), { startImmediately: true })
        yield* eventually(() => origin.received.length === 2)
        yield* TestClock.adjust("100 millis")
        const response = yield* Fiber.join(fiber)
        assert.strictEqual(yield* response.text, "found")
        yield* eventually(() => origin.aborted() === 3)
      }).pipe(Effect.scoped, Effect.provide([layer, services])))

    it.effect("[K-20][H1] the body that an error holds is cancelled", () =>
      Effect.gen(function*() {
        const origin = yield* httpOrigin("hang", { status: 503, endless: true }, 200)
        const hedge = yield* Hedge.make("search", { delay: "100 millis", maxHedges: 2, budget: { ratio: 10 } })
        const client = hedge.http(HttpClient.filterStatusOk(yield* HttpClient.HttpClient))
        const fiber = yield* Effect.forkChild(client.get(origin.url), { startImmediately: true })
        for (const received of [1, 2]) {
          yield* eventually(() => origin.received.length === received)
          yield* TestClock.adjust("100 millis")
        }
        assert.strictEqual((yield* Fiber.join(fiber)).status, 200)
        yield* eventually(() => origin.aborted() === 2)
      }).pipe(Effect.scoped, Effect.provide([layer, services])))

    it.effect("[K-20][H1] interrupting the caller ends the connections of all its requests", () =>
      Effect.gen(function*() {
        const origin = yield* httpOrigin("hang", "hang")
        yield* passDelays(origin)
        const fiber = yield* Effect.forkChild((yield* hedged()).get(origin.url), { startImmediately: true })
        yield* eventually(() => origin.received.length === 2)
        yield* Fiber.interrupt(fiber)
        yield* eventually(() => origin.aborted() === 2)
      }).pipe(Effect.scoped, Effect.provide([layer, services])))

    it.effect("[K-20][H1] with requests that belong to a scope, the loser is cancelled at once and the answer is not", () =>
      Effect.gen(function*() {
        const origin = yield* httpOrigin("hang", endless)
        yield* passDelays(origin)
        const hedge = yield* Hedge.make("search", { delay: "100 millis" })
        const client = hedge.http(HttpClient.withScope(yield* HttpClient.HttpClient))
        const scope = yield* Scope.make()
        yield* Scope.provide(client.get(origin.url), scope)
        yield* eventually(() => origin.aborted() === 1)
        yield* Scope.close(scope, Exit.void)
        yield* eventually(() => origin.aborted() === 2)
      }).pipe(Effect.scoped, Effect.provide([layer, services])))
  })
}

describe("Hedge.http", () => {
  const fetch = Effect.provide([FetchHttpClient.layer, services])

  /** Sends a request that hangs, lets the delay pass, and returns all requests that were sent. */
  const sent = (
    request: (url: string) => HttpClientRequest.HttpClientRequest,
    options?: Hedge.HttpOptions<HttpClientError.HttpClientError, never>
  ) =>
    Effect.scoped(Effect.gen(function*() {
      const origin = yield* httpOrigin("hang", "hang")
      const hedge = yield* Hedge.make("search", { delay: "100 millis", budget: { ratio: 10 } })
      const client = hedge.http(yield* HttpClient.HttpClient, options)
      const fiber = yield* Effect.forkChild(client.execute(request(origin.url)), { startImmediately: true })
      yield* eventually(() => origin.received.length === 1)
      yield* TestClock.adjust("100 millis")
      const { hedges } = yield* hedge.snapshot
      yield* eventually(() => origin.received.length === 1 + hedges)
      assert.strictEqual(fiber.pollUnsafe(), undefined)
      yield* Fiber.interrupt(fiber)
      return origin.received
    }))

  it.effect("[K-20] a response below 500 is the answer, except 408 and 429", () =>
    Effect.scoped(Effect.gen(function*() {
      for (const [status, answer] of [[404, 404], [304, 304], [408, 200], [429, 200], [500, 200]] as const) {
        const origin = yield* httpOrigin("hang", status, 200)
        const hedge = yield* Hedge.make("search", { delay: "100 millis", maxHedges: 2, budget: { ratio: 10 } })
        const client = hedge.http(yield* HttpClient.HttpClient)
        const fiber = yield* Effect.forkChild(client.get(origin.url), { startImmediately: true })
        yield* eventually(() => origin.received.length === 1)
        yield* TestClock.adjust("100 millis")
        yield* eventually(() => origin.received.length === 2)
        if (answer !== status) {
          yield* TestClock.adjust("100 millis")
          yield* eventually(() => origin.received.length === 3)
        }
        assert.strictEqual((yield* Fiber.join(fiber)).status, answer)
      }
    })).pipe(fetch))

  it.effect("[K-20] hedges safe methods only: neither POST, nor PUT, DELETE and keys", () =>
    Effect.gen(function*() {
      const safe = [HttpClientRequest.get, HttpClientRequest.head, HttpClientRequest.options]
      for (const make of safe) assert.strictEqual((yield* sent(make)).length, 2)
      const unsafe = [HttpClientRequest.post, HttpClientRequest.put, HttpClientRequest.delete, HttpClientRequest.patch]
      for (const make of unsafe) assert.strictEqual((yield* sent(make)).length, 1)
      const keyed = (url: string) => HttpClientRequest.post(url, { headers: { "idempotency-key": "k" } })
      assert.strictEqual((yield* sent(keyed)).length, 1)
    }).pipe(fetch))

  it.effect("[K-20] allowUnsafe selects other requests, but none whose body is a stream", () =>
    Effect.gen(function*() {
      const options = { allowUnsafe: () => true }
      assert.strictEqual((yield* sent(HttpClientRequest.post, options)).length, 2)
      const streamed = (url: string) => HttpClientRequest.post(url, { body: HttpBody.raw(new Blob(["a"]).stream()) })
      assert.strictEqual((yield* sent(streamed, options)).length, 1)
    }).pipe(Effect.provideService(FetchHttpClient.RequestInit, streaming), fetch))

  it.effect("[K-20] the idempotency key of the first request is that of its hedges, also if a mapper makes new ones", () =>
    Effect.gen(function*() {
      const origin = yield* httpOrigin("hang", 200)
      yield* passDelays(origin)
      let keys = 0
      const client = HttpClient.mapRequest(
        yield* hedged({ allowUnsafe: () => true }),
        (request) => HttpClientRequest.setHeader(request, "idempotency-key", `k${keys++}`)
      )
      yield* client.post(origin.url)
      assert.deepStrictEqual(origin.received.map(({ headers }) => headers["idempotency-key"]), ["k0", "k0"])
    }).pipe(Effect.scoped, fetch))

  it.effect("[K-20][H1] a response is cancelled that arrived below a part which had not finished with it", () =>
    Effect.gen(function*() {
      const origin = yield* httpOrigin({ status: 200, endless: true }, { status: 200, body: "found" })
      const hedge = yield* Hedge.make("search", { delay: "100 millis" })
      let executions = 0
      // As a breaker does whose store takes a second to record the first outcome.
      const recording = HttpClient.transformResponse(
        holdResponses(yield* HttpClient.HttpClient),
        (send) =>
          Effect.uninterruptibleMask((restore) =>
            Effect.flatMap(
              restore(send),
              (response) => Effect.as(Effect.sleep(executions++ === 0 ? 1000 : 0), response)
            )
          )
      )
      const fiber = yield* Effect.forkChild(hedge.http(recording).get(origin.url), { startImmediately: true })
      yield* eventually(() => executions === 1)
      yield* TestClock.adjust("100 millis")
      yield* eventually(() => executions === 2)
      yield* TestClock.adjust("0 millis")
      assert.strictEqual(yield* (yield* Fiber.join(fiber)).text, "found")
      assert.strictEqual(origin.aborted(), 0)
      yield* TestClock.adjust("1 second")
      yield* eventually(() => origin.aborted() === 1)
    }).pipe(Effect.scoped, fetch))

  it.effect("[K-20] a request that a mapper still prepares is not hedged", () =>
    Effect.gen(function*() {
      const hedge = yield* Hedge.make("search", { delay: "100 millis" })
      const client = HttpClient.mapRequestEffect(hedge.http(yield* HttpClient.HttpClient), () => Effect.never)
      const { exit } = yield* runOut(Effect.timeout(client.get("http://search.test/"), "1 second"))
      assert.strictEqual((yield* hedge.snapshot).hedges, 0)
      assert.isTrue(Exit.isFailure(exit) && !Exit.hasDies(exit))
    }).pipe(Effect.scoped, fetch))

  it.effect("[K-20] the mappers of a client below the hedge run once for each request", () =>
    Effect.gen(function*() {
      const client = yield* HttpClient.HttpClient
      const appending = (name: string) =>
        HttpClient.mapRequest(client, (request) =>
          HttpClientRequest.setHeader(request, "x-names", `${request.headers["x-names"] ?? ""}${name}`))
      for (
        const [options, second] of [
          [undefined, "a"],
          [{
            clientOf: () =>
              undefined
          }, "a"],
          [{ clientOf: () => appending("b") }, "b"]
        ] as const
      ) {
        const origin = yield* httpOrigin("hang", 200)
        const hedge = yield* Hedge.make("search", { delay: "100 millis" })
        const get = hedge.http(appending("a"), options).get(origin.url)
        const fiber = yield* Effect.forkChild(get, { startImmediately: true })
        yield* eventually(() => origin.received.length === 1)
        yield* TestClock.adjust("100 millis")
        assert.strictEqual((yield* Fiber.join(fiber)).status, 200)
        assert.deepStrictEqual(origin.received.map(({ headers }) => headers["x-names"]), ["a", second])
      }
    }).pipe(Effect.scoped, fetch))

  it.effect("[K-20][K-34] clientOf sends a hedge to another endpoint, with that client's own request mappers", () =>
    Effect.gen(function*() {
      const first = yield* httpOrigin("hang")
      const second = yield* httpOrigin({ status: 200, body: "second" })
      yield* passDelays(first)
      const client = yield* HttpClient.HttpClient
      const at = (origin: Origin, token: string) =>
        HttpClient.mapRequest(
          client,
          (request) => HttpClientRequest.bearerToken(HttpClientRequest.prependUrl(request, origin.url), token)
        )
      const hedge = yield* Hedge.make("search", { delay: "100 millis" })
      const both = hedge.http(at(first, "one"), { clientOf: () => at(second, "two") })
      assert.strictEqual(yield* (yield* both.get("items")).text, "second")
      assert.deepStrictEqual([first, second].map(({ received }) => received[0]!.headers.authorization), [
        "Bearer one",
        "Bearer two"
      ])
    }).pipe(Effect.scoped, fetch))

  it.effect("[K-20] around Resilience.http, a hedge is one more call with its own retries", () =>
    Effect.gen(function*() {
      const origin = yield* httpOrigin("hang", 503, 200)
      yield* passDelays(origin)
      const resilience = yield* Resilience.make("search", { retry: { initialDelay: "0 millis" }, breaker: {} })
      const hedge = yield* Hedge.make("search", { delay: "100 millis" })
      const client = hedge.http(resilience.http(yield* HttpClient.HttpClient))
      assert.strictEqual((yield* client.get(origin.url)).status, 200)
      assert.strictEqual(origin.received.length, 3)
    }).pipe(Effect.scoped, fetch))
})
