import { assert, describe, it } from "@effect/vitest"
import { HttpRetry, Metrics, Retry, RetryPolicy } from "@keelson/core"
import { quiet } from "@keelson/testing/observe"
import { Effect, Fiber, Redacted, Stream } from "effect"
import { HttpBody, HttpClient, HttpClientError, HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import { DpopKey, type TokenGuard, type TokenSource } from "../src/index.ts"
import { guardOver, origin, type Reply, scripted, statuses } from "./guardSupport.ts"
import { hashOf, nonceChallenge, readProof } from "./proofs.ts"

/** Returns `bound-1`, `bound-2` and so on. */
const makeBoundSource = (tokenType: TokenSource.TokenType | undefined = "DPoP") => {
  let asked = 0
  const keys: Array<string | undefined> = []
  const source = Effect.gen(function*() {
    keys.push((yield* DpopKey.CurrentDpopKey)?.thumbprint)
    return { accessToken: Redacted.make(`bound-${++asked}`), tokenType }
  })
  return { source, asked: () => asked, keys }
}

/** The proofs of the requests that a scripted client received, verified. */
const proofsOf = (api: ReturnType<typeof scripted>) =>
  Effect.promise(() => Promise.all(api.received.map(({ headers }) => readProof(headers["dpop"] ?? ""))))

/** Responds with these statuses or headers of a 401 in turn, then with 200. */
const challenges = (...list: ReadonlyArray<number | Readonly<Record<string, string>>>): Reply => (_, number) =>
  Effect.sync(() => {
    const what = list[number - 1] ?? 200
    return new Response(null, typeof what === "number" ? { status: what } : { status: 401, headers: what })
  })

describe("A guard whose tokens are bound to its key", () => {
  it.effect("[K-23] sends the token with the scheme DPoP, and a proof for the method, the URL and the token", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("90 seconds")
      const api = scripted(statuses())
      const bound = makeBoundSource()
      const guard = yield* guardOver(api, { source: bound.source, dpop: "required" })
      yield* guard.get("/rows?key=a#part")
      yield* guard.post(`${origin}/rows/%C3%A4`, { body: HttpBody.text("x") })
      const [get, post] = yield* proofsOf(api)
      assert.deepInclude(get, { htm: "GET", htu: `${origin}/rows`, ath: hashOf("bound-1"), iat: 90, nonce: undefined })
      assert.deepInclude(post, { htm: "POST", htu: `${origin}/rows/%C3%A4`, ath: hashOf("bound-1") })
      assert.deepStrictEqual(api.received.map(({ authorization }) => authorization), ["DPoP bound-1", "DPoP bound-1"])
      assert.notStrictEqual(get?.jti, post?.jti)
      // The source got the key of the guard.
      assert.deepStrictEqual(bound.keys, [get?.jkt])
      assert.strictEqual((yield* guard.provider.get).tokenType, "DPoP")
    }).pipe(Effect.scoped))

  it.effect("[K-23] a header dpop of the caller does not replace the proof", () =>
    Effect.gen(function*() {
      const api = scripted(statuses())
      const guard = yield* guardOver(api, { source: makeBoundSource().source, dpop: "required" })
      yield* guard.get("/", { headers: { dpop: "mine", authorization: "Bearer mine" } })
      assert.lengthOf(yield* proofsOf(api), 1)
      assert.strictEqual(api.received[0]?.authorization, "DPoP bound-1")
    }).pipe(Effect.scoped))

  it.effect("[K-23] the header of a proof has the public key alone", () =>
    Effect.gen(function*() {
      for (const algorithm of ["ES256", "ES384", "Ed25519", "PS256", "RS256"] as const) {
        const api = scripted(statuses())
        const dpopKey = DpopKey.generate({ algorithm })
        const guard = yield* guardOver(api, { source: makeBoundSource().source, dpopKey })
        yield* guard.get("/")
        const [proof] = yield* proofsOf(api)
        const { jwk, ...header } = JSON.parse(JSON.stringify(proof?.header))
        assert.deepStrictEqual(header, { typ: "dpop+jwt", alg: algorithm })
        assert.deepStrictEqual(
          Object.keys(jwk).sort(),
          {
            ES256: ["crv", "kty", "x", "y"],
            ES384: ["crv", "kty", "x", "y"],
            Ed25519: ["crv", "kty", "x"],
            PS256: ["e", "kty", "n"],
            RS256: ["e", "kty", "n"]
          }[algorithm]
        )
      }
    }).pipe(Effect.scoped))

  it.effect("[K-23] [R13] a request that is sent again after a 401 has a new proof for the new token", () =>
    Effect.gen(function*() {
      const api = scripted(statuses(401))
      const guard = yield* guardOver(api, { source: makeBoundSource().source, dpop: "required" })
      assert.strictEqual((yield* guard.get("/")).status, 200)
      const proofs = yield* proofsOf(api)
      assert.deepStrictEqual(proofs.map(({ ath }) => ath), [hashOf("bound-1"), hashOf("bound-2")])
      assert.strictEqual(new Set(proofs.map(({ jti }) => jti)).size, 2)
    }).pipe(Effect.scoped))

  it.effect("[K-23] each retry of the guard has a new proof, with the time of its attempt", () =>
    Effect.gen(function*() {
      const api = scripted(statuses(503, 503, 503))
      const retry = { maxAttempts: 4, strategy: "fixed", initialDelay: "10 seconds", jitter: "none" } as const
      const guard = yield* guardOver(api, { source: makeBoundSource().source, dpop: "required", resilience: { retry } })
      const fiber = yield* Effect.forkChild(guard.get("/"))
      for (let attempt = 1; attempt <= 3; attempt++) {
        while (api.received.length < attempt) yield* Effect.promise(() => new Promise(setImmediate))
        yield* Effect.promise(() => new Promise(setImmediate))
        yield* TestClock.adjust("10 seconds")
      }
      assert.strictEqual((yield* Fiber.join(fiber)).status, 200)
      const proofs = yield* proofsOf(api)
      assert.deepStrictEqual(proofs.map(({ iat }) => iat), [0, 10, 20, 30])
      assert.strictEqual(new Set(proofs.map(({ jti }) => jti)).size, 4)
    }).pipe(Effect.scoped, quiet, Effect.provide(Metrics.layerIsolated)))

  const policy = RetryPolicy.make({ maxAttempts: 4, strategy: "fixed", initialDelay: "0 millis", jitter: "none" })
  const repeating: ReadonlyArray<readonly [string, (client: HttpClient.HttpClient) => HttpClient.HttpClient]> = [
    ["HttpClient.retry", HttpClient.retry({ times: 3 })],
    [
      "HttpRetry",
      (client) =>
        HttpClient.transformResponse(
          HttpRetry.retry(client, policy),
          Effect.mapError((error) => error instanceof Retry.RetryExhausted ? error.error : error)
        )
    ]
  ]
  for (const [name, repeated] of repeating) {
    it.live(`[K-23] each retry by ${name} of the client under the guard has a new proof`, () =>
      Effect.gen(function*() {
        const failing: Reply = (request, number) =>
          number < 4
            ? Effect.fail(
              new HttpClientError.HttpClientError({
                reason: new HttpClientError.TransportError({ request, cause: new Error("reset") })
              })
            )
            : Effect.succeed(new Response(null))
        const api = scripted(failing)
        const client = repeated(api.client)
        const guard = yield* guardOver({ ...api, client }, { source: makeBoundSource().source, dpop: "required" })
        assert.strictEqual((yield* guard.get("/")).status, 200)
        const proofs = yield* proofsOf(api)
        assert.strictEqual(new Set(proofs.map(({ jti }) => jti)).size, 4)
      }).pipe(Effect.scoped, quiet))
  }

  it.effect("[K-23] the hedge of a request has its own proof", () =>
    Effect.gen(function*() {
      const api = scripted((_, number) => number === 1 ? Effect.never : Effect.succeed(new Response(null)))
      const guard = yield* guardOver(api, {
        source: makeBoundSource().source,
        dpop: "required",
        resilience: { hedge: { delay: "1 second" } }
      })
      const fiber = yield* Effect.forkChild(guard.get("/"))
      while (api.received.length < 1) yield* Effect.promise(() => new Promise(setImmediate))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(fiber)).status, 200)
      const proofs = yield* proofsOf(api)
      assert.strictEqual(new Set(proofs.map(({ jti }) => jti)).size, 2)
    }).pipe(Effect.scoped, quiet, Effect.provide(Metrics.layerIsolated)))

  it.effect("[K-23] a hundred calls at once have a hundred different proofs", () =>
    Effect.gen(function*() {
      const api = scripted(statuses())
      const guard = yield* guardOver(api, { source: makeBoundSource().source, dpop: "required" })
      yield* Effect.all(Array.from({ length: 100 }, () => guard.get("/")), { concurrency: "unbounded" })
      const proofs = yield* proofsOf(api)
      assert.strictEqual(new Set(proofs.map(({ jti }) => jti)).size, 100)
    }).pipe(Effect.scoped))

  it.effect("[K-23] [R12] each hop of a redirect has its own proof, and none outside of the guard's origins", () =>
    Effect.gen(function*() {
      const next = "https://files.example"
      const hops: ReadonlyArray<string> = [`${origin}/b?c=d`, `${next}/e`, "https://elsewhere.example/f"]
      const api = scripted((_, number) =>
        Effect.sync(() => {
          const location = hops[number - 1]
          return new Response(null, location === undefined ? {} : { status: 307, headers: { location } })
        })
      )
      const guard = yield* guardOver(api, {
        source: makeBoundSource().source,
        dpop: "required",
        origins: [origin, next]
      })
      assert.strictEqual((yield* guard.get("/a")).status, 200)
      const foreign = api.received.at(-1)
      assert.deepStrictEqual([foreign?.url, foreign?.authorization, foreign?.headers["dpop"]], [
        "https://elsewhere.example/f",
        undefined,
        undefined
      ])
      const proofs = yield* Effect.promise(() =>
        Promise.all(api.received.slice(0, -1).map(({ headers }) => readProof(headers["dpop"] ?? "")))
      )
      assert.deepStrictEqual(proofs.map(({ htu }) => htu), [`${origin}/a`, `${origin}/b`, `${next}/e`])
      assert.strictEqual(new Set(proofs.map(({ jti }) => jti)).size, 3)
    }).pipe(Effect.scoped))

  it.effect("[K-23] a call that is interrupted leaves the guard usable", () =>
    Effect.gen(function*() {
      const api = scripted((_, number) => number <= 20 ? Effect.never : Effect.succeed(new Response(null)))
      const guard = yield* guardOver(api, { source: makeBoundSource().source, dpop: "required" })
      const fibers = yield* Effect.forEach(
        Array.from({ length: 20 }),
        () => Effect.forkChild(guard.get("/"), { startImmediately: true })
      )
      while (api.received.length < 20) yield* Effect.promise(() => new Promise(setImmediate))
      yield* Fiber.interruptAll(fibers)
      assert.strictEqual((yield* guard.get("/")).status, 200)
      assert.strictEqual(new Set((yield* proofsOf(api)).map(({ jti }) => jti)).size, 21)
    }).pipe(Effect.scoped))
})

describe("Nonces of the called server", () => {
  it.effect("[K-23] a request that the server demands a nonce for is sent again with it, and the token is kept", () =>
    Effect.gen(function*() {
      const api = scripted(challenges(nonceChallenge("one")))
      const bound = makeBoundSource()
      const guard = yield* guardOver(api, { source: bound.source, dpop: "required" })
      const sent = yield* guard.send("rows", HttpClientRequest.post("/", { body: HttpBody.text("x") }))
      assert.deepStrictEqual([sent.kind, sent.attempts, bound.asked()], ["success", 2, 1])
      yield* guard.get("/")
      const proofs = yield* proofsOf(api)
      assert.deepStrictEqual(proofs.map(({ nonce }) => nonce), [undefined, "one", "one"])
      assert.strictEqual(new Set(proofs.map(({ jti }) => jti)).size, 3)
    }).pipe(Effect.scoped))

  it.effect("[K-23] a nonce that comes with any response is used for the next request", () =>
    Effect.gen(function*() {
      const next = (status: number, nonce: string): Reply => () =>
        Effect.succeed(new Response(null, { status, headers: { "dpop-nonce": nonce } }))
      const replies = [next(200, "a"), next(404, "b"), next(503, "c"), next(200, "not a nonce"), next(200, "d")]
      const api = scripted((request, number) => (replies[number - 1] ?? next(200, "e"))(request, number))
      const guard = yield* guardOver(api, { source: makeBoundSource().source, dpop: "required" })
      for (let i = 0; i < 6; i++) yield* guard.get("/")
      const proofs = yield* proofsOf(api)
      assert.deepStrictEqual(proofs.map(({ nonce }) => nonce), [undefined, "a", "b", "c", "c", "d"])
    }).pipe(Effect.scoped))

  it.effect("[K-23] [R13] a nonce challenge is not the one replacement of the token, before or after it", () =>
    Effect.gen(function*() {
      const api = scripted(challenges(nonceChallenge("one"), 401, nonceChallenge("two")))
      const bound = makeBoundSource()
      const guard = yield* guardOver(api, { source: bound.source, dpop: "required" })
      assert.strictEqual((yield* guard.get("/")).status, 200)
      const proofs = yield* proofsOf(api)
      assert.deepStrictEqual(proofs.map(({ ath, nonce }) => [ath, nonce]), [
        [hashOf("bound-1"), undefined],
        [hashOf("bound-1"), "one"],
        [hashOf("bound-2"), "one"],
        [hashOf("bound-2"), "two"]
      ])
    }).pipe(Effect.scoped))

  it.effect("[K-23] a server that demands another nonce each time gets two requests, and the token is kept", () =>
    Effect.gen(function*() {
      const api = scripted((_, number) =>
        Effect.succeed(new Response(null, { status: 401, headers: nonceChallenge(`n${number}`) }))
      )
      const bound = makeBoundSource()
      const guard = yield* guardOver(api, { source: bound.source, dpop: "required" })
      assert.strictEqual((yield* guard.get("/")).status, 401)
      assert.deepStrictEqual([api.received.length, bound.asked()], [2, 1])
    }).pipe(Effect.scoped))

  it.effect("[K-23] a challenge without a nonce, or with another error, is not answered with a nonce", () =>
    Effect.gen(function*() {
      const list: ReadonlyArray<readonly [Readonly<Record<string, string>>, requests: number, tokens: number]> = [
        [{ "www-authenticate": "DPoP error=\"use_dpop_nonce\"" }, 1, 1],
        [{ ...nonceChallenge("one"), "dpop-nonce": "a b" }, 1, 1],
        [{ "www-authenticate": "DPoP error=\"invalid_dpop_proof\"", "dpop-nonce": "one" }, 1, 1],
        // These say nothing about the proof, so that the token is replaced.
        [{ "www-authenticate": "Bearer error=\"use_dpop_nonce\"", "dpop-nonce": "one" }, 2, 2],
        [{ "www-authenticate": "DPoP error=\"invalid_token\"", "dpop-nonce": "one" }, 2, 2],
        [{}, 2, 2]
      ]
      for (const [headers, requests, tokens] of list) {
        const api = scripted(challenges(headers))
        const bound = makeBoundSource()
        const guard = yield* guardOver(api, { source: bound.source, dpop: "required" })
        yield* guard.get("/")
        assert.deepStrictEqual([api.received.length, bound.asked()], [requests, tokens], JSON.stringify(headers))
      }
    }).pipe(Effect.scoped))

  it.effect("[K-23] the nonce that the answer to the repeated request brings is used for the next request", () =>
    Effect.gen(function*() {
      const api = scripted((_, number) =>
        Effect.succeed(
          number === 1
            ? new Response(null, { status: 401, headers: nonceChallenge("one") })
            : new Response(null, { headers: { "dpop-nonce": "two" } })
        )
      )
      const guard = yield* guardOver(api, { source: makeBoundSource().source, dpop: "required" })
      yield* guard.get("/")
      yield* guard.get("/")
      assert.deepStrictEqual((yield* proofsOf(api)).map(({ nonce }) => nonce), [undefined, "one", "two"])
    }).pipe(Effect.scoped))

  it.effect("[K-23] a response that is no 401 is returned, whatever its challenge says", () =>
    Effect.gen(function*() {
      for (const status of [200, 400, 403]) {
        const api = scripted(() => Effect.succeed(new Response(null, { status, headers: nonceChallenge("one") })))
        const guard = yield* guardOver(api, { source: makeBoundSource().source, dpop: "required" })
        assert.strictEqual((yield* guard.get("/")).status, status)
        assert.lengthOf(api.received, 1)
      }
    }).pipe(Effect.scoped))

  it.effect("[K-23] a request without an answer fails with the error of the client", () =>
    Effect.gen(function*() {
      const api = scripted((request) =>
        Effect.fail(
          new HttpClientError.HttpClientError({
            reason: new HttpClientError.TransportError({ request, cause: new Error("reset") })
          })
        )
      )
      const guard = yield* guardOver(api, { source: makeBoundSource().source, dpop: "required" })
      const error = yield* Effect.flip(guard.get("/"))
      assert.strictEqual(HttpClientError.isHttpClientError(error) ? error.reason._tag : error._tag, "TransportError")
    }).pipe(Effect.scoped))

  it.effect("[K-23] a body that can be sent once is not sent again for a nonce; the next request has it", () =>
    Effect.gen(function*() {
      const api = scripted(challenges(nonceChallenge("one")))
      const bound = makeBoundSource()
      const guard = yield* guardOver(api, { source: bound.source, dpop: "required" })
      const body = HttpBody.stream(Stream.make(new Uint8Array([1])))
      assert.strictEqual((yield* guard.post("/", { body })).status, 401)
      assert.strictEqual((yield* guard.post("/", { body })).status, 200)
      assert.deepStrictEqual((yield* proofsOf(api)).map(({ nonce }) => nonce), [undefined, "one"])
      assert.strictEqual(bound.asked(), 1)
    }).pipe(Effect.scoped))

  it.effect("[K-23] a call that is interrupted while it is sent again for a nonce leaves the nonce", () =>
    Effect.gen(function*() {
      const api = scripted((request, number) =>
        number === 2 ? Effect.never : challenges(nonceChallenge("one"))(request, number)
      )
      const bound = makeBoundSource()
      const guard = yield* guardOver(api, { source: bound.source, dpop: "required" })
      const fiber = yield* Effect.forkChild(guard.get("/"), { startImmediately: true })
      while (api.received.length < 2) yield* Effect.promise(() => new Promise(setImmediate))
      yield* Fiber.interrupt(fiber)
      assert.strictEqual((yield* guard.get("/")).status, 200)
      assert.deepStrictEqual((yield* proofsOf(api)).map(({ nonce }) => nonce), [undefined, "one", "one"])
      assert.strictEqual(bound.asked(), 1)
    }).pipe(Effect.scoped))

  it.effect("[K-23] a hundred calls at once that a nonce is demanded of are sent twice at most, with different proofs", () =>
    Effect.gen(function*() {
      const api = scripted((request) =>
        Effect.promise(async () => {
          const { nonce } = await readProof(request.headers["dpop"] ?? "")
          return nonce === "one"
            ? new Response(null)
            : new Response(null, { status: 401, headers: nonceChallenge("one") })
        })
      )
      const bound = makeBoundSource()
      const guard = yield* guardOver(api, { source: bound.source, dpop: "required" })
      const calls = Array.from({ length: 100 }, () => guard.get("/"))
      const responses = yield* Effect.all(calls, { concurrency: "unbounded" })
      assert.deepStrictEqual(new Set(responses.map(({ status }) => status)), new Set([200]))
      assert.isAtMost(api.received.length, 200)
      assert.strictEqual(new Set((yield* proofsOf(api)).map(({ jti }) => jti)).size, api.received.length)
      assert.strictEqual(bound.asked(), 1)
    }).pipe(Effect.scoped))

  it.effect("[K-23] each origin has its own nonce", () =>
    Effect.gen(function*() {
      const origins = ["https://a.example", "https://b.example"]
      const api = scripted((request, number) =>
        Effect.succeed(
          new Response(null, number <= 2 ? { headers: { "dpop-nonce": new URL(request.url).hostname } } : {})
        )
      )
      const guard = yield* guardOver(api, { source: makeBoundSource().source, dpop: "required", origins })
      for (const url of [...origins, ...origins]) yield* guard.get(`${url}/`)
      assert.deepStrictEqual((yield* proofsOf(api)).map(({ nonce }) => nonce), [
        undefined,
        undefined,
        "a.example",
        "b.example"
      ])
    }).pipe(Effect.scoped))
})

describe("Tokens that are not as the guard needs them", () => {
  it.effect("[K-23] a guard that needs bound tokens refuses a Bearer token, and sends nothing", () =>
    Effect.gen(function*() {
      for (const tokenType of ["Bearer", undefined] as const) {
        const api = scripted(statuses())
        const guard = yield* guardOver(api, {
          source: Effect.succeed({ accessToken: Redacted.make("secret"), tokenType }),
          dpop: "required"
        })
        const error = yield* Effect.flip(guard.get("/"))
        assert.deepInclude(error, {
          code: "TOKEN_NOT_BOUND",
          _tag: "AuthenticationError",
          message: "The token is not bound to the guard's key: its token_type is Bearer, not DPoP",
          details: { reason: "token_type", expected: "DPoP", received: "Bearer", server: "api", attempts: 1 }
        })
        assert.notInclude(JSON.stringify(error), "secret")
        assert.lengthOf(api.received, 0)
      }
    }).pipe(Effect.scoped, quiet))

  it.effect("[K-23] a guard that prefers bound tokens sends a Bearer token as one, without a proof", () =>
    Effect.gen(function*() {
      const api = scripted(statuses())
      const guard = yield* guardOver(api, { source: makeBoundSource("Bearer").source, dpop: "preferred" })
      yield* guard.get("/")
      assert.deepStrictEqual([api.received[0]?.authorization, api.received[0]?.headers["dpop"]], [
        "Bearer bound-1",
        undefined
      ])
    }).pipe(Effect.scoped))

  it.effect("[K-23] a guard without a key refuses a bound token, and sends nothing", () =>
    Effect.gen(function*() {
      const api = scripted(statuses())
      const guard = yield* guardOver(api, { source: makeBoundSource().source })
      const error = yield* Effect.flip(guard.get("/"))
      assert.deepInclude(error, {
        code: "DPOP_KEY_MISSING",
        _tag: "AuthenticationError",
        message: "The token is bound to a key (token_type DPoP), but the guard has none: set its option dpop"
      })
      assert.lengthOf(api.received, 0)
    }).pipe(Effect.scoped, quiet))

  it.effect("[K-23] a guard without a key gives its source none", () =>
    Effect.gen(function*() {
      const bound = makeBoundSource("Bearer")
      const guard = yield* guardOver(scripted(statuses()), { source: bound.source })
      const other = yield* DpopKey.generate()
      yield* Effect.provideService(guard.get("/"), DpopKey.CurrentDpopKey, other)
      assert.deepStrictEqual(bound.keys, [undefined])
    }).pipe(Effect.scoped))

  it.effect("dpop: off beside a key is INVALID_CONFIG", () =>
    Effect.gen(function*() {
      const options = { source: makeBoundSource().source, dpop: "off", dpopKey: DpopKey.generate() } as const
      const error = yield* Effect.flip(guardOver(scripted(statuses()), options))
      assert.deepInclude(error, {
        code: "INVALID_CONFIG",
        message: "Invalid configuration: dpop is off, but there is a dpopKey: leave out one of them",
        details: { path: "dpop", expected: "required or preferred beside dpopKey, or left out" }
      })
    }).pipe(Effect.scoped))

  it.effect("[K-23] the tokens of all grants of a guard are bound to its one key", () =>
    Effect.gen(function*() {
      const bound = makeBoundSource()
      const api = scripted(statuses())
      const guard = yield* guardOver(api, { source: () => bound.source, dpop: "required" })
      yield* guard.get("/")
      yield* (yield* guard.scoped({ scope: "write" })).get("/")
      const proofs = yield* proofsOf(api)
      assert.strictEqual(new Set(proofs.map(({ jkt }) => jkt)).size, 1)
      assert.deepStrictEqual(bound.keys, proofs.map(({ jkt }) => jkt))
      assert.deepStrictEqual(proofs.map(({ ath }) => ath), [hashOf("bound-1"), hashOf("bound-2")])
    }).pipe(Effect.scoped))

  it.effect("[K-23] a key whose scope is closed signs no proof, and the request fails without being sent", () =>
    Effect.gen(function*() {
      const api = scripted(statuses())
      const dpopKey = yield* Effect.scoped(DpopKey.generate())
      for (const resilience of [undefined, { retry: { maxAttempts: 3 } }] as const) {
        const guard: TokenGuard.TokenGuard = yield* guardOver(api, {
          source: makeBoundSource().source,
          dpopKey,
          resilience
        })
        const error = yield* Effect.flip(guard.get("/"))
        assert.deepInclude(error, { code: "KEY_INVALID", _tag: "ConfigurationError" })
      }
      assert.lengthOf(api.received, 0)
    }).pipe(Effect.scoped, quiet, Effect.provide(Metrics.layerIsolated)))
})
