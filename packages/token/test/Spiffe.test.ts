import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { KeySource, StaticKeys } from "@keelson/jwks"
import { documentOf, makeProvider } from "@keelson/testing/scriptedProvider"
import { goodClaims, pairOf, reasonOf, sign } from "@keelson/testing/tokens"
import { Context, DateTime, Duration, Effect, Layer, Schema } from "effect"
import * as Explain from "../src/Explain.ts"
import { Claims, Revocation, TokenValidator, ValidationPolicy, ValidatorOptions } from "../src/index.ts"

const Svid = Schema.Struct({ sub: Schema.String, aud: Claims.Audience, exp: Claims.NumericDate })

class Workloads extends TokenValidator.Service<Workloads>()("test/Workloads", {
  claims: Svid,
  revocation: Revocation.Revocation
}) {}
class Others extends TokenValidator.Service<Others>()("test/OtherTokens", { claims: Svid }) {}

const inAnHour = Effect.map(DateTime.now, (now) => DateTime.addDuration(now, Duration.hours(1)))

const trustDomain = "example.org"
const domain = `spiffe://${trustDomain}`
const workload = `${domain}/ns/prod/sa/web`
const policy = ValidationPolicy.spiffe({ trustDomain, audiences: ["reports"] })

/** An authority of the X.509 SVIDs of the trust domain, as SPIRE publishes it. */
const x509 = { use: "x509-svid", kty: "EC", crv: "P-256", x: "fK-wKTnKL7KFLM27lqq5DC-bxrVaH6rDV-IcCSEOeL4", y: "A" }

const bundleOf = (keys: ReadonlyArray<object>) =>
  JSON.stringify({ keys, spiffe_sequence: 12, spiffe_refresh_hint: 300 })

const scene = Effect.fnUntraced(function*(
  use: string | undefined = "jwt-svid",
  given: ValidationPolicy.Options = policy
) {
  const pair = yield* pairOf("ES256")
  const { alg: _, ...published } = { ...pair.publicJwk, use }
  const { egress } = makeProvider(documentOf(bundleOf([x509, published])))
  const keys = KeySource.layerJwks({ issuer: domain, url: "https://spire.example.org/bundle" })
  const layer = Workloads.layer(given).pipe(
    Layer.provideMerge(Revocation.layerMemory()),
    Layer.provide(keys),
    Layer.provide(egress)
  )
  const context = yield* Layer.build(layer)
  const now = yield* goodClaims
  const signed = (claims: object = {}, header: Readonly<Record<string, unknown>> = {}) =>
    sign(pair, { sub: workload, aud: ["reports"], exp: now.exp ?? 0, ...claims }, { typ: undefined, ...header })
  return {
    ...Context.get(context, Workloads),
    revocation: Context.get(context, Revocation.Revocation),
    signed,
    context
  }
})

describe("JWT-SVIDs", () => {
  it.effect("[K-28 A5] a token without iss and typ is accepted, by a key of a SPIFFE bundle", () =>
    Effect.gen(function*() {
      const { signed, validate } = yield* scene()
      const { claims, registered } = yield* validate(yield* signed())
      assert.strictEqual(claims.sub, workload)
      assert.strictEqual(registered.iss, domain)
      for (const typ of ["JWT", "JOSE"]) yield* validate(yield* signed({}, { typ }))
      yield* validate(yield* signed({ iss: domain, iat: 0 }))
      assert.deepStrictEqual(yield* reasonOf(validate(yield* signed({}, { typ: "at+jwt" }))), { _tag: "TypeMismatch" })
    }))

  it.effect("[K-28 A5] sub must be the SPIFFE ID of a workload of the trust domain", () =>
    Effect.gen(function*() {
      const { signed, validate } = yield* scene()
      for (const path of ["/a", "/a.b/..c/d_e-F/.g", `/${"x".repeat(2047 - domain.length)}`]) {
        assert.strictEqual((yield* validate(yield* signed({ sub: domain + path }))).registered.sub, domain + path)
      }
      const rejected = { _tag: "ClaimRejected", claim: "sub" } as const
      for (
        const sub of [
          "",
          "/a",
          domain,
          `${domain}/`,
          `${domain}//a`,
          `${domain}/a/`,
          `${domain}/a//b`,
          `${domain}/.`,
          `${domain}/../a`,
          `${domain}/a/..`,
          `${domain}/a/./b`,
          `${domain}/a%2fb`,
          `${domain}/a?b`,
          `${domain}/a#b`,
          `${domain}/a b`,
          `${domain}/\u00e4`,
          `${domain}/a\n`,
          `${domain}/${"x".repeat(2048 - domain.length)}`,
          `${domain}:443/a`,
          `${domain}.evil.example/a`,
          `spiffe://user@${trustDomain}/a`,
          "spiffe://EXAMPLE.org/a",
          "SPIFFE://example.org/a",
          "spiffe://other.org/a",
          "spiffe:/example.org/a",
          "https://example.org/a"
        ]
      ) {
        assert.deepStrictEqual(yield* reasonOf(validate(yield* signed({ sub }))), rejected, sub)
      }
      assert.deepStrictEqual(
        yield* reasonOf(validate(yield* signed({ sub: undefined }))),
        { _tag: "ClaimMissing", claim: "sub" }
      )
    }))

  it.effect("[K-28 A5] [R3] an issuer that a token states must be the trust domain or one of the policy's", () =>
    Effect.gen(function*() {
      const spire = "https://oidc.example.org"
      const { signed, validate } = yield* scene()
      assert.deepStrictEqual(yield* reasonOf(validate(yield* signed({ iss: spire }))), { _tag: "IssuerUntrusted" })
      assert.deepStrictEqual(yield* reasonOf(validate(yield* signed({ iss: "" }))), { _tag: "IssuerUntrusted" })
      assert.deepStrictEqual(
        yield* reasonOf(validate(yield* signed({ iss: null }))),
        { _tag: "ClaimInvalid", path: "iss" }
      )
      const named = yield* scene(
        "jwt-svid",
        ValidationPolicy.spiffe({ trustDomain, audiences: ["reports"], issuers: [spire] })
      )
      assert.strictEqual((yield* named.validate(yield* named.signed({ iss: spire }))).registered.iss, spire)
      yield* named.validate(yield* named.signed())
    }))

  it.effect("[K-28 A5] aud and exp are required, and only algorithms of JWT-SVIDs are accepted", () =>
    Effect.gen(function*() {
      const { signed, validate } = yield* scene()
      assert.deepStrictEqual(yield* reasonOf(validate(yield* signed({ aud: [] }))), { _tag: "AudienceMismatch" })
      for (const claim of ["aud", "exp"]) {
        assert.deepStrictEqual(
          yield* reasonOf(validate(yield* signed({ [claim]: undefined }))),
          { _tag: "ClaimMissing", claim }
        )
      }
      const pair = yield* pairOf("EdDSA")
      const token = yield* sign(pair, { sub: workload, aud: "reports", exp: 3600 }, { typ: undefined })
      assert.deepStrictEqual(yield* reasonOf(validate(token)), { _tag: "AlgorithmUnsupported" })
    }))

  it.effect("[K-28 A5] keys of a bundle verify JWT-SVIDs only: no other policy accepts them", () =>
    Effect.gen(function*() {
      const pair = yield* pairOf("ES256")
      const claims = { ...yield* goodClaims, iss: domain, aud: "reports", sub: workload }
      const { egress } = makeProvider(documentOf(bundleOf([x509, { ...pair.publicJwk, use: "jwt-svid" }])))
      const options = { issuers: [domain], audiences: ["reports"], algorithms: ["ES256"] } as const
      const cached = KeySource.layerJwks({ issuer: domain, url: "https://spire.example.org/bundle" })
      const key = { algorithm: "ES256", jwk: { ...pair.publicJwk, use: "jwt-svid" } } as const
      const sources = [cached, StaticKeys.layer({ issuers: [domain], keys: [key] })]
      for (const source of sources) {
        const layer = Layer.mergeAll(
          Others.layer(ValidationPolicy.jwt(options)),
          Layer.provide(Workloads.layer(policy), Revocation.layerMemory())
        )
        const context = yield* Layer.build(layer.pipe(Layer.provide(source), Layer.provide(egress)))
        // In both orders: what one finds must not be remembered for the other.
        for (const kid of [pair.kid, undefined]) {
          const token = yield* sign(pair, claims, { typ: "JWT", kid })
          const others = () => reasonOf(Context.get(context, Others).validate(token))
          const reason = { _tag: "KeyNotFound", reason: kid === undefined ? "unknown" : "mismatched" } as const
          assert.deepStrictEqual(yield* others(), reason)
          yield* Context.get(context, Workloads).validate(token)
          assert.deepStrictEqual(yield* others(), reason)
        }
      }
    }))

  it.effect.each(["sig", undefined])(
    "[K-28 A5] keys with the use %s verify JWT-SVIDs too, as SPIRE's discovery provider publishes them",
    (use) =>
      Effect.gen(function*() {
        const { signed, validate } = yield* scene(use)
        yield* validate(yield* signed())
      })
  )

  it.effect.each(["x509-svid", "enc", "JWT-SVID", "wit-svid", ""])(
    "[K-28 A5] a key with the use %s verifies nothing",
    (use) =>
      Effect.gen(function*() {
        const { signed, validate } = yield* scene(use)
        assert.strictEqual((yield* reasonOf(validate(yield* signed())))._tag, "KeysUnavailable")
      })
  )

  it.effect("[K-28 A5] a workload is revoked by the trust domain, where its tokens state no issuer", () =>
    Effect.gen(function*() {
      const { revocation, signed, validate } = yield* scene()
      const token = yield* signed({ jti: "1" })
      const { registered } = yield* validate(token)
      yield* revocation.revoke({ issuer: registered.iss, jti: "1" }, yield* inAnHour)
      assert.deepStrictEqual(yield* reasonOf(validate(token)), { _tag: "TokenRevoked" })
    }))

  it.effect("[K-28 A5] [R8] an explanation names the expected SPIFFE ID", () =>
    Effect.gen(function*() {
      const { context, signed } = yield* scene()
      const token = yield* signed({ sub: "spiffe://other.org/a" })
      const { accepted, checks, guide, reason } = yield* Effect.provide(Explain.explain(Workloads, token), context)
      assert.isFalse(accepted)
      assert.strictEqual(guide, "https://keelson.dev/docs/guides/identity-providers#spiffe")
      assert.deepStrictEqual(reason, { _tag: "ClaimRejected", claim: "sub" })
      assert.deepInclude(checks.find(({ status }) => status === "fail"), {
        name: "spiffeId",
        expected: `sub is the SPIFFE ID of a workload of "${trustDomain}"`
      })
      const good = yield* Effect.provide(Explain.explain(Workloads, yield* signed()), context)
      assert.isTrue(good.accepted)
    }))

  it("[K-28 A5] the options of a policy name the trust domain once, and only for JWT-SVIDs", () => {
    const options = { audiences: ["a"], algorithms: ["ES256"], issuers: [domain] } as const
    const messageOf = (more: Partial<ValidationPolicy.Options>): string => {
      try {
        ValidationPolicy.make({ ...options, ...more })
      } catch (error) {
        return error instanceof Error ? error.message : ""
      }
      return "accepted"
    }
    assert.strictEqual(messageOf({ profile: "spiffe", trustDomain }), "accepted")
    assert.include(messageOf({ profile: "spiffe" }), "trustDomain must be given, since profile is spiffe")
    assert.include(messageOf({ trustDomain }), "trustDomain must be left out, unless profile is spiffe")
    const elsewhere = { profile: "spiffe", trustDomain, issuers: ["https://idp.example"] } as const
    assert.include(messageOf(elsewhere), "issuers.0 must be spiffe://example.org, the SPIFFE ID of trustDomain")
    const template = { template: "https://idp.example/{tenantid}", tenants: ["a"] }
    assert.include(messageOf({ profile: "spiffe", trustDomain, issuers: [domain, template] }), "issuers.1")
    for (const name of ["", "Example.org", "spiffe://example.org", "example.org/", "ex ample", "x".repeat(256)]) {
      assert.include(messageOf({ profile: "spiffe", trustDomain: name }), "trustDomain must be a trust domain")
    }
  })

  it.effect("[K-28 A5] a policy from data finds the keys of its trust domain for all of its issuers", () =>
    Effect.gen(function*() {
      const pair = yield* pairOf("ES256")
      const options: ValidatorOptions.Options = {
        ...ValidationPolicy.spiffe({ trustDomain, audiences: ["reports"], issuers: ["https://oidc.example.org"] }),
        jwks: { url: "https://spire.example.org/bundle" }
      }
      const { egress } = makeProvider(documentOf(bundleOf([{ ...pair.publicJwk, use: "jwt-svid" }])))
      const context = yield* Layer.build(
        ValidatorOptions.layer(Others, options).pipe(Layer.provide([egress, NodeFileSystem.layer]))
      )
      const { validate } = Context.get(context, Others)
      const claims = { sub: workload, aud: "reports", exp: (yield* goodClaims).exp ?? 0 }
      for (const iss of [undefined, domain, "https://oidc.example.org"]) {
        yield* validate(yield* sign(pair, { ...claims, ...(iss === undefined ? {} : { iss }) }, { typ: "JWT" }))
      }
    }))
})
