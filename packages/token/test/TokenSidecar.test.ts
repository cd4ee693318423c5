import { assert, describe, it } from "@effect/vitest"
import { KeelsonError } from "@keelson/core"
import { quiet } from "@keelson/testing/observe"
import { Clock, Effect, Predicate, Redacted, type Scope } from "effect"
import { HttpClientError } from "effect/http"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { TokenSidecar } from "../src/index.ts"
import { makeSource, type Reply, tokensOf } from "./guardSupport.ts"
import { type Answered, secret, sidecar } from "./sidecarServer.ts"

const always = (status: number, headers: Record<string, string> = {}): Reply => () =>
  Effect.sync(() => new Response(null, { status, headers }))

const brief = ({ json, status }: Answered) => [status, json] as const

const record = (u: unknown): Readonly<Record<string, unknown>> => Predicate.isObject(u) ? u : {}

const retry = { maxAttempts: 3, initialDelay: "1 millis", maxDelay: "1 millis", retryAfterCeiling: "0 millis" } as const

/** A test over real sockets. */
const live = (title: string, test: Effect.Effect<void, unknown, Scope.Scope>) => it.live(title, () => quiet(test))

describe("TokenSidecar", () => {
  describe("POST /sdk/token/ensure", () => {
    live(
      "[S2-15] [S2-16] is 202 for an acquired token, and 200 while it is fresh",
      Effect.gen(function*() {
        const { ensure, source } = yield* sidecar()
        const before = yield* Clock.currentTimeMillis
        const first = yield* ensure()
        const after = yield* Clock.currentTimeMillis
        assert.strictEqual(first.status, 202)
        const { token, ...rest } = record(first.json)
        const shown = record(token)
        assert.deepStrictEqual<unknown>(rest, { refresh_applied: true, attempts: 1 })
        assert.deepStrictEqual(Object.keys(shown).toSorted(), [
          "expires_at",
          "issued_at",
          "remaining_seconds",
          "scoped"
        ])
        const [issued, expires, remaining] = ["issued_at", "expires_at", "remaining_seconds"].map((name) =>
          Number(shown[name])
        )
        assert.isTrue(before <= issued! && issued! <= after)
        assert.strictEqual(expires! - issued!, 3_600_000)
        assert.isTrue(remaining! > 3_500 && remaining! <= 3_600)
        const second = yield* ensure({ server: "api" })
        assert.strictEqual(second.status, 200)
        assert.deepInclude(second.json, { refresh_applied: false, attempts: 0 })
        assert.strictEqual(source.asked(), 1)
      })
    )

    live(
      "[S2-15] returns the number of attempts",
      Effect.gen(function*() {
        let asked = 0
        const slowly = Effect.suspend(() =>
          ++asked < 3
            ? Effect.fail(new KeelsonError.NetworkError({ code: "NETWORK_ERROR" }))
            : Effect.succeed({ accessToken: Redacted.make("third") })
        )
        const { ensure } = yield* sidecar({
          server: { source: slowly, acquisition: { retry: { maxAttempts: 4, initialDelay: "1 millis" } } }
        })
        const { json, status } = yield* ensure()
        assert.strictEqual(status, 202)
        assert.deepInclude(json, { refresh_applied: true, attempts: 3 })
      })
    )

    live(
      "[S2-10] [R13] a token is force-refreshed at most once in 30 seconds",
      Effect.gen(function*() {
        const { ensure, source } = yield* sidecar()
        yield* ensure()
        assert.deepInclude((yield* ensure({ force: true })).json, { refresh_applied: true })
        for (let i = 0; i < 3; i++) assert.strictEqual((yield* ensure({ force: true })).status, 200)
        assert.strictEqual(source.asked(), 2)
      })
    )

    live(
      "[S2-15] is 503 without a token, and says whether a retry may succeed",
      Effect.gen(function*() {
        const { ensure, source } = yield* sidecar({
          server: { acquisition: { retry: { maxAttempts: 2, initialDelay: "1 millis", maxDelay: "1 millis" } } }
        })
        source.isDown = true
        const before = yield* Clock.currentTimeMillis
        const down = yield* ensure()
        assert.strictEqual(down.status, 503)
        const { last_attempt_at: at, ...rest } = record(down.json)
        assert.isTrue(typeof at === "number" && at >= before)
        assert.deepStrictEqual(Object.keys(rest).toSorted(), ["error_code", "message"])
        assert.strictEqual(rest["error_code"], "refresh_failed")
        const { ensure: refused } = yield* sidecar({
          server: {
            source: Effect.fail(new KeelsonError.AuthenticationError({ code: "TOKEN_ACQUISITION_FAILED" }))
          }
        })
        assert.deepInclude((yield* refused()).json, { error_code: "non_retriable" })
        for (let i = 0; i < 4; i++) {
          yield* refused()
          yield* ensure()
        }
        assert.deepInclude((yield* refused()).json, { error_code: "non_retriable" })
        assert.deepInclude((yield* ensure()).json, { error_code: "refresh_failed" })
      })
    )

    live(
      "keeps tokens separate by scope, and rejects unknown servers",
      Effect.gen(function*() {
        const scopes: Array<string | undefined> = []
        const source = makeSource()
        const { ensure, guards } = yield* sidecar({
          server: {
            source: ({ scope }) => {
              scopes.push(scope)
              return source.source
            }
          }
        })
        assert.strictEqual((yield* ensure({ scope: "write read" })).status, 202)
        assert.strictEqual((yield* ensure({ scope: "read write" })).status, 200)
        assert.strictEqual((yield* ensure()).status, 202)
        assert.deepStrictEqual(scopes, [undefined, "read write"])
        assert.strictEqual((yield* ensure({ audience: "https://other.example" })).status, 202)
        const unknown = [404, { error_code: "unknown_server", message: "No server has this name" }] as const
        assert.deepStrictEqual(brief(yield* ensure({ server: "other" })), unknown)
        yield* guards.register("second", { url: "https://second.example", source: source.source })
        assert.deepStrictEqual(brief(yield* ensure()), unknown)
        for (const { server } of guards.servers()) yield* guards.unregister(server)
        assert.deepStrictEqual(brief(yield* ensure()), unknown)
        yield* guards.register("second", { url: "https://second.example", source: source.source })
        const refused = yield* ensure({ server: "second", scope: "read" })
        assert.deepInclude(refused, { status: 400 })
        assert.deepInclude(refused.json, { error_code: "invalid_request" })
      })
    )

    live(
      "[R20] responses contain the token's value only with showTokens",
      Effect.gen(function*() {
        const open = yield* sidecar({ options: { showTokens: true } })
        assert.include((yield* open.ensure()).text, "\"value\":\"secret-token-1\"")
        const closed = yield* sidecar({ options: { showResponses: true } })
        for (const answer of [yield* closed.ensure(), yield* closed.ensure({ force: true }), yield* closed.send()]) {
          assert.notInclude(answer.text + JSON.stringify(answer.headers), "secret-token")
        }
      })
    )
  })

  describe("POST /sdk/request/send", () => {
    live(
      "[S2-17] is 202 if the server responded, and sends the token",
      Effect.gen(function*() {
        const { api, send } = yield* sidecar({ reply: always(201, { "x-of-the-server": "1" }) })
        const sent = yield* send({
          method: "POST",
          body: "{\"row\":1}",
          headers: { "content-type": "application/json", "idempotency-key": "k" }
        })
        assert.deepStrictEqual(brief(sent), [202, { operation: "append_rows", attempts: 1, final_status: "success" }])
        assert.notProperty(sent.headers, "x-of-the-server")
        assert.deepStrictEqual(api.received.map(({ method, url }) => `${method} ${url}`), [
          "POST https://api.example/v1/rows"
        ])
        assert.deepStrictEqual(tokensOf(api.received), ["secret-token-1"])
        assert.deepInclude(api.received[0]?.headers, { "content-type": "application/json", "idempotency-key": "k" })
      })
    )

    live(
      "[S2-17] is 202 with forwarded_to_caller for an error status that the caller must handle",
      Effect.gen(function*() {
        const { send } = yield* sidecar({ reply: always(404) })
        assert.deepStrictEqual(brief(yield* send()), [
          202,
          { operation: "append_rows", attempts: 1, final_status: "forwarded_to_caller" }
        ])
      })
    )

    live(
      "[S2-17] [S2-18] is 401 if the server rejects the new token too, and without a token",
      Effect.gen(function*() {
        const { send, source } = yield* sidecar({ reply: always(401) })
        const refused = yield* send({ operation: "open_channel" })
        assert.strictEqual(refused.status, 401)
        assert.deepInclude(refused.json, { error_code: "unauthorized", operation: "open_channel", attempts: 2 })
        assert.deepStrictEqual(Object.keys(refused.json ?? {}).toSorted(), [
          "attempts",
          "error_code",
          "message",
          "operation"
        ])
        const other = yield* sidecar({
          source: { ...source, source: Effect.fail(new KeelsonError.NetworkError({ code: "TIMEOUT" })) }
        })
        assert.deepStrictEqual((yield* other.send()).json, {
          error_code: "unauthorized",
          message: new KeelsonError.NetworkError({ code: "TIMEOUT" }).message,
          operation: "append_rows",
          attempts: 0
        })
      })
    )

    live(
      "[S2-17] is 429 once the attempts are spent, with the server's Retry-After if it is valid",
      Effect.gen(function*() {
        const spent = yield* sidecar({ reply: always(503), server: { resilience: { retry } } })
        const answer = yield* spent.send()
        assert.strictEqual(answer.status, 429)
        assert.deepInclude(answer.json, { error_code: "retry_budget_spent", operation: "append_rows", attempts: 3 })
        assert.notProperty(answer.headers, "retry-after")
        for (
          const [value, expected] of [
            ["7", "7"],
            ["0", undefined],
            ["-1", undefined],
            ["soon", undefined],
            ["1e9", undefined],
            ["Wed, 21 Oct 2015 07:28:00 GMT", undefined]
          ] as const
        ) {
          const limited = yield* sidecar({
            reply: always(429, { "retry-after": value }),
            server: { resilience: { retry } }
          })
          const told = yield* limited.send()
          assert.strictEqual(told.status, 429, value)
          assert.strictEqual(told.headers["retry-after"], expected, value)
        }
      })
    )

    live(
      "[S2-17] is 429 without an answer too, and while the circuit is open, which says how long",
      Effect.gen(function*() {
        const breaker = { failureThreshold: 1, openDuration: "1 hour" } as const
        const { api, send } = yield* sidecar({
          reply: (request) =>
            Effect.fail(
              new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request }) })
            ),
          server: { resilience: { breaker, retry: { maxAttempts: 1 } } }
        })
        const unanswered = yield* send()
        assert.strictEqual(unanswered.status, 429)
        assert.notProperty(unanswered.headers, "retry-after")
        const rejected = yield* send()
        assert.strictEqual(rejected.status, 429)
        assert.match(rejected.headers["retry-after"] ?? "", /^3[0-6]\d\d$/)
        assert.include(rejected.text, "Circuit")
        assert.notInclude(unanswered.text, "Circuit")
        assert.strictEqual(api.received.length, 1)
      })
    )

    live(
      "[S2-17] an answer that is not returned is released",
      Effect.gen(function*() {
        let cancelled = 0
        const reply: Reply = ({ url }) =>
          Effect.sync(() =>
            new Response(new ReadableStream({ cancel: () => void cancelled++ }), { status: Number(url.slice(-3)) })
          )
        const { send } = yield* sidecar({ reply })
        for (const status of [200, 404, 429, 500]) yield* send({ url: `https://api.example/v1/${status}` })
        assert.strictEqual(cancelled, 4)
      })
    )

    live(
      "[S2-17] is 500 for a failure that a retry cannot fix, without a Retry-After",
      Effect.gen(function*() {
        const { send } = yield* sidecar({
          reply: always(500, { "retry-after": "7" }),
          server: { resilience: { retry } }
        })
        const answer = yield* send({ operation: "discover_ingest_host" })
        assert.strictEqual(answer.status, 500)
        assert.deepInclude(answer.json, { error_code: "non_retriable", operation: "discover_ingest_host", attempts: 1 })
        assert.notProperty(answer.headers, "retry-after")
      })
    )

    live(
      "[R20] [S3-08] sends requests to registered URLs only",
      Effect.gen(function*() {
        const { api, send, source } = yield* sidecar()
        for (
          const url of [
            "https://api.example/v2",
            "https://api.example/v10",
            "https://api.example/v1/..%2fv2",
            "https://api.example.evil/v1",
            "https://api.example@evil.example/v1",
            "https://u:p@api.example/v1",
            "http://api.example/v1",
            "http://169.254.169.254/latest/meta-data",
            "file:///etc/passwd",
            "/v1"
          ]
        ) {
          const answer = yield* send({ url })
          assert.strictEqual(answer.status, 500, url)
          assert.deepStrictEqual(answer.json, {
            error_code: "non_retriable",
            message: "The URL belongs to no registered server",
            operation: "append_rows",
            attempts: 0
          })
        }
        assert.deepStrictEqual([api.received.length, source.asked()], [0, 0])
      })
    )

    live(
      "[S2-17] rejects an unknown operation, and headers of the connection or the guard",
      Effect.gen(function*() {
        const { api, send } = yield* sidecar()
        const bad: ReadonlyArray<Readonly<Record<string, unknown>>> = [
          { operation: "drop_tables" },
          { operation: "" },
          { method: "CONNECT" },
          { method: "get" },
          { url: 1 },
          { headers: { Authorization: "Bearer mine" } },
          { headers: { host: "evil.example" } },
          { headers: { "transfer-encoding": "chunked" } },
          { headers: { "retry-after": "1\r\nx: y" } },
          { headers: { "bad name": "x" } },
          { headers: { "x-good": "1", "x-bad": "1\n2" } },
          { body: { not: "text" } }
        ]
        for (const body of bad) {
          const answer = yield* send(body)
          assert.strictEqual(answer.status, 400, JSON.stringify(body))
          assert.deepInclude(answer.json, { error_code: "invalid_request" })
          assert.notInclude(answer.text, "mine")
        }
        assert.deepInclude((yield* send({ operation: "drop_tables" })).json, {
          message: "operation must be one of discover_ingest_host, get_scoped_token, open_channel, append_rows"
        })
        assert.deepInclude((yield* send({ headers: { "X-Own": "1", Authorization: "Bearer mine" } })).json, {
          message: "The caller must not set the header Authorization"
        })
        assert.deepStrictEqual(api.received, [])
      })
    )

    live(
      "returns the server's response with showResponses, up to a size limit",
      Effect.gen(function*() {
        const reply: Reply = ({ url }) =>
          Effect.sync(() =>
            new Response(url.endsWith("large") ? "x".repeat(1_048_577) : "grüße", {
              status: 404,
              headers: {
                "content-type": "text/plain",
                etag: "\"1\"",
                "set-cookie": "a=b",
                "www-authenticate": "Bearer"
              }
            })
          )
        const { send } = yield* sidecar({ reply, options: { showResponses: true } })
        assert.deepStrictEqual(brief(yield* send()), [202, {
          operation: "append_rows",
          attempts: 1,
          final_status: "forwarded_to_caller",
          response: { status: 404, headers: { "content-type": "text/plain", etag: "\"1\"" }, body: "grüße" }
        }])
        assert.deepStrictEqual(brief(yield* send({ url: "https://api.example/v1/large" })), [500, {
          error_code: "non_retriable",
          message: "The response body is too long or incomplete",
          operation: "append_rows",
          attempts: 1
        }])
      })
    )

    live(
      "the size limit is for the whole body, and a character may come in two parts",
      Effect.gen(function*() {
        const parts: Record<string, ReadonlyArray<Uint8Array<ArrayBuffer>>> = {
          limit: [new Uint8Array(1_000_000).fill(97), new Uint8Array(48_576).fill(97)],
          above: [new Uint8Array(1_000_000).fill(97), new Uint8Array(48_577).fill(97)],
          split: [new Uint8Array([0xc3]), new Uint8Array([0xbc, 97])]
        }
        const bodyOf = (all: ReadonlyArray<Uint8Array<ArrayBuffer>>) =>
          new ReadableStream<Uint8Array>({
            start(controller) {
              for (const part of all) controller.enqueue(part)
              controller.close()
            }
          })
        const reply: Reply = ({ url }) => Effect.sync(() => new Response(bodyOf(parts[url.slice(-5)] ?? [])))
        const { send } = yield* sidecar({ reply, options: { showResponses: true } })
        assert.deepNestedInclude((yield* send({ url: "https://api.example/v1/limit" })).json, {
          "response.body": "a".repeat(1_048_576)
        })
        assert.strictEqual((yield* send({ url: "https://api.example/v1/above" })).status, 500)
        assert.deepNestedInclude((yield* send({ url: "https://api.example/v1/split" })).json, {
          "response.body": "üa"
        })
      })
    )

    const bodiless: ReadonlyArray<readonly [method: string, status: number]> = [
      ["HEAD", 200],
      ["HEAD", 404],
      ["DELETE", 204],
      ["PUT", 205],
      ["GET", 304],
      ["POST", 201]
    ]
    for (const [method, status] of bodiless) {
      live(
        `[K-28 G7] with showResponses ${method} ${status} without a body is an answer`,
        Effect.gen(function*() {
          const { api, send } = yield* sidecar({
            reply: always(status, { etag: "\"1\"" }),
            options: { showResponses: true }
          })
          assert.deepStrictEqual(brief(yield* send({ method })), [202, {
            operation: "append_rows",
            attempts: 1,
            final_status: status < 400 ? "success" : "forwarded_to_caller",
            response: { status, headers: { etag: "\"1\"" }, body: "" }
          }])
          assert.strictEqual(api.received.length, 1)
        })
      )
    }

    live(
      "[K-28 G7] a response that breaks off is no answer",
      Effect.gen(function*() {
        const broken = new ReadableStream({ start: (controller) => controller.error(new Error("reset")) })
        const { send } = yield* sidecar({
          reply: () => Effect.sync(() => new Response(broken)),
          options: { showResponses: true }
        })
        assert.strictEqual((yield* send()).status, 500)
      })
    )

    live(
      "[K-28 G7] a GET or HEAD with a body is 400, and is not sent",
      Effect.gen(function*() {
        const { api, send } = yield* sidecar({ server: { resilience: { retry } } })
        for (const method of ["GET", "HEAD"]) {
          for (const body of ["x", ""]) {
            const answer = yield* send({ method, body })
            assert.deepStrictEqual(brief(answer), [400, {
              error_code: "invalid_request",
              message: `A ${method} request must not have a body`
            }])
          }
        }
        assert.deepStrictEqual(api.received, [])
      })
    )

    live(
      "[K-28 G7] one client that asks for many scopes does not keep others from theirs",
      Effect.gen(function*() {
        const { ensure, send } = yield* sidecar({ server: { source: ({ scope }) => makeSource(scope).source } })
        for (let i = 0; i < 120; i++) assert.strictEqual((yield* ensure({ scope: `s${i}` })).status, 202)
        assert.strictEqual((yield* ensure({ scope: "other" })).status, 202)
        assert.strictEqual((yield* ensure({ scope: "s119" })).status, 200)
        assert.strictEqual((yield* send({ scope: "another" })).status, 202)
      })
    )

    live(
      "[S2-17] sends a body with its type, text/plain if the caller names none, and no body without one",
      Effect.gen(function*() {
        const { api, send } = yield* sidecar()
        yield* send()
        yield* send({ method: "POST" })
        yield* send({ method: "POST", body: "x" })
        yield* send({ method: "POST", body: "<x/>", headers: { "Content-Type": "text/xml" } })
        assert.deepStrictEqual(api.received.map(({ hasBody, headers }) => [hasBody, headers["content-type"]]), [
          [false, undefined],
          [false, undefined],
          [true, "text/plain;charset=UTF-8"],
          [true, "text/xml"]
        ])
      })
    )

    live(
      "[S2-17] is 400 for a scope if the server's source cannot narrow scopes, and sends nothing",
      Effect.gen(function*() {
        const { api, send } = yield* sidecar()
        for (const grant of [{ scope: "read" }, { audience: "https://other.example" }]) {
          assert.deepStrictEqual(brief(yield* send(grant)), [400, {
            error_code: "invalid_request",
            message: "This source cannot narrow scopes; pass `(grant) => source`"
          }])
        }
        assert.deepStrictEqual(api.received, [])
      })
    )

    live(
      "[K-28 D6] sends QUERY with its body",
      Effect.gen(function*() {
        const { api, send } = yield* sidecar()
        assert.strictEqual((yield* send({ method: "QUERY", body: "select" })).status, 202)
        assert.deepStrictEqual(api.received.map(({ hasBody, method }) => [method, hasBody]), [["QUERY", true]])
      })
    )

    live(
      "reads a response that arrives byte by byte in linear time",
      Effect.gen(function*() {
        let left = 100_000
        const body = new ReadableStream<Uint8Array>({
          pull: (controller) => left-- > 0 ? controller.enqueue(new Uint8Array([97])) : controller.close()
        })
        const { send } = yield* sidecar({
          reply: () => Effect.sync(() => new Response(body)),
          options: { showResponses: true }
        })
        const { json } = yield* send()
        assert.deepNestedInclude(json, { "response.body": "a".repeat(100_000) })
      })
    )
  })

  describe("callers", () => {
    live(
      "[R20] every request without the secret is rejected",
      Effect.gen(function*() {
        const { call, ensure, source } = yield* sidecar()
        for (
          const authorization of [
            "",
            "Bearer",
            "Bearer ",
            `Bearer ${secret.slice(0, -1)}`,
            `Bearer ${secret}x`,
            `Bearer ${secret.toUpperCase()}`,
            `Basic ${secret}`,
            secret
          ]
        ) {
          const answer = yield* ensure({}, { authorization })
          assert.deepStrictEqual(brief(answer), [401, {
            error_code: "unauthenticated",
            message: "The secret is missing or wrong"
          }], authorization)
          assert.strictEqual((yield* call("/sdk/token/ensure", { body: "{", headers: { authorization } })).status, 401)
        }
        assert.strictEqual(source.asked(), 0)
        assert.strictEqual((yield* ensure({}, { authorization: `bearer ${secret}` })).status, 202)
      })
    )

    live(
      "[R20] [R22] requests of browsers are rejected, by their Host or their Origin",
      Effect.gen(function*() {
        const { call, ensure, source } = yield* sidecar({ options: { hosts: ["Tokens.Internal."] } })
        for (
          const headers of [
            { host: "evil.example" },
            { host: "127.0.0.1.evil.example" },
            { host: "localhost.evil.example:80" },
            { host: "localhost@evil.example" },
            { origin: "https://evil.example" },
            { origin: "null" },
            { origin: "http://127.0.0.1" },
            { "access-control-request-method": "POST" }
          ]
        ) {
          const answer = yield* ensure({}, headers)
          assert.strictEqual(answer.status, 403, JSON.stringify(headers))
          assert.deepStrictEqual(Object.keys(answer.headers).filter((name) => name.startsWith("access-control")), [])
        }
        const preflight = yield* call("/sdk/token/ensure", {
          method: "OPTIONS",
          headers: { origin: "https://evil.example" }
        })
        assert.include([403, 404, 405], preflight.status)
        assert.notProperty(preflight.headers, "access-control-allow-origin")
        assert.strictEqual(source.asked(), 0)
        for (
          const host of [
            "localhost",
            "LOCALHOST:1",
            "127.0.0.1:80",
            "[::1]:80",
            "tokens.internal",
            "tokens.internal.:99"
          ]
        ) {
          assert.include([200, 202], (yield* ensure({}, { host })).status, host)
        }
      })
    )

    live(
      "[R20] listens only on loopback addresses and Unix sockets",
      Effect.gen(function*() {
        const path = join(tmpdir(), `keelson-sidecar-${process.pid}.sock`)
        const { ensure } = yield* sidecar({ listen: { path } })
        assert.strictEqual((yield* ensure({}, { host: "localhost" })).status, 202)
        for (const host of ["0.0.0.0", "::"]) {
          const error = yield* Effect.flip(sidecar({ listen: { host, port: 0 } }))
          assert.deepInclude(error, {
            code: "INVALID_CONFIG",
            message: "The token sidecar must not listen on an address that other machines can reach",
            details: { path: "host", expected: "a loopback address, or a Unix socket" }
          })
        }
      })
    )

    live(
      "[R20] a caller whose address cannot be read is not of this machine",
      Effect.gen(function*() {
        for (const [remoteAddress, status] of [["127.0.0.1", 202], ["192.0.2.1", 403], ["unknown", 403]] as const) {
          const { ensure } = yield* sidecar({ remoteAddress })
          assert.strictEqual((yield* ensure()).status, status, remoteAddress)
        }
      })
    )

    live(
      "[R20] [R22] a request without a Host is rejected",
      Effect.gen(function*() {
        const { source, to } = yield* sidecar()
        const answer = yield* Effect.callback<string>((resume) => {
          const socket = connect({ host: "127.0.0.1", port: to.port ?? 0 }, () =>
            socket.end(
              `POST /sdk/token/ensure HTTP/1.0\r\nAuthorization: Bearer ${secret}\r\nContent-Type: application/json\r\n` +
                "Content-Length: 2\r\n\r\n{}"
            ))
          let text = ""
          socket.on("data", (chunk) => text += String(chunk))
          socket.once("close", () => resume(Effect.succeed(text)))
          socket.once("error", (error) => resume(Effect.die(error)))
        })
        assert.match(answer, /^HTTP\/1\.\d 403 /)
        assert.strictEqual(source.asked(), 0)
      })
    )

    live(
      "[R20] options are checked, the length of the secret too",
      Effect.gen(function*() {
        for (
          const [options, path] of [
            [{ secret: Redacted.make("short") }, "secret"],
            [{ operations: ["Append Rows"] }, "operations.0"],
            [{ hosts: ["a/b"] }, "hosts.0"]
          ] as const
        ) {
          const error = yield* Effect.flip(sidecar({ options }))
          assert.deepInclude(error, { code: "INVALID_CONFIG" })
          assert.include(JSON.stringify(error), path)
          assert.notInclude(JSON.stringify(error), "short")
        }
      })
    )

    live(
      "rejects an invalid request without repeating any of it",
      Effect.gen(function*() {
        const { call } = yield* sidecar()
        for (
          const body of ["", "{", "[]", "null", "{\"force\":\"hidden\"}", "{\"hidden\":1}", "{\"server\":\"hidden!\"}"]
        ) {
          const answer = yield* call("/sdk/token/ensure", { body })
          assert.strictEqual(answer.status, 400, body)
          assert.deepStrictEqual(answer.json, {
            error_code: "invalid_request",
            message: "The payload does not match the API schema"
          })
          assert.notInclude(answer.text, "hidden")
        }
      })
    )

    live(
      "[R20] rejects a request above 1 MiB, and anything but JSON",
      Effect.gen(function*() {
        const { api, ensure, send } = yield* sidecar()
        assert.strictEqual((yield* send({ method: "POST", body: "x".repeat(1_000_000) })).status, 202)
        assert.strictEqual((yield* send({ method: "POST", body: "x".repeat(1_100_000) })).status, 413)
        assert.strictEqual(api.received.length, 1)
        assert.strictEqual((yield* ensure({}, { "content-type": "text/plain" })).status, 415)
      })
    )

    live(
      "[R20] rejects callers of other machines, also behind a proxy that names its callers",
      Effect.gen(function*() {
        const { ensure } = yield* sidecar({ isBehindProxy: true })
        assert.strictEqual((yield* ensure({}, { "x-forwarded-for": "127.0.0.7" })).status, 202)
        assert.strictEqual((yield* ensure({}, { "x-forwarded-for": "203.0.113.7" })).status, 403)
      })
    )
  })

  it("[S2-15] [S2-17] the OpenAPI document has both endpoints, with every status and its body", () => {
    const { paths, components, security } = TokenSidecar.openApi
    const statusesOf = (path: string) => Object.keys(paths[path]?.post?.responses ?? {}).toSorted()
    assert.deepStrictEqual(Object.keys(paths), ["/sdk/token/ensure", "/sdk/request/send"])
    assert.deepStrictEqual(statusesOf("/sdk/token/ensure"), ["200", "202", "400", "401", "403", "404", "503"])
    assert.deepStrictEqual(statusesOf("/sdk/request/send"), ["202", "400", "401", "403", "429", "500"])
    const membersOf = (name: string) => {
      const schema = components.schemas[name]
      return Object.keys(record(record(schema)["properties"])).toSorted()
    }
    assert.deepStrictEqual(membersOf("Fresh"), ["attempts", "refresh_applied", "token"])
    assert.deepStrictEqual(membersOf("Refreshed"), ["attempts", "refresh_applied", "token"])
    assert.deepStrictEqual(membersOf("Token"), ["expires_at", "issued_at", "remaining_seconds", "scoped", "value"])
    assert.deepStrictEqual(membersOf("EnsureFailed"), ["error_code", "last_attempt_at", "message"])
    assert.deepStrictEqual(membersOf("Sent"), ["attempts", "final_status", "operation", "response"])
    assert.deepStrictEqual(Object.keys(components.securitySchemes), ["secret"])
    assert.isDefined(security)
  })
})
