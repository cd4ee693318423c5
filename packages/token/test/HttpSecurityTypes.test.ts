// @effect-diagnostics missingEffectContext:off -- what must not compile is shown here
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { type Context, Effect, type Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { HttpApiEndpoint, HttpApiMiddleware } from "effect/http-api"
import { Claims, HttpSecurity, type HttpSecurityError, Principal, TokenValidator } from "../src/index.ts"
import { Authenticated, Caller, Tokens } from "./protectedServer.ts"

class Plain extends TokenValidator.Service<Plain>()("test/Plain", { claims: Claims.Jwt }) {}
class PlainCaller extends Principal.Service<PlainCaller, Claims.Jwt>()("test/PlainCaller") {}

describe("HttpSecurity types", () => {
  it("[K-26] gives handlers claims of the tag's own type", () => {
    expectTypeOf(Effect.map(Caller, ({ claims }) => claims.client_id)).toEqualTypeOf<
      Effect.Effect<string, never, Caller>
    >()
    expectTypeOf(Caller.requireScopes("a")).toEqualTypeOf<
      Effect.Effect<Principal.Principal<Claims.AccessToken>, HttpSecurityError.Forbidden, Caller>
    >()
    assert.strictEqual(Caller.key, "test/Caller")
    // @ts-expect-error: a guard without a scope would let everybody pass
    expectTypeOf(Caller.requireScopes).toBeCallableWith()
  })

  it("[K-26] needs a validator whose claims are those of the principal, or more", () => {
    assert.isDefined(HttpSecurity.layer(Authenticated, { validator: Tokens, principal: Caller }))
    assert.isDefined(HttpSecurity.middleware({ validator: Tokens, principal: PlainCaller }))
    // @ts-expect-error: a plain token has no client_id
    HttpSecurity.middleware({ validator: Plain, principal: Caller })
    // @ts-expect-error: handlers of this middleware are promised another principal
    HttpSecurity.layer(Authenticated, { validator: Plain, principal: PlainCaller })
    // @ts-expect-error: there is no such option
    HttpSecurity.layer(Authenticated, { validator: Tokens, principal: Caller, realms: "x" })
  })

  it("[K-26] puts scopes on endpoints by a middleware of its own alone, since others would not ask for them", () => {
    const endpoint = HttpApiEndpoint.get("one", "/one")
    assert.isTrue(endpoint.pipe(HttpSecurity.requireScopes(Authenticated, "a")).middlewares.has(Authenticated))
    // @ts-expect-error: this one is Effect's
    endpoint.pipe(HttpSecurity.requireScopes(HttpApiMiddleware.ProblemDetails, "a"))
  })

  it("[K-26] leaves a route that needs the principal without one until the middleware is there", () => {
    const route = HttpRouter.add("GET", "/", Effect.map(Caller, () => HttpServerResponse.empty()))
    assert.isDefined(route)
    expectTypeOf<Layer.Services<typeof route>>().toEqualTypeOf<
      HttpRouter.HttpRouter | HttpRouter.Request<"Requires", Caller>
    >()
    expectTypeOf<Context.Service.Identifier<typeof Caller>>().toEqualTypeOf<Caller>()
  })
})
