// @effect-diagnostics missingEffectContext:off -- this file contains code that must not compile
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
    // @ts-expect-error: a check without a scope would accept every caller
    expectTypeOf(Caller.requireScopes).toBeCallableWith()
  })

  it("[K-26] requires a validator with the principal's claims, or more", () => {
    assert.isDefined(HttpSecurity.layer(Authenticated, { validator: Tokens, principal: Caller }))
    assert.isDefined(HttpSecurity.middleware({ validator: Tokens, principal: PlainCaller }))
    // @ts-expect-error: a plain token has no client_id
    HttpSecurity.middleware({ validator: Plain, principal: Caller })
    // @ts-expect-error: this middleware provides another principal
    HttpSecurity.layer(Authenticated, { validator: Plain, principal: PlainCaller })
    // @ts-expect-error: there is no such option
    HttpSecurity.layer(Authenticated, { validator: Tokens, principal: Caller, realms: "x" })
  })

  it("[K-26] only adds scopes together with its own middleware, since others would not check them", () => {
    const endpoint = HttpApiEndpoint.get("one", "/one")
    assert.isTrue(endpoint.pipe(HttpSecurity.requireScopes(Authenticated, "a")).middlewares.has(Authenticated))
    // @ts-expect-error: this error is Effect's
    endpoint.pipe(HttpSecurity.requireScopes(HttpApiMiddleware.ProblemDetails, "a"))
  })

  it("[K-26] a route that requires the principal does not compile without the middleware", () => {
    const route = HttpRouter.add("GET", "/", Effect.map(Caller, () => HttpServerResponse.empty()))
    assert.isDefined(route)
    expectTypeOf<Layer.Services<typeof route>>().toEqualTypeOf<
      HttpRouter.HttpRouter | HttpRouter.Request<"Requires", Caller>
    >()
    expectTypeOf<Context.Service.Identifier<typeof Caller>>().toEqualTypeOf<Caller>()
  })
})
