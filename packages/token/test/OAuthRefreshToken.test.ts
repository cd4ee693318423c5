import { assert, describe, it } from "@effect/vitest"
import { quiet } from "@keelson/testing/observe"
import { Effect, Fiber, Redacted } from "effect"
import { HttpClient, HttpClientError } from "effect/http"
import { ClientAuth, OAuthClient, RefreshTokenStore, TokenHttpClient, TokenProvider } from "../src/index.ts"
import { clientSecret, type OAuthServer, oauthServer } from "./oauthServer.ts"
import { detailsOf, textOf } from "./tokenSupport.ts"

const retry = { maxAttempts: 4, strategy: "fixed", initialDelay: "1 millis", jitter: "none" } as const

/** A store that records every refresh token, and fails on demand. */
const storeOf = (first: string) => {
  const saved: Array<string> = []
  const script = { isDown: false }
  const memory = RefreshTokenStore.memory(Redacted.make(first))
  const store: RefreshTokenStore.RefreshTokenStore = {
    load: memory.load,
    save: (token) =>
      Effect.suspend(() => {
        if (script.isDown) return Effect.fail("the store is down")
        saved.push(Redacted.value(token))
        return memory.save(token)
      })
  }
  return { store, saved, script }
}

const sourceOf = (server: OAuthServer, store: RefreshTokenStore.RefreshTokenStore, rotates?: boolean) =>
  OAuthClient.refreshToken({
    issuer: server.issuer,
    clientId: "web",
    auth: ClientAuth.secretBasic(Redacted.make(clientSecret)),
    allowLocalhost: true,
    store,
    rotates
  })

/** A provider over a real server, with what the tests check. */
const setUp = Effect.fnUntraced(function*(options: { readonly rotates?: boolean } = {}) {
  const server = yield* oauthServer(options)
  const first = yield* server.refreshToken
  const kept = storeOf(first)
  const source = sourceOf(server, kept.store, options.rotates)
  const provider = yield* TokenProvider.make({ name: "idp", source, resilience: { retry } })
  const sent = () => server.requests.map(({ body }) => body.get("refresh_token"))
  return { server, first, source, provider, sent, ...kept }
})

describe("OAuthClient.refreshToken at a real authorization server", () => {
  it.live("[R14] sends each refresh token once, and saves the next one before returning the access token", () =>
    Effect.gen(function*() {
      const { first, provider, saved, sent, server } = yield* setUp()
      const token = yield* provider.get
      assert.strictEqual((yield* server.find(textOf(token)))?.clientId, "web")
      assert.strictEqual(saved.length, 1)
      yield* provider.refresh
      assert.deepStrictEqual(sent(), [first, saved[0] ?? null])
      assert.strictEqual(new Set([first, ...saved]).size, 3)
    }).pipe(Effect.scoped, quiet))

  it.live("a refresh token that does not rotate is used again, and retried", () =>
    Effect.gen(function*() {
      const { first, provider, saved, sent, server } = yield* setUp({ rotates: false })
      yield* provider.get
      server.fault = (response, number) => number === 2 && response.writeHead(502).end() === response
      yield* provider.refresh
      assert.deepStrictEqual(sent(), [first, first, first])
      assert.deepStrictEqual(saved, [])
    }).pipe(Effect.scoped, quiet))

  it.live("[R14] after a lost response a refresh token is not sent again, neither by a retry nor for another caller", () =>
    Effect.gen(function*() {
      const { first, provider, sent, server } = yield* setUp()
      server.losesAnswers = true
      assert.strictEqual((yield* Effect.flip(provider.get)).code, "NETWORK_ERROR")
      server.losesAnswers = false
      const error = yield* Effect.flip(provider.get)
      assert.strictEqual(error.code, "TOKEN_REFRESH_FAILED")
      assert.strictEqual(detailsOf(error)["reason"], "ambiguous")
      assert.deepStrictEqual(sent(), [first])
    }).pipe(Effect.scoped, quiet))

  it.live("[R14] `resend` sends it again; if the server had used it, it is rejected permanently", () =>
    Effect.gen(function*() {
      const { first, provider, sent, server, source } = yield* setUp()
      server.losesAnswers = true
      yield* Effect.flip(provider.get)
      server.losesAnswers = false
      yield* source.resend
      assert.strictEqual(detailsOf(yield* Effect.flip(provider.get))["error"], "invalid_grant")
      const error = yield* Effect.flip(provider.get)
      assert.strictEqual(error.code, "TOKEN_REFRESH_FAILED")
      assert.strictEqual(detailsOf(error)["reason"], "refused")
      assert.deepStrictEqual(sent(), [first, first])
    }).pipe(Effect.scoped, quiet))

  it.live("another refresh token in the store is sent again", () =>
    Effect.gen(function*() {
      const { provider, server, store } = yield* setUp()
      server.losesAnswers = true
      yield* Effect.flip(provider.get)
      server.losesAnswers = false
      yield* store.save(Redacted.make(yield* server.refreshToken))
      assert.strictEqual((yield* server.find(textOf(yield* provider.get)))?.clientId, "web")
    }).pipe(Effect.scoped, quiet))

  it.live("[R14] if the new refresh token cannot be saved, no token is returned, and it is saved before the next request", () =>
    Effect.gen(function*() {
      const { first, provider, saved, script, sent } = yield* setUp()
      script.isDown = true
      for (let i = 0; i < 2; i++) {
        const error = yield* Effect.flip(provider.get)
        assert.strictEqual(error.code, "TOKEN_REFRESH_FAILED")
        assert.strictEqual(detailsOf(error)["reason"], "store")
      }
      assert.deepStrictEqual(sent(), [first])
      script.isDown = false
      yield* provider.get
      assert.deepStrictEqual(sent(), [first, saved[0] ?? null])
      assert.strictEqual(saved.length, 2)
    }).pipe(Effect.scoped, quiet))

  it.live("[R14] two providers of one source never refresh at the same time", () =>
    Effect.gen(function*() {
      const { first, saved, sent, source } = yield* setUp()
      const providers = yield* Effect.all([1, 2, 3].map((n) => TokenProvider.make({ name: `p${n}`, source })))
      const fibers = yield* Effect.forEach(providers, ({ get }) => Effect.forkChild(get))
      yield* Effect.forEach(fibers, Fiber.join)
      assert.deepStrictEqual(sent(), [first, ...saved.slice(0, 2)])
    }).pipe(Effect.scoped, quiet))

  it.live("a request that the server did not receive or rejected does not spend the refresh token", () =>
    Effect.gen(function*() {
      const { first, provider, sent, server } = yield* setUp()
      server.fault = (response, number) => number < 3 && response.writeHead(number === 1 ? 429 : 503).end() === response
      assert.strictEqual((yield* Effect.flip(provider.get)).code, "RATE_LIMITED")
      assert.strictEqual((yield* Effect.flip(provider.get)).code, "UPSTREAM_UNAVAILABLE")
      yield* provider.get
      assert.deepStrictEqual(sent(), [first, first, first])
    }).pipe(Effect.scoped, quiet))

  for (
    const [what, code, fields, isDoubtful] of [
      ["refused", "NETWORK_ERROR", { code: "ECONNREFUSED", syscall: "connect" }, false],
      ["not possible for want of a route", "NETWORK_ERROR", { code: "EHOSTUNREACH", syscall: "connect" }, false],
      ["ended for a certificate", "TLS_FAILED", { code: "ERR_TLS_CERT_ALTNAME_INVALID" }, false],
      ["ended for an issuer", "TLS_FAILED", { code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE" }, false],
      ["lost for want of a route", "NETWORK_ERROR", { code: "EHOSTUNREACH", syscall: "read" }, true],
      ["reset", "NETWORK_ERROR", { code: "ECONNRESET", syscall: "read" }, true],
      // Node's "socket hang up" has no system call.
      ["reset without a system call", "NETWORK_ERROR", { code: "ECONNRESET" }, true],
      ["closed by the server", "NETWORK_ERROR", { code: "UND_ERR_SOCKET" }, true],
      ["broken while the request was written", "NETWORK_ERROR", { code: "EPIPE", syscall: "write" }, true],
      ["broken in its TLS", "TLS_FAILED", { code: "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC" }, true],
      ["ended by an alert", "TLS_FAILED", { code: "EPROTO", syscall: "read" }, true]
    ] as const
  ) {
    it.live(`[R14] after a connection that was ${what} it is ${isDoubtful ? "not sent again" : "sent again"}`, () =>
      Effect.gen(function*() {
        const sent: Array<string> = []
        const lost = HttpClient.make((request) => {
          sent.push(request.url)
          const cause = Object.assign(new Error("lost"), fields)
          return Effect.fail(
            new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request, cause }) })
          )
        })
        const source = OAuthClient.refreshToken({
          tokenEndpoint: "https://idp.example/token",
          clientId: "web",
          auth: ClientAuth.secretBasic(Redacted.make(clientSecret)),
          store: RefreshTokenStore.memory(Redacted.make("first"))
        })
        const { get } = yield* TokenProvider.make({ name: "idp", source }).pipe(
          Effect.provideService(TokenHttpClient.TokenHttpClient, lost)
        )
        assert.strictEqual((yield* Effect.flip(get)).code, code)
        assert.strictEqual((yield* Effect.flip(get)).code, isDoubtful ? "TOKEN_REFRESH_FAILED" : code)
        assert.strictEqual(sent.length, isDoubtful ? 1 : 2)
      }).pipe(Effect.scoped, quiet))
  }

  it.live("without a refresh token nothing is sent", () =>
    Effect.gen(function*() {
      const server = yield* oauthServer()
      const source = sourceOf(server, { load: Effect.succeed(undefined), save: () => Effect.void })
      const provider = yield* TokenProvider.make({ name: "idp", source })
      assert.strictEqual(detailsOf(yield* Effect.flip(provider.get))["reason"], "missing")
      assert.strictEqual(server.requests.length, 0)
    }).pipe(Effect.scoped, quiet))
})
