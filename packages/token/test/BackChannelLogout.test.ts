import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { type KeelsonError, Metrics } from "@keelson/core"
import { reasonOf } from "@keelson/testing/tokens"
import { Context, Deferred, Effect, Fiber, Layer, Logger, Metric, References } from "effect"
import { HttpClient, HttpClientRequest, HttpRouter, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import {
  BackChannelLogout,
  BackChannelLogoutError,
  type BackChannelLogoutOptions,
  Claims,
  HttpSecurity,
  Principal,
  Revocation,
  TokenValidator,
  ValidationPolicy
} from "../src/index.ts"
import { TestIssuer } from "../src/testing/index.ts"

class Tokens extends TokenValidator.Service<Tokens>()("test/LogoutTokens", {
  claims: Claims.AccessToken,
  revocation: Revocation.Revocation
}) {}
class Caller extends Principal.Service<Caller, Claims.AccessToken>()("test/LogoutCaller") {}

const policy = ValidationPolicy.accessToken({
  issuers: ["https://idp.example"],
  audiences: ["web"],
  algorithms: ["ES256"]
})
const options: BackChannelLogoutOptions.Options = {
  issuers: policy.issuers,
  audiences: policy.audiences,
  algorithms: policy.algorithms,
  tokenLifetime: "1 hour"
}
const form = "application/x-www-form-urlencoded"
const request = (token: string, more: Partial<BackChannelLogout.LogoutRequest> = {}) => ({
  method: "POST",
  contentType: form,
  body: new URLSearchParams({ logout_token: token }).toString(),
  ...more
})

/** A handler, an issuer, a validator and their list. */
const scene = Effect.fnUntraced(function*(
  more: Partial<BackChannelLogoutOptions.Options & Pick<TestIssuer.Options, "fault">> = {},
  list: Layer.Layer<Revocation.Revocation, KeelsonError.ConfigurationError> = Revocation.layerMemory()
) {
  yield* TestClock.setTime(Date.UTC(2026, 10, 30))
  const { fault, ...changes } = more
  const context = yield* Layer.build(
    Tokens.layer(policy).pipe(
      Layer.provideMerge(Layer.orDie(list)),
      Layer.provideMerge(TestIssuer.layer({ policy, fault }))
    )
  )
  const logout = yield* Effect.provide(BackChannelLogout.make({ ...options, ...changes }), context)
  return {
    ...logout,
    ...Context.get(context, TestIssuer.TestIssuer),
    ...Context.get(context, Tokens),
    revocation: Context.get(context, Revocation.Revocation),
    context
  }
})

describe("BackChannelLogout", () => {
  it.effect("[K-40] a logout token with a sid ends the session at once, and no other", () =>
    Effect.gen(function*() {
      const { logout, logoutToken, token, validate } = yield* scene()
      const ended = yield* token({ sub: "ada", sid: "session-1" })
      const other = yield* token({ sub: "ada", sid: "session-2" })
      yield* validate(ended)
      yield* validate(other)
      const revoked = yield* logout(yield* logoutToken({ sub: "ada", sid: "session-1" }))
      assert.deepStrictEqual(revoked, { issuer: "https://idp.example", sid: "session-1" })
      assert.deepStrictEqual(yield* reasonOf(validate(ended)), { _tag: "TokenRevoked" })
      assert.deepStrictEqual(yield* reasonOf(validate(yield* token({ sid: "session-1" }))), { _tag: "TokenRevoked" })
      yield* validate(other)
    }))

  it.effect("[K-40] a logout token without a sid ends all sessions of the subject until now", () =>
    Effect.gen(function*() {
      const { logout, logoutToken, token, validate } = yield* scene()
      const before = [yield* token({ sub: "ada", sid: "session-1" }), yield* token({ sub: "ada" })]
      const others = yield* token({ sub: "bob" })
      assert.deepStrictEqual(
        yield* logout(yield* logoutToken({ sub: "ada" })),
        { issuer: "https://idp.example", sub: "ada" }
      )
      for (const text of before) assert.deepStrictEqual(yield* reasonOf(validate(text)), { _tag: "TokenRevoked" })
      yield* validate(others)
      // The list tolerates a clock of the issuer that is 30 seconds ahead.
      yield* TestClock.adjust("31 seconds")
      yield* validate(yield* token({ sub: "ada" }))
    }))

  it.effect("[K-40] ends the subject where the option says so, and what the token has otherwise", () =>
    Effect.gen(function*() {
      const { logout, logoutToken } = yield* scene({ ends: "subject" })
      const issuer = "https://idp.example"
      const endedBy = (claims: TestIssuer.TokenClaims) => Effect.flatMap(logoutToken(claims), logout)
      assert.deepStrictEqual(yield* endedBy({ sub: "ada", sid: "session-1" }), { issuer, sub: "ada" })
      assert.deepStrictEqual(yield* endedBy({ sid: "session-1" }), { issuer, sid: "session-1" })
    }))

  it.effect("[K-40] a revocation lasts as long as the tokens of the session", () =>
    Effect.gen(function*() {
      const { logout, logoutToken, token, validate } = yield* scene({ tokenLifetime: "2 hours" })
      const text = yield* token({ sid: "session-1" }, { lifetime: "2 hours" })
      yield* logout(yield* logoutToken({ sid: "session-1" }))
      yield* TestClock.adjust("2 hours")
      assert.deepStrictEqual(yield* reasonOf(validate(text)), { _tag: "TokenRevoked" })
    }))

  it.effect("[K-40] a logout token is used once, for as long as it is valid; its jti revokes no other token", () =>
    Effect.gen(function*() {
      const { logout, logoutToken, token, validate } = yield* scene()
      const text = yield* logoutToken({ sid: "session-1", jti: "same" }, { lifetime: "10 minutes" })
      yield* logout(text)
      yield* validate(yield* token({ jti: "same" }))
      for (const wait of ["0 millis", "5 minutes", "5 minutes"] as const) {
        yield* TestClock.adjust(wait)
        const error = yield* Effect.flip(logout(text))
        assert.deepStrictEqual(error.reason, { _tag: "TokenReplayed" })
        assert.strictEqual(error.code, "LOGOUT_TOKEN_REPLAYED")
      }
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(
        (yield* Effect.flip(logout(text))).reason,
        { _tag: "TokenRejected", reason: { _tag: "TokenExpired" } }
      )
      yield* logout(yield* logoutToken({ sid: "session-1", jti: "another" }))
    }))

  it.effect("[K-40] a logout token that is sent twice at once is used once", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const entered = yield* Deferred.make<void>()
      const stored: Array<Revocation.Subject> = []
      const list = Layer.succeed(Revocation.Revocation, {
        isRevoked: () => Effect.andThen(Deferred.succeed(entered, undefined), Effect.as(Deferred.await(gate), false)),
        revoke: (subject) => Effect.sync(() => void stored.push(subject))
      })
      const { logout, logoutToken } = yield* scene({}, list)
      const text = yield* logoutToken({ sid: "session-1" })
      const first = yield* Effect.forkChild(logout(text), { startImmediately: true })
      yield* Deferred.await(entered)
      assert.deepStrictEqual((yield* Effect.flip(logout(text))).reason, { _tag: "TokenReplayed" })
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(first)
      assert.strictEqual(stored.length, 2)
    }))

  it.effect("[K-40] a request that is interrupted before anything is stored can be repeated", () =>
    Effect.gen(function*() {
      const entered = yield* Deferred.make<void>()
      let isStuck = true
      const list = Layer.succeed(Revocation.Revocation, {
        isRevoked: () =>
          isStuck ? Effect.andThen(Deferred.succeed(entered, undefined), Effect.never) : Effect.succeed(false),
        revoke: () => Effect.void
      })
      const { logout, logoutToken } = yield* scene({}, list)
      const text = yield* logoutToken({ sid: "session-1" })
      const first = yield* Effect.forkChild(logout(text), { startImmediately: true })
      yield* Deferred.await(entered)
      yield* Fiber.interrupt(first)
      isStuck = false
      yield* logout(text)
    }))

  it.effect("[K-40] [R10] fails closed: a list that is unavailable at any step is a 503, and the request can be repeated", () =>
    Effect.gen(function*() {
      const memory = Context.get(yield* Layer.build(Revocation.layerMemory()), Revocation.Revocation)
      let calls = 0
      let failsAt = 0
      const failing = <A>(effect: Effect.Effect<A, Revocation.RevocationUnavailable>) =>
        Effect.suspend(() =>
          ++calls === failsAt ? Effect.fail(new Revocation.RevocationUnavailable({ reason: "store" })) : effect
        )
      const list = Layer.succeed(Revocation.Revocation, {
        isRevoked: (token) => failing(memory.isRevoked(token)),
        revoke: (subject, until) => failing(memory.revoke(subject, until))
      })
      const { logoutToken, respond } = yield* scene({}, list)
      for (const step of [1, 2, 3]) {
        const text = yield* logoutToken({ sid: `session-${step}` })
        calls = 0
        failsAt = step
        const failed = yield* respond(request(text))
        assert.strictEqual(failed.status, 503, `step ${step}`)
        assert.deepInclude(failed.headers, { "cache-control": "no-store", "retry-after": "1" })
        assert.deepStrictEqual(JSON.parse(failed.body), {
          error: "temporarily_unavailable",
          error_description: "The logout could not be stored now"
        })
        failsAt = 0
        assert.strictEqual((yield* respond(request(text))).status, 200)
        assert.strictEqual((yield* respond(request(text))).status, 400)
      }
    }))

  it.effect("[K-40] keys that are unavailable are a 503", () =>
    Effect.gen(function*() {
      const { logout, logoutToken, respond, setFault } = yield* scene({ fault: "error" })
      const text = yield* logoutToken()
      const first = yield* Effect.forkChild(respond(request(text)), { startImmediately: true })
      yield* TestClock.adjust("20 seconds")
      const response = yield* Fiber.join(first)
      assert.strictEqual(response.status, 503)
      assert.strictEqual(JSON.parse(response.body).error, "temporarily_unavailable")
      assert.strictEqual((yield* Effect.flip(logout(text))).code, "JWKS_UNAVAILABLE")
      yield* setFault(undefined)
      yield* TestClock.adjust("1 minute")
      yield* logout(text)
    }))

  it.effect("[K-40] a full list in memory is a 503", () =>
    Effect.gen(function*() {
      const { logoutToken, respond } = yield* scene({}, Revocation.layerMemory({ maxEntries: 1 }))
      assert.strictEqual((yield* respond(request(yield* logoutToken()))).status, 503)
    }))

  it.effect("[K-40] a request is a POST of a form with one logout token, within the size limit", () =>
    Effect.gen(function*() {
      const { logoutToken, maxBodyBytes, respond } = yield* scene()
      const text = yield* logoutToken()
      const good = request(text)
      const rejections: ReadonlyArray<Partial<BackChannelLogout.LogoutRequest>> = [
        { method: "GET" },
        { method: "PUT" },
        { method: "post" },
        { contentType: undefined },
        { contentType: "" },
        { contentType: "application/json", body: JSON.stringify({ logout_token: text }) },
        { contentType: "application/jwt", body: text },
        { contentType: "multipart/form-data; boundary=x" },
        { contentType: `${form}x` },
        { contentType: `text/plain; ${form}` },
        { body: "" },
        { body: "logout_token=" },
        { body: "logout_token" },
        { body: `Logout_token=${text}` },
        { body: `logout_token[]=${text}` },
        { body: `token=${text}` },
        { body: `?logout_token=${text}` },
        { body: `${good.body}&${good.body}` },
        { body: `logout_token=&${good.body}` },
        { body: `${good.body}&logout_token=` },
        { body: `${good.body}&x=${"y".repeat(maxBodyBytes)}` }
      ]
      for (const change of rejections) {
        const { body, headers, status } = yield* respond({ ...good, ...change })
        assert.strictEqual(status, 400, JSON.stringify(change))
        assert.deepStrictEqual(headers, { "cache-control": "no-store", "content-type": "application/json" })
        assert.deepStrictEqual(JSON.parse(body), {
          error: "invalid_request",
          error_description: "The request must be a form with one logout_token"
        })
      }
      const accepted = yield* respond({
        ...good,
        contentType: "Application/X-WWW-Form-Urlencoded ; charset=UTF-8",
        body: `state=1&${good.body}&iss=x`
      })
      assert.deepStrictEqual(accepted, { status: 200, headers: { "cache-control": "no-store" }, body: "" })
    }))

  it.effect("[K-40] [R21] responses, logs and metrics do not say why a token was rejected, nor anything of it", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const logger = Logger.make(({ fiber, message }) => {
        lines.push(JSON.stringify([message, fiber.getRef(References.CurrentLogAnnotations)]))
      })
      const text = yield* Effect.gen(function*() {
        const { logoutToken, respond } = yield* scene()
        const faults = ["expired", "wrongKey", "withNonce", "withoutEvent", "withoutSubject", "wrongAudience"] as const
        for (const fault of faults) {
          const token = yield* logoutToken({ sub: "secret-subject", sid: "secret-session" }, { fault })
          const { body, status } = yield* respond(request(token))
          assert.strictEqual(status, 400)
          assert.deepStrictEqual(JSON.parse(body), {
            error: "invalid_request",
            error_description: "The logout token was rejected"
          })
        }
        yield* respond(request(yield* logoutToken({ sub: "secret-subject", sid: "secret-session" })))
        return JSON.stringify(
          (yield* Metric.snapshot).filter(({ id }) => id === "keelson_logout_requests_total").map(
            ({ attributes, state }) => [attributes, "count" in state ? Number(state.count) : 0]
          )
        )
      }).pipe(
        Effect.provide(Logger.layer([logger])),
        Effect.provideService(References.MinimumLogLevel, "Trace"),
        Effect.provide(Metrics.layerIsolated)
      )
      assert.sameDeepMembers(JSON.parse(text), [[{ result: "JWT-022" }, 6], [{ result: "ended" }, 1]])
      const all = lines.join("\n")
      assert.include(all, "Back-channel logout rejected: NoncePresent")
      assert.include(all, "Back-channel logout rejected: TokenExpired")
      assert.notInclude(`${all}${text}`, "secret-")
      assert.notInclude(all, "eyJ")
    }))

  it("[K-40] one error for each reason, without a stack", () => {
    const error = new BackChannelLogoutError.BackChannelLogoutError({ _tag: "NoncePresent" })
    assert.strictEqual(error.status, 400)
    assert.deepStrictEqual(error.details, { reason: "NoncePresent" })
  })

  it.effect("[K-40] a flood of rejected requests shares one error", () =>
    Effect.gen(function*() {
      const { logout, logoutToken } = yield* scene()
      const fail = () =>
        Effect.flatMap(logoutToken({}, { fault: "wrongAudience" }), (token) => Effect.flip(logout(token)))
      assert.strictEqual(yield* fail(), yield* fail())
    }))

  it.effect("[K-40] the options are checked", () =>
    Effect.gen(function*() {
      const messageOf = (more: object) =>
        Effect.map(Effect.flip(scene(more)), (error) => error instanceof Error ? error.message : "")
      assert.include(yield* messageOf({ tokenLifetime: "1 second" }), "tokenLifetime")
      assert.include(yield* messageOf({ ends: "everything" }), "ends")
      assert.include(yield* messageOf({ audiences: [] }), "audiences")
    }))
})

describe("BackChannelLogout in an application", () => {
  const routes = Layer.merge(
    Layer.provide(
      HttpRouter.add("GET", "/me", Effect.map(Caller, ({ claims }) => HttpServerResponse.text(claims.sub))),
      HttpSecurity.middleware({ validator: Tokens, principal: Caller }).layer
    ),
    BackChannelLogout.layer({ path: "/logout", ...options })
  )

  const application = Effect.gen(function*() {
    const context = yield* Layer.build(
      HttpRouter.serve(routes, { disableListenLog: true, disableLogger: true }).pipe(
        Layer.provide(Tokens.layer(policy)),
        Layer.provide(Revocation.layerMemory()),
        Layer.provideMerge(TestIssuer.layer({ policy })),
        Layer.provideMerge(NodeHttpServer.layerTest)
      )
    )
    const client = Context.get(context, HttpClient.HttpClient)
    const me = (token: string) =>
      Effect.map(
        client.execute(HttpClientRequest.bearerToken(HttpClientRequest.get("/me"), token)),
        ({ status }) => status
      )
    const post = (body: string, contentType = form) =>
      client.execute(HttpClientRequest.bodyText(HttpClientRequest.post("/logout"), body, contentType))
    return { me, post, client, ...Context.get(context, TestIssuer.TestIssuer) }
  })

  it.live("[K-40] a session is ended at once in HttpSecurity, by sid and by subject", () =>
    Effect.gen(function*() {
      const { logoutToken, me, post, token } = yield* application
      const first = yield* token({ sub: "ada", sid: "session-1" })
      const second = yield* token({ sub: "ada", sid: "session-2" })
      assert.deepStrictEqual([yield* me(first), yield* me(second)], [200, 200])
      const body = new URLSearchParams({ logout_token: yield* logoutToken({ sub: "ada", sid: "session-1" }) })
        .toString()
      const response = yield* post(body)
      assert.strictEqual(response.status, 200)
      assert.strictEqual(response.headers["cache-control"], "no-store")
      assert.deepStrictEqual([yield* me(first), yield* me(second)], [401, 200])
      const again = yield* post(body)
      assert.strictEqual(again.status, 400)
      assert.strictEqual(again.headers["cache-control"], "no-store")
      assert.strictEqual(again.headers["content-type"], "application/json")
      const all = new URLSearchParams({ logout_token: yield* logoutToken({ sub: "ada" }) }).toString()
      assert.strictEqual((yield* post(all)).status, 200)
      assert.deepStrictEqual([yield* me(first), yield* me(second)], [401, 401])
    }))

  it.live("[K-40] a body above the limit is not read, and other content is refused before the body is", () =>
    Effect.gen(function*() {
      const { client, logoutToken, post } = yield* application
      const body = new URLSearchParams({ logout_token: yield* logoutToken() }).toString()
      assert.strictEqual((yield* post(`${body}&x=${"y".repeat(10_000_000)}`)).status, 400)
      assert.strictEqual((yield* post(body, "application/json")).status, 400)
      assert.strictEqual((yield* client.get(`/logout?${body}`)).status, 404)
      assert.strictEqual((yield* post(body)).status, 200)
    }))
})
