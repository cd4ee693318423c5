import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@keelson/testing/eventually"
import {
  dripping,
  failing,
  hanging,
  keyOrigin,
  redirecting,
  resetting,
  sending,
  sendingMebibytes
} from "@keelson/testing/keyOrigin"
import { quiet } from "@keelson/testing/observe"
import { type Duration, Effect, Fiber, Layer, Queue, Redacted } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import { ClientAuth, OAuthClient, TokenHttpClient, TokenProvider } from "../src/index.ts"
import { detailsOf, textOf } from "./tokenSupport.ts"

type Handle = Parameters<typeof keyOrigin>[0]

const retry = { maxAttempts: 3, strategy: "fixed", initialDelay: "0 millis", jitter: "none" } as const
const json = { "content-type": "application/json" }

/** Answers with a token response with these members added or replaced. */
const token = (members: Readonly<Record<string, unknown>> = {}): string =>
  JSON.stringify({ access_token: "good", token_type: "Bearer", expires_in: 600, ...members })

const setUp = Effect.fnUntraced(function*(
  answer: Handle,
  options: Partial<OAuthClient.Options> = {},
  more: Partial<TokenProvider.Options> = {}
) {
  const origin = yield* keyOrigin(answer)
  const tokenEndpoint = `http://127.0.0.1:${origin.port}/token?tenant=one`
  const source = OAuthClient.clientCredentials({
    tokenEndpoint,
    clientId: "client",
    auth: ClientAuth.secretBasic(Redacted.make("a secret of the client")),
    allowLocalhost: true,
    ...options
  })
  const provider = yield* TokenProvider.make({ name: "idp", source, ...more })
  return { origin, provider, endpoint: `http://127.0.0.1:${origin.port}/token` }
})

/** The error of the first lookup, and how many requests it sent. */
const failureOf = (answer: Handle, options?: Partial<OAuthClient.Options>) =>
  Effect.gen(function*() {
    const { origin, provider } = yield* setUp(answer, options, { resilience: { retry } })
    const error = yield* Effect.flip(provider.get)
    return {
      code: error.code,
      message: error.message,
      details: detailsOf(error),
      requests: origin.requests.length
    }
  })

/** A server that moves the virtual time on at each request, past the limit of the request, once it has it. */
const outwaited = Effect.fnUntraced(function*(answer: Handle, limit: Duration.Input) {
  const requests = yield* Queue.unbounded<void>()
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Queue.take(requests), TestClock.adjust(limit))))
  const handle: Handle = (request, response) => {
    answer(request, response)
    Queue.offerUnsafe(requests, undefined)
  }
  return handle
})

describe("OAuthClient at a server that misbehaves", () => {
  it.live("[R11] a redirect of the token endpoint is never followed, so the secret is sent nowhere else", () =>
    Effect.gen(function*() {
      const elsewhere = yield* keyOrigin(sending(token(), json))
      for (const status of [301, 302, 303, 307, 308]) {
        const { code, details, requests } = yield* failureOf((_, response) => {
          response.writeHead(status, { location: `http://127.0.0.1:${elsewhere.port}/token` }).end()
        })
        assert.deepStrictEqual([code, details["reason"], details["status"]], ["EGRESS_REFUSED", "redirect", status])
        assert.strictEqual(requests, 1)
      }
      assert.strictEqual(elsewhere.connections(), 0)
    }).pipe(Effect.scoped, quiet))

  it.live("[R11] a redirect of the issuer's metadata is never followed", () =>
    Effect.gen(function*() {
      const elsewhere = yield* keyOrigin(sending("{}"))
      const origin = yield* keyOrigin(redirecting(`http://127.0.0.1:${elsewhere.port}/`))
      const source = OAuthClient.clientCredentials({
        issuer: `http://127.0.0.1:${origin.port}`,
        clientId: "client",
        auth: ClientAuth.secretBasic(Redacted.make("secret")),
        allowLocalhost: true
      })
      const provider = yield* TokenProvider.make({ name: "idp", source })
      assert.strictEqual((yield* Effect.flip(provider.get)).code, "EGRESS_REFUSED")
      assert.strictEqual(elsewhere.connections(), 0)
    }).pipe(Effect.scoped, quiet))

  it.effect("an endpoint that no longer exists is discovered again, a slow one is not", () =>
    Effect.gen(function*() {
      const script: { path: string; isHanging: boolean } = { path: "/old", isHanging: false }
      const hang = yield* outwaited(hanging, "200 millis")
      const origin = yield* keyOrigin((request, response) => {
        const issuer = `http://127.0.0.1:${origin.port}`
        if (request.method === "GET") {
          response.writeHead(200, { "cache-control": "max-age=3600" })
          response.end(JSON.stringify({ issuer, token_endpoint: issuer + script.path }))
        } else if (request.url !== script.path) response.writeHead(404).end()
        else if (script.isHanging) hang(request, response)
        else response.writeHead(200, json).end(token())
      })
      const provider = yield* TokenProvider.make({
        name: "idp",
        source: OAuthClient.clientCredentials({
          issuer: `http://127.0.0.1:${origin.port}`,
          clientId: "client",
          auth: ClientAuth.secretBasic(Redacted.make("secret")),
          allowLocalhost: true,
          requestTimeout: "200 millis"
        })
      })
      const lookups = () => origin.requests.filter((request) => request.startsWith("GET")).length
      yield* provider.refresh
      script.path = "/new"
      assert.strictEqual((yield* Effect.flip(provider.refresh)).code, "TOKEN_ACQUISITION_FAILED")
      assert.strictEqual(lookups(), 1)
      yield* provider.refresh
      assert.strictEqual(lookups(), 2)
      script.isHanging = true
      assert.strictEqual((yield* Effect.flip(provider.refresh)).code, "TIMEOUT")
      script.isHanging = false
      yield* provider.refresh
      assert.strictEqual(lookups(), 2)
    }).pipe(Effect.scoped, quiet))

  it.live("metadata of another issuer are rejected, even if only a slash differs", () =>
    Effect.gen(function*() {
      const origin = yield* keyOrigin((_, response) => {
        const issuer = `http://127.0.0.1:${origin.port}/`
        response.end(JSON.stringify({ issuer, token_endpoint: `${issuer}token` }))
      })
      const source = OAuthClient.clientCredentials({
        issuer: `http://127.0.0.1:${origin.port}`,
        clientId: "client",
        auth: ClientAuth.secretBasic(Redacted.make("secret")),
        allowLocalhost: true
      })
      const provider = yield* TokenProvider.make({ name: "idp", source })
      assert.strictEqual((yield* Effect.flip(provider.get)).code, "DISCOVERY_INVALID")
      assert.strictEqual(origin.requests.length, 1)
    }).pipe(Effect.scoped, quiet))

  const attempts: ReadonlyArray<readonly [string, Handle, string, number]> = [
    ["a reset connection", resetting, "NETWORK_ERROR", 3],
    ["no answer in time", hanging, "TIMEOUT", 3],
    ["an answer that drips in", dripping, "TIMEOUT", 3],
    ["429", failing(429), "RATE_LIMITED", 3],
    ["502", failing(502), "UPSTREAM_UNAVAILABLE", 3],
    ["503", failing(503), "UPSTREAM_UNAVAILABLE", 3],
    ["504", failing(504), "TIMEOUT", 3],
    ["500", failing(500), "UPSTREAM_UNAVAILABLE", 1],
    ["501", failing(501), "UPSTREAM_UNAVAILABLE", 1],
    ["404", failing(404), "TOKEN_ACQUISITION_FAILED", 1],
    ["403", failing(403), "TOKEN_ACQUISITION_FAILED", 1],
    ["a body that is too large", sendingMebibytes(2), "RESPONSE_TOO_LARGE", 1]
  ]
  for (const [what, answer, code, requests] of attempts) {
    it.effect(`[R15] [S3-33] ${what} is ${code} after ${requests === 1 ? "one request" : `${requests} requests`}`, () =>
      Effect.gen(function*() {
        const isSlow = answer === hanging || answer === dripping
        const handle = isSlow ? yield* outwaited(answer, "150 millis") : answer
        const failure = yield* failureOf(handle, { requestTimeout: "150 millis" })
        assert.deepStrictEqual([failure.code, failure.requests], [code, requests])
        assert.strictEqual(failure.details["attempts"], requests)
        assert.strictEqual(failure.details["server"], "idp")
        assert.match(JSON.stringify(failure.details["endpoint"]), /^"http:\/\/127\.0\.0\.1:\d+\/token"$/)
      }).pipe(Effect.scoped, quiet))
  }

  it.live("[S3-33] a server that does not exist is NETWORK_ERROR", () =>
    Effect.gen(function*() {
      const { code } = yield* failureOf(hanging, { tokenEndpoint: "http://127.0.0.1:1/token" })
      assert.strictEqual(code, "NETWORK_ERROR")
    }).pipe(Effect.scoped, quiet))

  const errors: ReadonlyArray<readonly [number, string, string, number, unknown]> = [
    [400, "invalid_scope", "TOKEN_ACQUISITION_FAILED", 1, "invalid_scope"],
    [429, "invalid_client", "TOKEN_ACQUISITION_FAILED", 1, "invalid_client"],
    [503, "invalid_client", "TOKEN_ACQUISITION_FAILED", 1, "invalid_client"],
    [400, "secret of the server", "TOKEN_ACQUISITION_FAILED", 1, "unregistered"],
    // The body of a gateway.
    [503, "Service Unavailable", "UPSTREAM_UNAVAILABLE", 3, undefined],
    [429, "too_many_requests", "RATE_LIMITED", 3, undefined]
  ]
  for (const [status, error, code, requests, shown] of errors) {
    it.live(`[R15] [R21] ${status} with the error \`${error}\` is ${code}`, () =>
      Effect.gen(function*() {
        const failure = yield* failureOf((_, response) => {
          response.writeHead(status, json).end(JSON.stringify({ error, error_description: "private" }))
        })
        assert.deepStrictEqual([failure.code, failure.requests, failure.details["error"]], [code, requests, shown])
      }).pipe(Effect.scoped, quiet))
  }

  it.live("[S3-26] no request is sent before a server's Retry-After", () =>
    Effect.gen(function*() {
      const { origin, provider } = yield* setUp((_, response) => {
        response.writeHead(429, { "retry-after": "7" }).end()
      })
      const first = yield* Effect.flip(provider.get)
      assert.strictEqual(detailsOf(first)["retry_after_ms"], 7000)
      assert.strictEqual((yield* Effect.flip(provider.get)).code, "RATE_LIMITED")
      assert.strictEqual(origin.requests.length, 1)
    }).pipe(Effect.scoped, quiet))

  const garbage: ReadonlyArray<readonly [what: string, body: string, member: string, received: string]> = [
    ["a login page", "<html><body>Sign in</body></html>", "body", "not JSON"],
    ["nothing", "", "body", "not JSON"],
    ["a list", "[]", "body", "a list"],
    ["null", "null", "body", "null"],
    ["no access_token", token({ access_token: undefined }), "access_token", "nothing"],
    ["an access_token that is null", token({ access_token: null }), "access_token", "null"],
    ["an access_token that is a number", token({ access_token: 7 }), "access_token", "a number"],
    ["an access_token that is an object", token({ access_token: {} }), "access_token", "an object"],
    ["an empty access_token", token({ access_token: "" }), "access_token", "an empty text"],
    ["an expires_in with a unit", token({ expires_in: "10m" }), "expires_in", "a text"],
    ["an expires_in that is a list", token({ expires_in: [600] }), "expires_in", "a list"],
    ["a token_type that is a number", token({ token_type: 7 }), "token_type", "a number"],
    ["a token_type of DPoP", token({ token_type: "DPoP" }), "token_type", "DPoP"],
    ["a token_type of mac", token({ token_type: "mac" }), "token_type", "mac"],
    ["another token_type", token({ token_type: "good" }), "token_type", "a text"]
  ]
  for (const [what, body, member, received] of garbage) {
    it.live(`[K-28 E] 200 with ${what} is TOKEN_RESPONSE_INVALID, which names the member and what was received`, () =>
      Effect.gen(function*() {
        const { code, details, message, requests } = yield* failureOf(sending(body, json))
        assert.deepStrictEqual([code, details["reason"], details["received"], details["status"], requests], [
          "TOKEN_RESPONSE_INVALID",
          member,
          received,
          200,
          1
        ])
        assert.isTrue(message.startsWith(`The token response is invalid: ${member} must be `))
        assert.isTrue(message.endsWith(`, but is ${received}`))
        assert.include(message, JSON.stringify(details["expected"]).slice(1, -1))
        assert.notInclude(message, "good")
      }).pipe(Effect.scoped, quiet))
  }

  const wrong: ReadonlyArray<readonly [string, string, string]> = [
    ["mac", "TOKEN_RESPONSE_INVALID", ""],
    ["DPoP", "TOKEN_RESPONSE_INVALID", "token_type"],
    ["N_A", "TOKEN_RESPONSE_INVALID", ""]
  ]
  for (const [type, code] of wrong) {
    it.live(`a token_type of ${type} is ${code}`, () =>
      Effect.gen(function*() {
        assert.strictEqual((yield* failureOf(sending(token({ token_type: type }), json))).code, code)
      }).pipe(Effect.scoped, quiet))
  }

  it.live("an access token with characters that a header cannot carry is rejected", () =>
    Effect.gen(function*() {
      for (const access of ["a b", "a\r\nx: y", "ä", "x".repeat(16_385)]) {
        const { code, details } = yield* failureOf(sending(token({ access_token: access }), json))
        assert.deepStrictEqual([code, details["reason"]], ["TOKEN_RESPONSE_INVALID", "access_token"])
      }
    }).pipe(Effect.scoped, quiet))

  const lifetimes: ReadonlyArray<readonly [unknown, number | string]> = [
    [600, 600],
    [600.5, 600.5],
    ["600", 600],
    ["599.5", 599.5],
    [undefined, 3600],
    [31_536_000, 86_400],
    [1e300, 86_400],
    [-1, "TOKEN_RESPONSE_INVALID"],
    ["600s", "TOKEN_RESPONSE_INVALID"],
    ["soon", "TOKEN_RESPONSE_INVALID"],
    ["", 3600],
    ["-600", "TOKEN_RESPONSE_INVALID"],
    ["1e3", "TOKEN_RESPONSE_INVALID"],
    [null, 3600],
    [[600], "TOKEN_RESPONSE_INVALID"],
    [true, "TOKEN_RESPONSE_INVALID"],
    [0, "INVALID_CONFIG"],
    [59, "INVALID_CONFIG"],
    [60, 60]
  ]
  for (const [expiresIn, expected] of lifetimes) {
    it.live(`[S2-04] expires_in ${JSON.stringify(expiresIn) ?? "left out"}: ${expected}`, () =>
      Effect.gen(function*() {
        const { provider } = yield* setUp(sending(token({ expires_in: expiresIn }), json))
        const lifetime = yield* Effect.match(provider.get, {
          onFailure: ({ code }) => code,
          onSuccess: ({ expiresAt, issuedAt }) => (expiresAt.wall - issuedAt.wall) / 1000
        })
        assert.strictEqual(lifetime, expected)
      }).pipe(Effect.scoped, quiet))
  }

  it.live("expires_in 1e999 and larger is TOKEN_RESPONSE_INVALID", () =>
    Effect.gen(function*() {
      const body = "{\"access_token\":\"a\",\"token_type\":\"bearer\",\"expires_in\":1e999}"
      assert.strictEqual((yield* failureOf(sending(body, json))).code, "TOKEN_RESPONSE_INVALID")
    }).pipe(Effect.scoped, quiet))

  it.live("a response with a wrong content type is accepted, since some servers send it", () =>
    Effect.gen(function*() {
      const { provider } = yield* setUp(sending(token(), { "content-type": "text/plain" }))
      assert.strictEqual(textOf(yield* provider.get), "good")
    }).pipe(Effect.scoped, quiet))

  it.live("an ID token in the response is ignored", () =>
    Effect.gen(function*() {
      const { provider } = yield* setUp(sending(token({ id_token: "not.a.token" }), json))
      assert.strictEqual(textOf(yield* provider.get), "good")
    }).pipe(Effect.scoped, quiet))

  it.live("sends scope, audience, resource, further parameters and the client's id", () =>
    Effect.gen(function*() {
      const bodies: Array<string> = []
      const answer: Handle = (request, response) => {
        request.setEncoding("utf8").on("data", (chunk: string) => bodies.push(chunk))
        request.on("end", () => response.writeHead(200, json).end(token()))
      }
      const { provider } = yield* setUp(answer, {
        scope: "a b",
        audience: "api",
        resource: "https://api.example",
        parameters: { tenant: "t/1" }
      })
      yield* provider.get
      assert.deepStrictEqual(Object.fromEntries(new URLSearchParams(bodies.join(""))), {
        grant_type: "client_credentials",
        scope: "a b",
        audience: "api",
        resource: "https://api.example",
        tenant: "t/1"
      })
    }).pipe(Effect.scoped, quiet))

  it.live("[R12] token requests contain nothing that the application adds to its requests", () =>
    Effect.gen(function*() {
      const authorization = "Bearer the-applications-own"
      const client = HttpClient.mapRequest(
        yield* TokenHttpClient.TokenHttpClient,
        HttpClientRequest.setHeader("authorization", authorization)
      )
      const fetch: typeof globalThis.fetch = (input, init) =>
        globalThis.fetch(input, {
          ...init,
          headers: { ...Object.fromEntries(new Headers(init?.headers)), authorization }
        })
      // An acquisition runs in the context in which the provider is made.
      const application = Layer.mergeAll(
        Layer.succeed(HttpClient.HttpClient, client),
        Layer.succeed(FetchHttpClient.Fetch, fetch),
        Layer.succeed(FetchHttpClient.RequestInit, { headers: { authorization, "x-application": "1" } })
      )
      const { origin } = yield* Effect.gen(function*() {
        const made = yield* setUp(sending(token(), json))
        yield* made.provider.get
        return made
      }).pipe(Effect.provide(application))
      assert.match(String(origin.headers[0]?.authorization), /^Basic /)
      assert.notProperty(origin.headers[0], "x-application")
    }).pipe(Effect.scoped, quiet))

  it.live("uses the client of TokenHttpClient.layer", () =>
    Effect.gen(function*() {
      const urls: Array<string> = []
      const counting = Layer.effect(
        HttpClient.HttpClient,
        Effect.map(
          TokenHttpClient.TokenHttpClient,
          HttpClient.mapRequest((request) => {
            urls.push(request.url)
            return request
          })
        )
      )
      yield* Effect.gen(function*() {
        const { provider } = yield* setUp(sending(token(), json))
        yield* provider.get
      }).pipe(Effect.provide(TokenHttpClient.layer(counting)))
      assert.strictEqual(urls.length, 1)
    }).pipe(Effect.scoped, quiet))

  it.live("[R28] closing fails waiting callers at once and closes the connection", () =>
    Effect.gen(function*() {
      const origin = yield* keyOrigin(hanging)
      const waiting = yield* Effect.scoped(Effect.gen(function*() {
        const { provider } = yield* setUp(hanging, {
          tokenEndpoint: `http://127.0.0.1:${origin.port}/token`,
          requestTimeout: "1 minute"
        })
        const fiber = yield* Effect.forkDetach(Effect.flip(provider.get), { startImmediately: true })
        yield* eventually(() => origin.requests.length === 1)
        return fiber
      }))
      assert.strictEqual((yield* Fiber.join(waiting)).code, "SHUTTING_DOWN")
      yield* eventually(() => origin.open() === 0)
    }).pipe(Effect.scoped, quiet))
})
