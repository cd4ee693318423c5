import { assert, describe, it } from "@effect/vitest"
import { KeelsonError } from "@keelson/core"
import { errorOf } from "@keelson/testing/exits"
import { Effect, Logger } from "effect"
import { inspect } from "node:util"
import { type Claims, HttpSecurityError, Principal } from "../src/index.ts"

interface MyClaims {
  readonly tenant: string
  readonly roles?: unknown
}

class Caller extends Principal.Service<Caller, MyClaims>()("test/PrincipalCaller") {}
class RealmCaller
  extends Principal.Service<RealmCaller, { readonly realm_access: { readonly roles: ReadonlyArray<string> } }>()(
    "test/RealmCaller",
    { roles: ({ realm_access: { roles } }) => roles }
  )
{}

const registered: Claims.Registered = {
  iss: "https://idp.example",
  sub: "user-1",
  aud: ["api"],
  exp: 2_000_000_000,
  nbf: undefined,
  iat: undefined,
  jti: "jti-1",
  sid: undefined,
  cnf: undefined,
  client_id: "web",
  scope: "a b",
  scopes: ["a", "b"]
}

const callerOf = (roles?: unknown) => Caller.fromValidated({ claims: { tenant: "t", roles }, registered })

describe("Principal", () => {
  it("[K-26] has typed claims, and what the registered ones say", () => {
    const caller = callerOf(["admin"])
    assert.strictEqual(caller.claims.tenant, "t")
    assert.deepStrictEqual([caller.issuer, caller.subject, caller.clientId], ["https://idp.example", "user-1", "web"])
    assert.deepStrictEqual([...caller.scopes], ["a", "b"])
    assert.isTrue(caller.hasScope("a"))
    assert.isFalse(caller.hasScope("A"))
    assert.isFalse(caller.hasScope("a b"))
    assert.isTrue(caller.hasRole("admin"))
  })

  it("does not change when a returned set of scopes is changed", () => {
    const caller = callerOf()
    const scopes = caller.scopes
    if (scopes instanceof Set) scopes.add("c")
    assert.isFalse(caller.hasScope("c"))
    assert.isFalse(caller.scopes.has("c"))
  })

  it("takes roles from an array of strings in roles, or from the option of the tag", () => {
    for (const roles of [undefined, 1, { admin: true }, ["admin", 1], null]) {
      assert.deepStrictEqual(callerOf(roles).roles, [])
    }
    // [K-28 B2] One role as text.
    assert.deepStrictEqual(callerOf("admin").roles, ["admin"])
    const caller = RealmCaller.fromValidated({ claims: { realm_access: { roles: ["admin"] } }, registered })
    assert.isTrue(caller.hasRole("admin"))
  })

  it("[R21] [T5] shows nothing of itself in text, JSON or a log", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const caller = callerOf(["admin"])
      yield* Effect.log(caller, { caller }).pipe(
        Effect.annotateLogs({ caller }),
        Effect.provide(Logger.layer([
          Logger.map(Logger.formatJson, (line) => {
            lines.push(line)
          }),
          Logger.map(Logger.formatLogFmt, (line) => {
            lines.push(line)
          })
        ]))
      )
      assert.strictEqual(lines.length, 2)
      assert.deepStrictEqual([JSON.stringify(caller), inspect(caller)], [
        "{\"_id\":\"Principal\"}",
        "{ _id: 'Principal' }"
      ])
      for (const text of [...lines, inspect(caller, { depth: 9 }), JSON.stringify(caller)]) {
        for (const secret of ["user-1", "jti-1", "admin", "idp.example"]) assert.notInclude(text, secret)
      }
    }).pipe(Effect.runPromise))

  it.effect("a check returns the principal, or fails with Forbidden", () =>
    Effect.gen(function*() {
      const caller = callerOf(["admin", "auditor"])
      const passes = <E>(guard: Effect.Effect<Principal.Principal<MyClaims>, E, Caller>) =>
        Effect.match(Effect.provideService(guard, Caller, caller), {
          onSuccess: (it) => it === caller,
          onFailure: (error) => error instanceof HttpSecurityError.Forbidden ? false : "something else"
        })
      assert.deepStrictEqual(
        yield* Effect.all([
          passes(Caller.requireScopes("a", "b")),
          passes(Caller.requireScopes("a", "c")),
          passes(Caller.requireAnyScope("c", "a")),
          passes(Caller.requireAnyScope("c", "d")),
          passes(Caller.requireRoles("admin", "auditor")),
          passes(Caller.requireRoles("admin", "owner")),
          passes(Caller.requireAnyRole("owner", "auditor")),
          passes(Caller.requireAnyRole("owner")),
          passes(Caller.require(({ claims }) => claims.tenant === "t")),
          passes(Caller.require(({ claims }) => claims.tenant === "u"))
        ]),
        [true, false, true, false, true, false, true, false, true, false]
      )
    }))

  it.effect("names missing scopes, but neither roles nor predicates", () =>
    Effect.gen(function*() {
      const caller = callerOf()
      const refused = <E>(self: Effect.Effect<unknown, E, Caller>) =>
        Effect.map(Effect.exit(Effect.provideService(self, Caller, caller)), errorOf)
      const scopes = yield* refused(Caller.requireScopes("a", "c"))
      assert.deepInclude(scopes, {
        code: "FORBIDDEN",
        status: 403,
        scopes: ["a", "c"],
        details: { scopes: ["a", "c"] }
      })
      const any = yield* refused(Caller.requireAnyScope("c", "d"))
      assert.deepStrictEqual(any.scopes, ["c"])
      const role = yield* refused(Caller.requireRoles("owner"))
      assert.deepInclude(role, { scopes: [], details: {} })
      assert.notInclude(JSON.stringify(role) + role.challenge, "owner")
      assert.deepInclude(yield* refused(caller.deny), { message: "The caller is not allowed to do this" })
    }))

  it("[K-26] throws for text that is not a scope, where the check is created", () => {
    for (const scope of ["", "a b", "a\"b", "a\r\nx: y", "\u00e9", "x".repeat(257)]) {
      assert.throws(() => Caller.requireScopes(scope), KeelsonError.ConfigurationError)
      assert.throws(() => Caller.requireAnyScope("a", scope), KeelsonError.ConfigurationError)
      assert.throws(() => callerOf().denyScopes("a", scope), KeelsonError.ConfigurationError)
    }
    const many = Array.from({ length: 65 }, (_, index) => `s${index}`)
    assert.throws(() => Caller.requireScopes("a", ...many.slice(1)), KeelsonError.ConfigurationError)
    assert.doesNotThrow(() => Caller.requireScopes("a", ...many.slice(2)))
  })
})
