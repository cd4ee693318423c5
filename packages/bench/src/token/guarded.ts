/** Guarded requests to a server on this machine, compared with the same requests without a guard. */
import { TokenGuard } from "@keelson/token"
import { Duration, Effect, Redacted, type Scope } from "effect"
import { FetchHttpClient, HttpClient, type HttpClientResponse } from "effect/http"
import * as Http from "node:http"
import type { Figures, Finding } from "../figures.ts"
import { spread } from "../measure.ts"

const concurrency = 64
const requests = 1_000
const rounds = 31
const group = `${concurrency} requests at once`

/** A server that accepts only requests with the token. */
const server = Effect.acquireRelease(
  Effect.callback<Http.Server>((resume) => {
    const made = Http.createServer((request, response) => {
      response.writeHead(request.headers.authorization === "Bearer token" ? 200 : 401, { "content-length": 2 }).end(
        "ok"
      )
    })
    made.listen(0, "127.0.0.1", () => resume(Effect.succeed(made)))
  }),
  (made) =>
    Effect.callback<void>((resume) => {
      made.close(() => resume(Effect.void))
      made.closeAllConnections()
    })
)

type Request = Effect.Effect<HttpClientResponse.HttpClientResponse, unknown>

/** The 95th percentile of the time of a request with its body, in milliseconds. */
const p95 = Effect.fnUntraced(function*(request: Request) {
  const found: Array<number> = []
  const one = Effect.gen(function*() {
    const began = performance.now()
    const response = yield* request
    yield* response.text
    if (response.status !== 200) return yield* Effect.fail(`unexpected status ${response.status}`)
    found.push(performance.now() - began)
  })
  yield* Effect.forEach(Array.from({ length: requests }), () => one, { concurrency, discard: true })
  return found.toSorted((a, b) => a - b)[Math.ceil(found.length * 0.95) - 1] ?? Number.NaN
})

/** Upper bound of both figures: 5 % and 5 ms. */
const finding = (what: string, value: number, unit: "%" | "ms"): Finding => ({
  group,
  what,
  value,
  unit,
  aim: { is: "at most", value: 5 }
})

export const guarded: Effect.Effect<Figures, unknown, Scope.Scope> = Effect.gen(function*() {
  const address = (yield* server).address()
  const url = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`
  const client = yield* HttpClient.HttpClient
  const guard = yield* TokenGuard.make({
    name: "bench",
    origins: [url],
    allowLocalhost: true,
    source: Effect.succeed({ accessToken: Redacted.make("token"), expiresIn: Duration.hours(1) })
  })
  const bare = client.get(url, { headers: { authorization: "Bearer token" } })
  const own = guard.get(url)
  yield* p95(bare)
  yield* p95(own)
  const ratios: Array<number> = []
  const added: Array<number> = []
  for (let round = 0; round < rounds; round++) {
    // Each goes first in every other round, so that a slow phase of the machine affects both.
    const [first, second] = round % 2 === 0 ? [bare, own] : [own, bare]
    const times = [yield* p95(first), yield* p95(second)] as const
    const [plain, carried] = round % 2 === 0 ? times : [times[1], times[0]]
    ratios.push(carried / plain)
    added.push(carried - plain)
  }
  return {
    comparisons: [],
    nanoseconds: [],
    findings: [
      finding("P95 of a guarded request above that of an unguarded one", 100 * (spread(ratios).median - 1), "%"),
      finding("the same difference in milliseconds", spread(added).median, "ms")
    ]
  }
}).pipe(Effect.provide(FetchHttpClient.layer))
