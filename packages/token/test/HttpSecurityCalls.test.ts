import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { keysOf, pairOf } from "@keelson/testing/tokens"
import { Deferred, Effect, Fiber, Layer } from "effect"
import { Headers, HttpRouter, HttpServerResponse, UrlParams } from "effect/http"
import * as Http from "node:http"
import { HttpSecurity, TokenError, type TokenValidator } from "../src/index.ts"
import { invalid, problemOf, protectedServer, quiet, tokenWith } from "./HttpSecuritySuite.ts"
import { bearer, Caller, serve, Tokens, tokensOf, variants } from "./protectedServer.ts"

/** A mock of a validator. */
const scripted = (validate: TokenValidator.TokenValidator<typeof Tokens.claims.Type>["validate"]) =>
  Layer.succeed(Tokens, { validate, validateWith: validate, invalidate: Effect.void })

describe("HttpSecurity", () => {
  for (const [name, variant] of variants) {
    it.live(`gives each of many requests at once to ${name} its own principal`, () =>
      Effect.gen(function*() {
        const { send } = yield* protectedServer(variant)
        const clients = Array.from({ length: 100 }, (_, index) => `client-${index}`)
        const seen = yield* Effect.forEach(
          clients,
          (client_id) => Effect.flatMap(tokenWith({ client_id }), (token) => send("GET /me", bearer(token))),
          { concurrency: 20 }
        )
        assert.deepStrictEqual(
          seen.map(({ json }) => json),
          clients.map((client) => ({ client, scopes: [], roles: [] }))
        )
      }))

    it.live(`stops validating for a caller of ${name} that disconnected, and continues for others`, () =>
      Effect.gen(function*() {
        const asked = yield* Deferred.make<void>()
        const stopped = yield* Deferred.make<void>()
        const waiting = scripted((token) =>
          token === "wait"
            ? Deferred.succeed(asked, undefined).pipe(
              Effect.andThen(Effect.never),
              Effect.onInterrupt(() => Deferred.succeed(stopped, undefined))
            )
            : Effect.fail(new TokenError.TokenError({ _tag: "TokenExpired" }))
        )
        const { send } = yield* serve(variant, waiting, {}, quiet)
        const caller = yield* Effect.forkChild(send("GET /me", bearer("wait")))
        yield* Deferred.await(asked)
        assert.strictEqual((yield* send("GET /me", bearer("other"))).status, 401)
        yield* Fiber.interrupt(caller)
        yield* Deferred.await(stopped)
      }))

    it.live(`[T6] answers 500 where the validator of ${name} dies, and accepts nobody`, () =>
      Effect.gen(function*() {
        const { send } = yield* serve(variant, scripted(() => Effect.die(new Error("broken"))), {}, quiet)
        assert.strictEqual((yield* send("GET /me", bearer("a.b.c"))).status, 500)
      }))

    it.live(`[T6] answers 503 where ${name} cannot check revocation, and 401 for a revoked token`, () =>
      Effect.gen(function*() {
        const by = (reason: TokenError.Reason) =>
          Effect.flatMap(
            serve(variant, scripted(() => Effect.fail(new TokenError.TokenError(reason))), {}, quiet),
            ({ send }) => send("GET /me", bearer("a.b.c"))
          )
        const unknown = yield* by({ _tag: "RevocationUnavailable" })
        assert.deepStrictEqual([unknown.status, unknown.headers["www-authenticate"]], [503, undefined])
        assert.deepStrictEqual(problemOf(yield* by({ _tag: "TokenRevoked" })), invalid)
      }))

    it.live(`[K-27] refuses a huge header to ${name}: Node's own limit first, the policy's beyond it`, () =>
      Effect.gen(function*() {
        const keys = keysOf([yield* pairOf("ES256")])
        const huge = bearer("a".repeat(20_000))
        const { send } = yield* serve(variant, tokensOf(keys), {}, quiet)
        assert.strictEqual((yield* send("GET /me", huge)).status, 431)
        const wide = Layer.merge(
          NodeHttpServer.layerTest,
          NodeHttpServer.layer(() => Http.createServer({ maxHeaderSize: 1_048_576 }), { port: 0, host: "127.0.0.1" })
        )
        const server = yield* serve(variant, tokensOf(keys), {}, quiet, wide)
        assert.deepStrictEqual(problemOf(yield* server.send("GET /me", huge)), invalid)
        const spaces = yield* server.send(
          "GET /me",
          `Authorization: Bearer ${" ".repeat(500_000)}x ${"=".repeat(400_000)}`
        )
        assert.strictEqual(spaces.status, 400)
      }))
  }

  it.live("responds with the errors of route handlers unchanged", () =>
    Effect.gen(function*() {
      const routes = () =>
        HttpRouter.add(
          "GET",
          "/denied",
          Effect.flatMap(Caller, ({ deny }) => Effect.as(deny, HttpServerResponse.empty()))
        ).pipe(Layer.provide(HttpSecurity.middleware({ validator: Tokens, principal: Caller, realm: "own" }).layer))
      const { send } = yield* protectedServer(routes)
      const received = yield* send("GET /denied", bearer(yield* tokenWith()))
      assert.strictEqual(received.status, 403)
      assert.include(received.headers["www-authenticate"] ?? "", "realm=\"own\"")
    }))

  it.live("[R7] keeps a handler's cache headers with a cookie, and replaces them with a token in the URL", () =>
    Effect.gen(function*() {
      const said = { "cache-control": "public, max-age=60", vary: "Origin" }
      const options = {
        queryParameter: "access_token",
        cookie: { name: "token", origins: ["https://app.example"] }
      }
      const routes = () =>
        Layer.mergeAll(
          HttpRouter.add("GET", "/said", HttpServerResponse.empty({ headers: said })),
          HttpRouter.add("GET", "/all", HttpServerResponse.empty({ headers: { vary: "*" } })),
          HttpRouter.add("GET", "/cookie", HttpServerResponse.empty({ headers: { vary: "Accept, Cookie" } }))
        ).pipe(
          Layer.provide(HttpSecurity.middleware({ validator: Tokens, principal: Caller, ...options }).layer)
        )
      const { send } = yield* protectedServer(routes, {}, HttpSecurity.layerRedaction())
      const token = yield* tokenWith()
      const headersOf = (path: string, ...headers: ReadonlyArray<string>) =>
        Effect.map(send(`GET ${path}`, ...headers), (received) => [
          received.status,
          received.headers["cache-control"],
          received.headers["vary"]
        ])
      const cookie = `Cookie: token=${token}`
      assert.deepStrictEqual(yield* headersOf("/said", cookie), [204, "public, max-age=60", "Origin, cookie"])
      assert.deepStrictEqual(yield* headersOf("/all", cookie), [204, "private", "*"])
      assert.deepStrictEqual(yield* headersOf("/cookie", cookie), [204, "private", "Accept, Cookie"])
      assert.deepStrictEqual(yield* headersOf("/cookie", "Cookie: token=a.b.c"), [401, "no-store", "cookie"])
      assert.deepStrictEqual(yield* headersOf("/said", bearer(token)), [204, "public, max-age=60", "Origin"])
      const inUrl = yield* headersOf(`/said?access_token=${token}`)
      assert.deepStrictEqual(inUrl, [204, "private, no-store", "Origin"])
    }))

  it.effect("[R7] adds to the redacted names, and removes none", () =>
    Effect.gen(function*() {
      const own = Layer.merge(
        Layer.succeed(UrlParams.CurrentRedactedNames, ["own"]),
        Layer.succeed(Headers.CurrentRedactedNames, ["x-own"])
      )
      const names = Effect.all([UrlParams.CurrentRedactedNames, Headers.CurrentRedactedNames])
      const [parameters, headers] = yield* Effect.provide(
        names,
        HttpSecurity.layerRedaction("ticket").pipe(Layer.provide(own))
      )
      assert.includeMembers([...parameters], ["own", "ticket", "access_token", "id_token", "refresh_token"])
      assert.includeMembers([...headers], ["x-own", "dpop"])
      const [, defaults] = yield* Effect.provide(names, HttpSecurity.layerRedaction())
      assert.includeMembers([...defaults], ["authorization", "cookie", "dpop"])
    }))
})
