import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { type Answer, httpOrigin } from "@keelson/testing/httpOrigin"
import { runOut } from "@keelson/testing/virtualTime"
import { Cause, Clock, Duration, Effect, Exit, Option, type Scope } from "effect"
import { FetchHttpClient, HttpClient, HttpClientError, HttpClientRequest, HttpClientResponse } from "effect/http"
import { readFileSync } from "node:fs"
import { constants, createSecureServer, type ServerHttp2Session } from "node:http2"
import { createServer, type Socket } from "node:net"
import { join } from "node:path"
import { BreakerStore, HttpRetry, Resilience, Retry, RetryPolicy } from "../src/index.ts"

const fixture = (name: string) => readFileSync(join(import.meta.dirname, "../../testing/src/fixtures", name))

const policy = RetryPolicy.make({ maxAttempts: 3, initialDelay: "0 millis", jitter: "none" })

const errorOf = (exit: Exit.Exit<unknown, unknown>): unknown => Option.getOrThrow(Exit.findErrorOption(exit))

const stoppedBy = (exit: Exit.Exit<unknown, unknown>): unknown => {
  const error = errorOf(exit)
  return error instanceof Retry.RetryExhausted ? error.stoppedBy : error
}

const clients = [
  ["fetch", FetchHttpClient.layer],
  ["undici", NodeHttpClient.layerUndici],
  ["node:http", NodeHttpClient.layerNodeHttp]
] as const

/** Sends a request to a server that answers by a script. Returns the exit and the number of requests that it received. */
const send = (
  script: ReadonlyArray<Answer>,
  options: HttpRetry.Options,
  make: (url: string) => HttpClientRequest.HttpClientRequest = HttpClientRequest.get
) =>
  Effect.gen(function*() {
    const origin = yield* httpOrigin(...script)
    const client = HttpRetry.retry(yield* HttpClient.HttpClient, policy, options)
    const exit = yield* Effect.exit(client.execute(make(origin.url)))
    return { exit, calls: origin.received.length }
  })

const status = (exit: Exit.Exit<HttpClientResponse.HttpClientResponse, unknown>) =>
  Exit.isSuccess(exit) ? exit.value.status : undefined

const asking = (status: number, headers: Readonly<Record<string, string>>): Answer => ({ status, headers })

describe("HttpRetry: options", () => {
  describe("while", () => {
    it.live("[K-32 D9] decides on any response from 400, and is asked once for each failure", () =>
      Effect.gen(function*() {
        const asked: Array<readonly [unknown, boolean]> = []
        const options: HttpRetry.Options = {
          while(failure, usual) {
            const status = HttpClientError.isHttpClientError(failure) ? failure.response?.status ?? "reset" : "other"
            asked.push([status, usual])
            return status === 409 || usual
          }
        }
        const first = yield* send([409, "reset", 200], options)
        assert.deepStrictEqual([status(first.exit), first.calls], [200, 3])
        assert.deepStrictEqual(asked, [[409, false], ["reset", true]])
        const second = yield* send([503, 404], options)
        assert.deepStrictEqual([status(second.exit), second.calls], [404, 2])
        assert.deepStrictEqual(asked.slice(2), [[503, true], [404, false]])
      }).pipe(Effect.provide(FetchHttpClient.layer)))

    it.live("[K-32 D9] fails at once, unchanged, with a listed status that is not retried", () =>
      Effect.gen(function*() {
        const { calls, exit } = yield* send([503, 200], { while: () => false })
        const error = errorOf(exit)
        assert(HttpClientError.isHttpClientError(error))
        assert.deepStrictEqual([error.response?.status, calls], [503, 1])
      }).pipe(Effect.provide(FetchHttpClient.layer)))

    it.live("[K-32 D9] x-should-retry: false ends the retries, and true alone does not begin any", () =>
      Effect.gen(function*() {
        const refused = yield* send([asking(503, { "x-should-retry": "false" }), 200], {})
        const error = errorOf(refused.exit)
        assert(HttpClientError.isHttpClientError(error))
        assert.deepStrictEqual([error.response?.status, refused.calls], [503, 1])
        const suggested = yield* send([asking(409, { "x-should-retry": "true" }), 200], {})
        assert.deepStrictEqual([status(suggested.exit), suggested.calls], [409, 1])
      }).pipe(Effect.provide(FetchHttpClient.layer)))

    it.live.each<[string, Answer, number]>([
      ["a 403 with Retry-After", asking(403, { "retry-after": "0" }), 2],
      ["a 413 with Retry-After", asking(413, { "retry-after": "0" }), 2],
      ["a 403 with a spent limit", asking(403, { "x-ratelimit-remaining": "0", "x-ratelimit-reset": "0" }), 2],
      ["a 409 with x-should-retry: true", asking(409, { "x-should-retry": "true" }), 2],
      ["a 403 without", 403, 1],
      ["a 413 without", 413, 1],
      ["a 404 with Retry-After", asking(404, { "retry-after": "0" }), 1],
      ["a 403 that says no", asking(403, { "retry-after": "0", "x-should-retry": "false" }), 1],
      ["a 503 that says no", asking(503, { "x-should-retry": "false" }), 1],
      ["a 503", 503, 2]
    ])("[K-32 D9] whenAsked: %s", ([, answer, expected]) =>
      Effect.gen(function*() {
        const { calls } = yield* send([answer, 200], { while: HttpRetry.whenAsked })
        assert.strictEqual(calls, expected)
      }).pipe(Effect.provide(FetchHttpClient.layer)))

    it.live("[K-32 D9] works for the requests of a resilience too", () =>
      Effect.gen(function*() {
        const origin = yield* httpOrigin(asking(403, { "retry-after": "0" }), 503, 200)
        const billing = yield* Resilience.make("billing", { retry: { initialDelay: "0 millis" }, breaker: {} })
        const client = billing.http(yield* HttpClient.HttpClient, { while: HttpRetry.whenAsked })
        assert.strictEqual((yield* client.get(origin.url)).status, 200)
        assert.lengthOf(origin.received, 3)
      }).pipe(Effect.provide([FetchHttpClient.layer, BreakerStore.layerMemory])))
  })

  describe("retryAfter", () => {
    const gapAfter = (headers: Readonly<Record<string, string>>, options?: HttpRetry.Options) =>
      Effect.gen(function*() {
        const calls: Array<number> = []
        const client = HttpClient.make((request) =>
          Effect.map(Clock.currentTimeMillis, (now) => {
            calls.push(now)
            const status = calls.length === 1 ? 429 : 200
            return HttpClientResponse.fromWeb(request, new Response(null, { status, headers }))
          })
        )
        yield* runOut(HttpRetry.retry(client, policy, options).get("http://origin.test/"))
        return calls[1]! - calls[0]!
      })

    it.effect("[K-32 D9] is by default what the response asks for, and at most a tenth more", () =>
      Effect.gen(function*() {
        for (
          const [name, value, millis] of [
            ["retry-after", "1.5", 2_000],
            ["retry-after-ms", "250", 250],
            ["ratelimit", "\"default\";r=0;t=3", 3_000],
            ["x-ratelimit-reset-after", "0.5", 500],
            ["x-amz-retry-after", "700", 700]
          ] as const
        ) {
          const gap = yield* gapAfter({ [name]: value })
          assert.isTrue(gap >= millis && gap <= millis * 1.1, `${name}: ${gap}`)
        }
      }))

    it.effect("[K-32 D9] can be what the caller reads from a failure", () =>
      Effect.gen(function*() {
        const gap = yield* gapAfter({ "retry-after": "50" }, { retryAfter: () => Duration.seconds(1) })
        assert.isTrue(gap >= 1_000 && gap <= 1_100, `${gap}`)
        assert.strictEqual(yield* gapAfter({ "retry-after": "50" }, { retryAfter: () => undefined }), 0)
      }))
  })

  describe("allowUnsafe", () => {
    it.live("[K-32 D10] sees the request and its failure", () =>
      Effect.gen(function*() {
        const seen: Array<unknown> = []
        const options: HttpRetry.Options = {
          allowUnsafe(request, failure) {
            const status = HttpClientError.isHttpClientError(failure) ? failure.response?.status : undefined
            seen.push([request.method, status])
            return status === 503
          }
        }
        const { calls, exit } = yield* send([503, 502], options, HttpClientRequest.post)
        assert.deepStrictEqual([calls, stoppedBy(exit)], [2, "unsafeMethod"])
        assert.deepStrictEqual(seen, [["POST", 503], ["POST", 502]])
      }).pipe(Effect.provide(FetchHttpClient.layer)))

    it.live.each(clients)(
      "[K-32 D10] notProcessed repeats a POST after a 429 and nothing less certain: %s",
      ([, layer]) =>
        Effect.gen(function*() {
          const options = { allowUnsafe: HttpRetry.notProcessed }
          const post = HttpClientRequest.post
          assert.strictEqual((yield* send([429, 429, 200], options, post)).calls, 3)
          for (const answer of [503, 504, "reset", asking(503, { "retry-after": "0" })] as const) {
            const { calls, exit } = yield* send([answer, 200], options, post)
            assert.deepStrictEqual([calls, stoppedBy(exit)], [1, "unsafeMethod"], JSON.stringify(answer))
          }
        }).pipe(Effect.provide(layer))
    )

    /** The failures that `allowUnsafe` was asked about, with the answer of `notProcessed`. */
    const judged = (url: string) =>
      Effect.gen(function*() {
        const answers: Array<boolean> = []
        const client = HttpRetry.retry(yield* HttpClient.HttpClient, policy, {
          allowUnsafe(...about) {
            answers.push(HttpRetry.notProcessed(...about))
            return false
          }
        })
        const exit = yield* Effect.exit(client.post(url))
        return { answers, exit }
      })

    /** A port on which nothing listens. */
    const refusingPort = Effect.callback<number>((resume) => {
      const server = createServer()
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "object" && address !== null ? address.port : 0
        server.close(() => resume(Effect.succeed(port)))
      })
    })

    it.live.each(clients)(
      "[K-32 D10] notProcessed is sure where no connection was made: %s",
      ([, layer]) =>
        Effect.gen(function*() {
          const port = yield* refusingPort
          for (const url of [`http://127.0.0.1:${port}/`, `http://localhost:${port}/`, "http://nowhere.invalid/"]) {
            const { answers, exit } = yield* judged(url)
            assert.deepStrictEqual(
              answers,
              [true],
              `${url}: ${Cause.pretty(Exit.isFailure(exit) ? exit.cause : Cause.empty)}`
            )
          }
        }).pipe(Effect.provide(layer))
    )

    /** Answers a POST with a redirect to another place. */
    const redirecting = (to: string): Effect.Effect<string, never, Scope.Scope> =>
      Effect.map(httpOrigin(asking(303, { location: to })), ({ url }) => url)

    it.live("[K-32 D10] notProcessed is not sure where fetch may have followed a redirect of a request that was processed", () =>
      Effect.gen(function*() {
        const port = yield* refusingPort
        for (const to of [`http://127.0.0.1:${port}/`, "http://nowhere.invalid/"]) {
          assert.deepStrictEqual((yield* judged(yield* redirecting(to))).answers, [false], to)
        }
        const throttling = yield* httpOrigin(429)
        assert.deepStrictEqual((yield* judged(yield* redirecting(throttling.url))).answers, [false])
        assert.deepStrictEqual(throttling.received.map(({ method }) => method), ["GET"])
      }).pipe(Effect.provide(FetchHttpClient.layer)))

    it.live("[K-32 D10] notProcessed is not sure where a client follows redirects on its own", () =>
      Effect.gen(function*() {
        const port = yield* refusingPort
        const following = Effect.updateService(HttpClient.HttpClient, HttpClient.followRedirects(3))
        const url = yield* redirecting(`http://127.0.0.1:${port}/`)
        assert.deepStrictEqual((yield* following(judged(url))).answers, [false])
      }).pipe(Effect.provide(NodeHttpClient.layerUndici)))

    it.live("[K-32 D10] notProcessed is sure of a stream that a server of HTTP/2 refused, and not of one that it cancelled", () =>
      Effect.gen(function*() {
        const url = yield* http2Server
        assert.deepStrictEqual((yield* judged(`${url}/refused`)).answers, [true])
        assert.deepStrictEqual((yield* judged(`${url}/cancelled`)).answers, [false])
      }).pipe(
        Effect.provide(NodeHttpClient.layerUndiciOptions({ allowH2: true, connect: { rejectUnauthorized: false } }))
      ))

    it.live("[K-32 D10] notProcessed takes the word of fetch for a refused connection where it follows no redirects", () =>
      Effect.gen(function*() {
        const cause = Object.assign(new TypeError("fetch failed"), {
          cause: Object.assign(new Error("connect ECONNREFUSED"), {
            code: "ECONNREFUSED",
            syscall: "connect",
            address: "10.0.0.7",
            port: 443
          })
        })
        const request = HttpClientRequest.post("https://billing.example/orders")
        const failure = new HttpClientError.HttpClientError({
          reason: new HttpClientError.TransportError({ request, cause })
        })
        assert.isFalse(HttpRetry.notProcessed(request, failure, true))
        assert.isTrue(HttpRetry.notProcessed(request, failure, false))
        assert.isFalse(HttpRetry.notProcessed(request, new Error("down"), false))
      }))

    it.live.each(clients)(
      "[K-32 D10] notProcessed is not sure where the connection ends after the request: %s",
      ([, layer]) =>
        Effect.gen(function*() {
          const url = yield* closingServer
          assert.deepStrictEqual((yield* judged(url)).answers, [false])
        }).pipe(Effect.provide(layer))
    )

    /** Resets each stream with the error code that the path names. */
    const http2Server: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
      Effect.callback<{ readonly url: string; readonly close: () => void }>((resume) => {
        const server = createSecureServer({ key: fixture("selfSigned.key.pem"), cert: fixture("selfSigned.cert.pem") })
        const sessions = new Set<ServerHttp2Session>()
        server.on("session", (session) => sessions.add(session))
        server.on("stream", (stream, headers) => {
          stream.on("error", () => {})
          stream.close(headers[":path"] === "/refused" ? constants.NGHTTP2_REFUSED_STREAM : constants.NGHTTP2_CANCEL)
        })
        server.listen(0, "127.0.0.1", () => {
          const address = server.address()
          const port = typeof address === "object" && address !== null ? address.port : 0
          const close = () => {
            for (const session of sessions) session.destroy()
            server.close()
          }
          resume(Effect.succeed({ url: `https://127.0.0.1:${port}`, close }))
        })
      }),
      ({ close }) => Effect.sync(close)
    ).pipe(Effect.map(({ url }) => url))

    /** Reads the request and closes the connection without a response. */
    const closingServer: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
      Effect.callback<{ readonly url: string; readonly close: () => void }>((resume) => {
        const server = createServer((socket: Socket) => {
          socket.on("error", () => {})
          socket.once("data", () => socket.end())
        })
        server.listen(0, "127.0.0.1", () => {
          const address = server.address()
          const port = typeof address === "object" && address !== null ? address.port : 0
          resume(Effect.succeed({ url: `http://127.0.0.1:${port}/`, close: () => void server.close() }))
        })
      }),
      ({ close }) => Effect.sync(close)
    ).pipe(Effect.map(({ url }) => url))
  })
})
