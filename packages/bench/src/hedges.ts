/** What hedging gains and costs: requests to a server on this machine, one of whose answers in a hundred is slow. */
import { Hedge } from "@keelson/core"
import { Effect, type Scope } from "effect"
import { FetchHttpClient, HttpClient, type HttpClientResponse } from "effect/http"
import * as Http from "node:http"
import type { Figures, Finding } from "./figures.ts"
import { spread } from "./measure.ts"

const requests = 3_000
const rounds = 5
const concurrency = 8
const fastMillis = 10
const slowMillis = 300
const group = "hedge, 1 % slow answers"

/** A server that counts its requests. */
const server = Effect.acquireRelease(
  Effect.callback<{ readonly server: Http.Server; readonly received: () => number }>((resume) => {
    let received = 0
    const made = Http.createServer((_, response) => {
      // 31 of 3,000, so that the slow answers reach the 99th percentile.
      const timer = setTimeout(() => response.end("ok"), ++received % 95 === 0 ? slowMillis : fastMillis)
      response.once("close", () => clearTimeout(timer))
    })
    made.listen(0, "127.0.0.1", () => resume(Effect.succeed({ server: made, received: () => received })))
  }),
  ({ server }) =>
    Effect.callback<void>((resume) => {
      server.close(() => resume(Effect.void))
      server.closeAllConnections()
    })
)

type Request = Effect.Effect<HttpClientResponse.HttpClientResponse, unknown>

/** The 99th percentile of the time of a request with its body, in milliseconds. */
const p99 = Effect.fnUntraced(function*(request: Request) {
  const found: Array<number> = []
  const one = Effect.gen(function*() {
    const began = performance.now()
    const response = yield* request
    yield* response.text
    found.push(performance.now() - began)
  })
  yield* Effect.forEach(Array.from({ length: requests }), () => one, { concurrency, discard: true })
  return found.toSorted((a, b) => a - b)[Math.ceil(found.length * 0.99) - 1] ?? Number.NaN
})

export const hedges: Effect.Effect<Figures, unknown, Scope.Scope> = Effect.gen(function*() {
  const { received, server: made } = yield* server
  const address = made.address()
  const url = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`
  const client = yield* HttpClient.HttpClient
  const hedge = yield* Hedge.make("bench")
  const [bare, own] = [client.get(url), hedge.http(client).get(url)]
  yield* p99(bare)
  yield* p99(own)
  const shares: Array<number> = []
  let sent = 0
  for (let round = 0; round < rounds; round++) {
    const plain = yield* p99(bare)
    const before = received()
    shares.push((yield* p99(own)) / plain)
    sent += received() - before
  }
  const findings: ReadonlyArray<Finding> = [
    {
      group,
      what: "P99 of a hedged request as a share of that of an unhedged one",
      value: 100 * spread(shares).median,
      unit: "%",
      aim: { is: "at most", value: 50 }
    },
    {
      group,
      what: "requests more than calls",
      value: 100 * sent / (rounds * requests) - 100,
      unit: "%",
      aim: { is: "at most", value: 5 }
    }
  ]
  return { comparisons: [], nanoseconds: [], findings }
}).pipe(Effect.provide(FetchHttpClient.layer))
