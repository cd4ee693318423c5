import { assert, describe, it } from "@effect/vitest"
import { KeelsonError, Metrics, Problem, PrometheusEndpoint } from "@keelson/core"
import { JwksError } from "@keelson/jwks"
import { errorOf } from "@keelson/testing/exits"
import { keysOf, pairOf } from "@keelson/testing/tokens"
import { Context, Duration, Effect, Exit, Layer, Option, Schema } from "effect"
import {
  HttpClient,
  HttpClientRequest,
  HttpClientResponse,
  HttpMiddleware,
  HttpRouter,
  HttpServer,
  HttpServerResponse
} from "effect/http"
import {
  HttpApi,
  HttpApiBuilder,
  HttpApiClient,
  HttpApiEndpoint,
  HttpApiGroup,
  HttpApiMiddleware,
  OpenApi
} from "effect/http-api"
import { Claims, HttpSecurity, HttpSecurityError, Principal, TokenValidator } from "../src/index.ts"
import { protectedServer, quiet, tokenWith } from "./HttpSecuritySuite.ts"
import {
  Api,
  asHttpApi,
  asRoutes,
  Authenticated,
  bearer,
  Caller,
  keysDown,
  policy,
  serve,
  Tokens,
  tokensOf
} from "./protectedServer.ts"

const withToken = (client: HttpClient.HttpClient, token: string) =>
  HttpApiClient.makeWith(Api, { httpClient: HttpClient.mapRequest(client, HttpClientRequest.bearerToken(token)) })

describe("HttpSecurity of an HttpApi", () => {
  it("shows scheme, scopes, errors and headers in the document", () => {
    const { components, paths } = OpenApi.fromApi(Api)
    assert.deepStrictEqual(components.securitySchemes, { bearer: { type: "http", scheme: "Bearer" } })
    const report = paths["/reports"]?.post
    assert.deepStrictEqual(report?.security, [{ bearer: ["reports:read", "reports:write"] }])
    assert.deepStrictEqual(paths["/me"]?.get?.security, [{ bearer: [] }])
    assert.deepStrictEqual(paths["/health"]?.get?.security, [])
    assert.deepStrictEqual(Object.keys(report?.responses ?? {}), ["200", "400", "401", "403", "503"])
    const names = { 400: "InvalidRequest", 401: "Unauthorized", 403: "Forbidden", 503: "Unavailable" }
    for (const status of [400, 401, 403, 503] as const) {
      const { content, headers } = report?.responses[status] ?? {}
      assert.deepStrictEqual(Object.keys(content ?? {}), ["application/problem+json"])
      assert.deepStrictEqual(content?.["application/problem+json"]?.schema, {
        $ref: `#/components/schemas/${names[status]}Problem`
      })
      const challenge = ["www-authenticate", "cache-control"]
      assert.deepStrictEqual(
        Object.keys(headers ?? {}),
        {
          400: challenge,
          401: [...challenge, "dpop-nonce"],
          403: challenge,
          503: ["cache-control", "retry-after"]
        }[status]
      )
    }
    assert.strictEqual(report?.responses[403]?.description, "The caller is not allowed to do this")
    assert.strictEqual(Object.keys(paths["/health"]?.get?.responses ?? {}).join(), "204")
  })

  it.live("[T6] [K-03] a client gets the same errors, with their tags", () =>
    Effect.gen(function*() {
      const { client } = yield* protectedServer(asHttpApi)
      const good = yield* withToken(client, yield* tokenWith({ scope: "reports:read" }))
      assert.strictEqual((yield* good.endpoints.me()).client, "client-1")
      const forbidden = errorOf(yield* Effect.exit(good.endpoints.report()))
      assert.instanceOf(forbidden, HttpSecurityError.Forbidden)
      assert.deepStrictEqual(forbidden.scopes, ["reports:read", "reports:write"])
      assert.include(forbidden.challenge, "scope=\"reports:read reports:write\"")
      const bad = yield* withToken(client, "a.b.c")
      const caught = yield* Effect.catchTag(bad.endpoints.me(), "Unauthorized", ({ code }) => Effect.succeed(code))
      assert.strictEqual(caught, "UNAUTHORIZED")
      const late = yield* withToken(client, yield* tokenWith({ exp: 1_000_000_000 }))
      assert.deepInclude(errorOf(yield* Effect.exit(late.endpoints.me())), {
        _tag: "Unauthorized",
        code: "TOKEN_EXPIRED",
        message: "The access token is expired"
      })
      const malformed = yield* withToken(client, "a b")
      assert.deepInclude(errorOf(yield* Effect.exit(malformed.endpoints.me())), { _tag: "InvalidRequest", status: 400 })
      const none = yield* HttpApiClient.makeWith(Api, { httpClient: client })
      assert.deepInclude(errorOf(yield* Effect.exit(none.endpoints.me())), { code: "TOKEN_MISSING" })
    }))

  it.live("[T6] the middleware answers a refused caller; an outage stays a failure, which error reporters see", () =>
    Effect.gen(function*() {
      class Reporter extends HttpApiMiddleware.Service<Reporter>()("test/Reporter") {}
      const One = HttpApi.make("one").add(
        HttpApiGroup.make("group").add(HttpApiEndpoint.get("me", "/me", { success: Schema.String }))
          .middleware(Authenticated).middleware(Reporter)
      )
      const ended: Array<string | undefined> = []
      const reporter = Layer.succeed(Reporter, (handler) =>
        Effect.onExit(handler, (exit) =>
          Effect.sync(() => {
            const error: unknown = Option.getOrUndefined(Exit.findErrorOption(exit))
            ended.push(HttpSecurityError.isHttpSecurityError(error) ? error._tag : exit._tag)
          })))
      const app = () =>
        HttpApiBuilder.layer(One).pipe(
          Layer.provide(HttpApiBuilder.group(One, "group", (group) => group.handle("me", () => Effect.succeed("me")))),
          Layer.provide(HttpSecurity.layer(Authenticated, { validator: Tokens, principal: Caller })),
          Layer.provide(reporter)
        )
      const known = yield* serve(app, tokensOf(keysOf([yield* pairOf("ES256")])), {}, quiet)
      assert.strictEqual((yield* known.send("GET /me", bearer("a.b.c"))).status, 401)
      const down = yield* serve(app, tokensOf(keysDown(new JwksError.JwksUnavailable())), {}, quiet)
      assert.strictEqual((yield* down.send("GET /me", bearer(yield* tokenWith()))).status, 503)
      assert.deepStrictEqual(ended, ["Success", "Unavailable"])
    }))

  it.live("[T6] [K-03] a client gets the time to wait while keys are unavailable", () =>
    Effect.gen(function*() {
      const down = (retryAfter?: Duration.Duration) =>
        Effect.gen(function*() {
          const keys = keysDown(new JwksError.JwksUnavailable({ retryAfter }))
          const { client } = yield* serve(asHttpApi, tokensOf(keys), {}, quiet)
          const api = yield* withToken(client, yield* tokenWith())
          return errorOf(yield* Effect.exit(api.endpoints.me()))
        })
      const known = yield* down(Duration.seconds(30))
      assert.instanceOf(known, HttpSecurityError.Unavailable)
      assert.deepStrictEqual(known.retryAfter, Duration.seconds(30))
      assert.deepInclude(yield* down(), { _tag: "Unavailable", retryAfter: Duration.zero })
    }))

  it.effect("[T6] a client decodes an error with malformed scopes", () =>
    Effect.gen(function*() {
      const body = { ...Problem.toProblemDetails(new KeelsonError.AuthorizationError({ code: "FORBIDDEN" })) }
      const answers = (scopes: unknown) =>
        HttpClient.make((request) =>
          Effect.succeed(HttpClientResponse.fromWeb(
            request,
            new Response(JSON.stringify({ ...body, details: { scopes } }), {
              status: 403,
              headers: { "content-type": "application/problem+json" }
            })
          ))
        )
      for (const scopes of [["a", { toString: 1 }, null, 2], "a", { 0: "a" }, null]) {
        const api = yield* withToken(
          HttpClient.mapRequest(answers(scopes), HttpClientRequest.prependUrl("http://a")),
          "x"
        )
        const error = errorOf(yield* Effect.exit(api.endpoints.me()))
        assert.deepInclude(error, { _tag: "Forbidden", scopes: Array.isArray(scopes) ? ["a"] : [] })
      }
    }))

  it.live("a client in a page of another origin gets the errors without their headers", () =>
    Effect.gen(function*() {
      const { client } = yield* protectedServer(asHttpApi)
      const hiding = HttpClient.transformResponse(
        client,
        Effect.map((response) =>
          HttpClientResponse.fromWeb(
            response.request,
            new Response(response.status === 401 ? unauthorized : null, {
              status: response.status,
              headers: { "content-type": response.headers["content-type"] ?? "" }
            })
          )
        )
      )
      const unauthorized = yield* client.get("/me").pipe(Effect.flatMap(({ text }) => text))
      const api = yield* HttpApiClient.makeWith(Api, { httpClient: hiding })
      const error = errorOf(yield* Effect.exit(api.endpoints.me()))
      assert.instanceOf(error, HttpSecurityError.Unauthorized)
      assert.deepInclude(error, { code: "TOKEN_MISSING", challenge: "" })
    }))

  it.live("validates once where group and endpoint both have the middleware", () =>
    Effect.gen(function*() {
      const { send } = yield* protectedServer(asHttpApi)
      yield* send("POST /reports", bearer(yield* tokenWith({ scope: "reports:read reports:write" })))
      const accepted = (yield* PrometheusEndpoint.format).split("\n").find((line) =>
        line.startsWith("keelson_token_validations_total") && line.includes("accepted")
      )
      assert.strictEqual(accepted?.split(" ").at(-1), "1")
    }).pipe(Effect.provide(Metrics.layerIsolated)))

  it.live("leaves preflight requests to CORS, which runs first and adds its headers to rejections", () =>
    Effect.gen(function*() {
      const cors = HttpRouter.middleware(
        HttpMiddleware.cors({ allowedOrigins: ["https://app.example"], exposedHeaders: ["WWW-Authenticate"] }),
        { global: true }
      )
      for (const variant of [asHttpApi, asRoutes]) {
        const { send } = yield* protectedServer((options) => Layer.merge(variant(options), cors))
        const preflight = yield* send(
          "OPTIONS /me",
          "Origin: https://app.example",
          "Access-Control-Request-Method: GET",
          "Access-Control-Request-Headers: authorization"
        )
        assert.deepStrictEqual(
          [preflight.status, preflight.headers["access-control-allow-headers"]],
          [204, "authorization"]
        )
        const { headers, status } = yield* send("GET /me", "Origin: https://app.example")
        assert.deepStrictEqual(
          [status, headers["access-control-allow-origin"], headers["access-control-expose-headers"]],
          [401, "https://app.example", "WWW-Authenticate"]
        )
      }
    }))

  it.live("protects an OPTIONS route of the application", () =>
    Effect.gen(function*() {
      const routes = () =>
        HttpRouter.add("*", "/all", HttpServerResponse.empty()).pipe(
          Layer.provide(HttpSecurity.middleware({ validator: Tokens, principal: Caller }).layer)
        )
      const { send } = yield* protectedServer(routes)
      for (const method of ["OPTIONS", "DELETE", "PUT", "PATCH"]) {
        assert.strictEqual((yield* send(`${method} /all`)).status, 401)
        assert.strictEqual((yield* send(`${method} /all`, bearer(yield* tokenWith()))).status, 204)
      }
    }))

  it.live("[K-26] supports several validators in one API, each with its own claims", () =>
    Effect.gen(function*() {
      const Partner = Schema.Struct({ ...Claims.AccessToken.fields, partner: Schema.Int })
      class PartnerTokens extends TokenValidator.Service<PartnerTokens>()("test/PartnerTokens", { claims: Partner }) {}
      class PartnerCaller extends Principal.Service<PartnerCaller, typeof Partner.Type>()("test/PartnerCaller") {}
      class Partners extends HttpSecurity.Service<Partners, PartnerCaller>()("test/Partners") {}
      const Two = HttpApi.make("two").add(
        HttpApiGroup.make("group").add(
          HttpApiEndpoint.get("user", "/user", { success: Schema.String }).middleware(Authenticated),
          HttpApiEndpoint.get("partner", "/partner", { success: Schema.Int }).pipe(
            HttpSecurity.requireScopes(Partners, "partners")
          )
        )
      )
      const handlers = HttpApiBuilder.group(Two, "group", (group) =>
        group.handleAll({
          user: () => Effect.map(Caller, ({ claims }) => claims.client_id),
          partner: () => Effect.map(PartnerCaller, ({ claims }) => claims.partner)
        }))
      const keys = keysOf([yield* pairOf("ES256")])
      const security = Layer.mergeAll(
        HttpSecurity.layer(Authenticated, { validator: Tokens, principal: Caller }),
        Layer.provide(
          HttpSecurity.layer(Partners, { validator: PartnerTokens, principal: PartnerCaller, realm: "partners" }),
          Layer.provide(PartnerTokens.layer(policy), keys)
        )
      )
      const { send } = yield* serve(
        () => Layer.provide(HttpApiBuilder.layer(Two), Layer.provide(handlers, security)),
        tokensOf(keys),
        {},
        quiet
      )
      const user = bearer(yield* tokenWith())
      const partner = bearer(yield* tokenWith({ partner: 7, scope: "partners" }))
      assert.strictEqual((yield* send("GET /user", user)).json, "client-1")
      assert.strictEqual((yield* send("GET /partner", partner)).json, 7)
      const refused = yield* send("GET /partner", user)
      assert.strictEqual(refused.status, 401)
      assert.include(refused.headers["www-authenticate"] ?? "", "realm=\"partners\"")
    }))

  it.live("works on web platforms, where repeated headers are joined", () =>
    Effect.gen(function*() {
      const keys = keysOf([yield* pairOf("ES256")])
      const app = asHttpApi({}).pipe(Layer.provide(tokensOf(keys)), Layer.provide(HttpServer.layerServices))
      const { dispose, handler } = HttpRouter.toWebHandler(app, { disableLogger: true })
      yield* Effect.addFinalizer(() => Effect.promise(dispose))
      const token = yield* tokenWith()
      const get = (...values: ReadonlyArray<string>) =>
        Effect.promise(() =>
          handler(
            new Request("http://api.example/me", {
              headers: values.map((value): [string, string] => ["authorization", value])
            }),
            Context.empty()
          )
        )
      assert.strictEqual((yield* get(`Bearer ${token}`)).status, 200)
      assert.strictEqual((yield* get()).status, 401)
      assert.strictEqual((yield* get(`Bearer ${token}`, `Bearer ${token}`)).status, 400)
      assert.strictEqual((yield* get(`Bearer ${token}`, "Basic abc")).status, 400)
      assert.strictEqual((yield* get("Basic abc", `Bearer ${token}`)).status, 401)
    }))

  it.effect("[R7] fails to build where spans would show tokens in URLs, or with options out of range", () =>
    Effect.gen(function*() {
      const build = (options: object, around: Layer.Layer<never> = Layer.empty) =>
        Effect.flatMap(pairOf("ES256"), (pair) =>
          Effect.exit(Layer.build(
            HttpSecurity.layer(Authenticated, { validator: Tokens, principal: Caller, ...options }).pipe(
              Layer.provide(tokensOf(keysOf([pair]))),
              Layer.provide(around)
            )
          )))
      const unredacted = errorOf(yield* build({ queryParameter: "access_token" }))
      assert.instanceOf(unredacted, KeelsonError.ConfigurationError)
      assert.deepInclude(unredacted.details, { path: "queryParameter" })
      assert.include(unredacted.message, "HttpSecurity.layerRedaction(\"access_token\")")
      assert.isTrue(Exit.isSuccess(yield* build({ queryParameter: "access_token" }, HttpSecurity.layerRedaction())))
      assert.isTrue(Exit.isFailure(yield* build({ queryParameter: "jwt" }, HttpSecurity.layerRedaction())))
      assert.isTrue(Exit.isSuccess(yield* build({ queryParameter: "jwt" }, HttpSecurity.layerRedaction("jwt"))))
      // [K-28 B4] The same holds for a header.
      const header = "X-Goog-IAP-JWT-Assertion"
      assert.isTrue(Exit.isFailure(yield* build({ header }, HttpSecurity.layerRedaction())))
      assert.isTrue(Exit.isSuccess(yield* build({ header }, HttpSecurity.layerRedaction(header))))
      assert.deepInclude(errorOf(yield* build({ realm: "" })).details, { path: "realm" })
      assert.deepInclude(errorOf(yield* build({ other: 1 })).details, { path: "other" })
    }))

  it("throws for text that is not a scope, where the check is created", () => {
    const endpoint = HttpApiEndpoint.get("one", "/one")
    for (const scope of ["", "a b", "a\"b", "a\\b", "\u00e9", "a\n"]) {
      assert.throws(
        () => endpoint.pipe(HttpSecurity.requireScopes(Authenticated, scope)),
        KeelsonError.ConfigurationError
      )
    }
  })

  it("adds scopes after an endpoint's own transformation of the document", () => {
    const endpoint = HttpApiEndpoint.get("one", "/one").annotate(
      OpenApi.Transform,
      (operation) => ({ ...operation, summary: "One" })
    ).pipe(HttpSecurity.requireScopes(Authenticated, "a"))
    const { paths } = OpenApi.fromApi(HttpApi.make("own").add(HttpApiGroup.make("group").add(endpoint)))
    assert.deepInclude(paths["/one"]?.get, { summary: "One", security: [{ bearer: ["a"] }] })
  })
})
