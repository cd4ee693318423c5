/** Tokens as other issuers write them: harmless differences are accepted, and rejected ones are named. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigurationError } from "@keelson/core/KeelsonError"
import { errorOf } from "@keelson/testing/exits"
import { audience, goodClaims, issuer, keysOf, pairOf, reasonOf, sign } from "@keelson/testing/tokens"
import { Effect, Layer, Schema } from "effect"
import { Claims, Principal, type Revocation, TokenValidator, ValidationPolicy } from "../src/index.ts"

const options = { issuers: [issuer], audiences: [audience], algorithms: ["ES256"] } as const

/** A validator, and a function that validates a good token with some claims changed. */
const scene = Effect.fnUntraced(function*<A>(
  claims: Schema.ConstraintDecoder<A>,
  policy: ValidationPolicy.Options,
  more: { readonly issuers?: ReadonlyArray<string>; readonly revocation?: Revocation.Revocation["Service"] } = {}
) {
  const pair = yield* pairOf("ES256")
  const keys = yield* Layer.build(keysOf([pair], more.issuers))
  const { validate } = yield* Effect.provide(
    TokenValidator.make("test/Foreign", { claims, policy, revocation: more.revocation }),
    keys
  )
  const good = yield* goodClaims
  return (changes: Readonly<Record<string, unknown>>) =>
    Effect.flatMap(sign(pair, { ...good, ...changes }), (token) => validate(token))
})

const Anything = Schema.Struct({ sub: Schema.String })
const anyType = { types: ["at+jwt", "JWT"] }

class Caller extends Principal.Service<Caller, Claims.AccessToken>()("test/ForeignCaller") {}

describe("Tokens of other issuers", () => {
  it.effect("[K-28 B2] a list of one, written as text, is a list of one", () =>
    Effect.gen(function*() {
      const validate = yield* scene(Claims.AccessToken, ValidationPolicy.accessToken(options))
      for (const name of ["amr", "groups", "roles", "entitlements"] as const) {
        assert.deepStrictEqual((yield* validate({ [name]: "one" })).claims[name], ["one"])
        assert.deepStrictEqual((yield* validate({ [name]: ["one", "two"] })).claims[name], ["one", "two"])
        assert.isTrue(Object.isFrozen((yield* validate({ [name]: "one" })).claims[name]))
        for (const bad of [null, 1, { one: true }, ["one", 1]]) {
          assert.strictEqual((yield* reasonOf(validate({ [name]: bad })))._tag, "ClaimInvalid")
        }
      }
      assert.isTrue(Caller.fromValidated(yield* validate({ roles: "admin" })).hasRole("admin"))
      const logins = yield* scene(
        Claims.IdToken,
        ValidationPolicy.idToken({ ...options, ...anyType, nonce: "optional" })
      )
      assert.deepStrictEqual((yield* logins({ amr: "pwd" })).claims.amr, ["pwd"])
    }))

  it.effect("[K-28 B3] sid, scope, scp and client_id of another type decide only where policy or schema use them", () =>
    Effect.gen(function*() {
      const validate = yield* scene(Anything, ValidationPolicy.jwt({ ...options, ...anyType }))
      for (const name of ["sid", "scope", "scp", "client_id"]) {
        for (const value of [null, 1, true, {}, [1], [["a"]]]) {
          const { registered } = yield* validate({ client_id: undefined, [name]: value })
          assert.deepInclude(registered, { sid: undefined, client_id: undefined, scope: undefined, scopes: [] })
        }
      }
      // A scope of another type does not hide the scopes in the other claim.
      assert.deepInclude((yield* validate({ scope: null, scp: ["a", "b"] })).registered, { scopes: ["a", "b"] })
      const requiring = yield* scene(
        Anything,
        ValidationPolicy.jwt({ ...options, ...anyType, requiredClaims: ["sid", "scope"] })
      )
      assert.deepStrictEqual(yield* reasonOf(requiring({ sid: 1, scope: "a" })), { _tag: "ClaimInvalid", path: "sid" })
      assert.deepStrictEqual(yield* reasonOf(requiring({ sid: "s", scope: 1 })), {
        _tag: "ClaimInvalid",
        path: "scope"
      })
      assert.deepStrictEqual(yield* reasonOf(requiring({ sid: null, scope: "a" })), {
        _tag: "ClaimMissing",
        claim: "sid"
      })
      const asking = yield* scene(
        Schema.Struct({ scope: Schema.String }),
        ValidationPolicy.jwt({ ...options, ...anyType })
      )
      assert.deepStrictEqual(yield* reasonOf(asking({ scope: 1 })), { _tag: "ClaimInvalid", path: "scope" })
    }))

  it.effect("[K-28 B3] [R10] a session of another type is rejected where sessions can be revoked", () =>
    Effect.gen(function*() {
      const revocation: Revocation.Revocation["Service"] = {
        isRevoked: () => Effect.succeed(false),
        revoke: () => Effect.void
      }
      const validate = yield* scene(Anything, ValidationPolicy.jwt({ ...options, ...anyType }), { revocation })
      assert.deepStrictEqual(yield* reasonOf(validate({ sid: 1 })), { _tag: "ClaimInvalid", path: "sid" })
      assert.strictEqual((yield* validate({ sid: null })).registered.sid, undefined)
      assert.strictEqual((yield* validate({ sid: "s" })).registered.sid, "s")
    }))

  it.effect("[K-23] reads the key that a token is bound to, and never takes a bound token for one without", () =>
    Effect.gen(function*() {
      const validate = yield* scene(Anything, ValidationPolicy.jwt({ ...options, ...anyType }))
      const cnfOf = (cnf: unknown) => Effect.map(validate({ cnf }), ({ registered }) => registered.cnf)
      const [jkt, unknown] = [undefined, { jkt: undefined, "x5t#S256": undefined }]
      assert.strictEqual(yield* cnfOf(undefined), undefined)
      assert.strictEqual(yield* cnfOf(null), undefined)
      assert.deepStrictEqual(yield* cnfOf({ jkt: "a" }), { jkt: "a", "x5t#S256": undefined })
      assert.deepStrictEqual(yield* cnfOf({ "x5t#S256": "b", kid: "c" }), { jkt, "x5t#S256": "b" })
      assert.deepStrictEqual(yield* cnfOf({ jkt: 7, "x5t#S256": null }), { jkt: "", "x5t#S256": "" })
      for (const other of [{ jwk: {} }, {}, [], ["jkt"], "jkt", 7, true]) {
        assert.deepStrictEqual(yield* cnfOf(other), unknown)
      }
    }))

  it.effect("[K-28 B4] [T1] the audience can be in any claim, as text or a list, and is then required there", () =>
    Effect.gen(function*() {
      const audiences = ["https://app.example"]
      const policy = ValidationPolicy.jwt({ ...options, ...anyType, audiences, audienceClaim: "azp" })
      const validate = yield* scene(Anything, policy)
      assert.deepStrictEqual((yield* validate({ aud: undefined, azp: "https://app.example" })).registered.aud, [])
      yield* validate({ azp: ["x", "https://app.example"] })
      const rejected = [
        [{ azp: undefined, aud: "https://app.example" }, { _tag: "ClaimMissing", claim: "azp" }],
        [{ azp: "x", aud: "https://app.example" }, { _tag: "AudienceMismatch" }],
        [{ azp: [] }, { _tag: "AudienceMismatch" }],
        [{ azp: 1 }, { _tag: "ClaimInvalid", path: "azp" }],
        [{ azp: null }, { _tag: "ClaimInvalid", path: "azp" }]
      ] as const
      for (const [changes, reason] of rejected) assert.deepStrictEqual(yield* reasonOf(validate(changes)), reason)
    }))

  it.effect("[K-28 B5] [R2] too many audiences are rejected with the bound, and the option that sets it", () =>
    Effect.gen(function*() {
      const validate = yield* scene(Claims.AccessToken, ValidationPolicy.accessToken(options))
      const aud = Array.from({ length: 65 }, (_, index) => index === 0 ? audience : `other-${index}`)
      yield* validate({ aud: aud.slice(0, 64) })
      const error = errorOf(yield* Effect.exit(validate({ aud })))
      assert.strictEqual(error.message, "The claim at aud must have at most 64 audiences (maxAudiences)")
      assert.deepStrictEqual(error.details, { path: "aud", expected: "at most 64 audiences (maxAudiences)" })
      const wider = yield* scene(
        Claims.AccessToken,
        ValidationPolicy.accessToken({ ...options, maxAudiences: 65 })
      )
      yield* wider({ aud })
    }))

  it("[K-28 B6] [R3] a tenant that would stand for all of them is refused when the policy is made", () => {
    const template = "https://login.example/{tenantid}/v2.0"
    for (const tenant of ["*", "acme*", "{tenantid}", "{tenant}", "a/b"]) {
      assert.throws(
        () => ValidationPolicy.make({ ...options, issuers: [{ template, tenants: ["acme", tenant] }] }),
        ConfigurationError,
        /issuers.0.tenants.1 must be a tenant: there is no wildcard for all tenants, but tenants can be a function/
      )
    }
  })

  it("[K-28 B6] [R3] an alias of many tenants of Entra ID is refused when the policy is made", () => {
    const policyFor = (template: string, tenant: string) =>
      ValidationPolicy.make({ ...options, issuers: [{ template, tenants: ["acme", tenant] }] })
    for (const host of ["login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn"]) {
      for (const tenant of ["common", "organizations", "Consumers"]) {
        assert.throws(
          () => policyFor(`https://${host}/{tenantid}/v2.0`, tenant),
          ConfigurationError,
          /issuers.0.tenants.1 must be the id of a tenant, which tokens have in their issuer/
        )
      }
    }
    assert.strictEqual(policyFor("https://login.example/{tenantid}/v2.0", "common").issuers.length, 1)
  })

  it.effect("[K-28 B6] [R3] tenants can be a function, which decides before any key is looked up", () =>
    Effect.gen(function*() {
      const template = "https://login.example/{tenantid}/v2.0"
      const asked = new Set<string>()
      const tenants = (tenant: string) => {
        asked.add(tenant)
        return tenant.startsWith("good-")
      }
      const issuers = [{ template, tenants }, "https://login.example/plain/v2.0"]
      const policy = ValidationPolicy.accessToken({ ...options, issuers })
      const validate = yield* scene(Claims.AccessToken, policy, {
        issuers: [template, "https://login.example/plain/v2.0"]
      })
      const iss = (tenant: string) => `https://login.example/${tenant}/v2.0`
      yield* validate({ iss: iss("good-1") })
      yield* validate({ iss: iss("plain") })
      assert.deepStrictEqual([...asked], ["good-1"])
      assert.deepStrictEqual(yield* reasonOf(validate({ iss: iss("bad") })), { _tag: "IssuerUntrusted" })
      // Text that is no tenant is not asked for.
      for (const tenant of ["", "good-1/x", "good-1?x", "good-1#x", "good 1", "good-\n", "x".repeat(257)]) {
        assert.deepStrictEqual(yield* reasonOf(validate({ iss: iss(tenant) })), { _tag: "IssuerUntrusted" })
      }
      assert.deepStrictEqual(yield* reasonOf(validate({ iss: template })), { _tag: "IssuerUntrusted" })
      assert.deepStrictEqual([...asked], ["good-1", "bad", "{tenantid}"])
    }))

  it.effect("[K-28 B6] [R3] a function of the tenant that returns a promise trusts nobody", () =>
    Effect.gen(function*() {
      const template = "https://login.example/{tenantid}/v2.0"
      const tenants = () => Promise.resolve(true)
      // @ts-expect-error -- JavaScript has no types
      const policy = ValidationPolicy.accessToken({ ...options, issuers: [{ template, tenants }] })
      const validate = yield* scene(Claims.AccessToken, policy, { issuers: [template] })
      const reason = yield* reasonOf(validate({ iss: "https://login.example/any/v2.0" }))
      assert.deepStrictEqual(reason, { _tag: "IssuerUntrusted" })
    }))

  it.effect("[K-28 B6] [R3] [R6] a tenant that the function trusts no longer, or trusts now, counts at the next call", () =>
    Effect.gen(function*() {
      const template = "https://login.example/{tenantid}/v2.0"
      const trusted = new Set(["acme"])
      const policy = ValidationPolicy.accessToken({
        ...options,
        issuers: [{ template, tenants: (tenant) => trusted.has(tenant) }]
      })
      const pair = yield* pairOf("ES256")
      const keys = yield* Layer.build(keysOf([pair], [template]))
      const { validate, validateWith } = yield* Effect.provide(
        TokenValidator.make("test/Tenants", { claims: Claims.AccessToken, policy }),
        keys
      )
      const token = yield* sign(pair, { ...yield* goodClaims, iss: "https://login.example/acme/v2.0" })
      for (const _ of [1, 2]) {
        trusted.add("acme")
        yield* validate(token)
        yield* validate(token)
        trusted.delete("acme")
        assert.deepStrictEqual(yield* reasonOf(validate(token)), { _tag: "IssuerUntrusted" })
        assert.deepStrictEqual(yield* reasonOf(validateWith(token, { skipExpiry: true })), { _tag: "IssuerUntrusted" })
        assert.deepStrictEqual(yield* reasonOf(validate(token)), { _tag: "IssuerUntrusted" })
      }
    }))
})
