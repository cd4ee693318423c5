import { assert, describe, it } from "@effect/vitest"
import { goodClaims, issuer, keysOf, pairOf, reasonOf, sign } from "@keelson/testing/tokens"
import { Context, Effect, Layer, Redacted } from "effect"
import { base64url } from "jose"
import { Claims, TokenValidator, ValidationPolicy } from "../src/index.ts"

class Logins extends TokenValidator.Service<Logins>()("test/Logins", { claims: Claims.IdToken }) {}

const policy = ValidationPolicy.idToken({
  issuers: [issuer],
  audiences: ["web"],
  algorithms: ["ES256", "EdDSA", "RS256"]
})

const scene = Effect.fnUntraced(
  function*(more: Partial<ValidationPolicy.Options> = {}, alg: "ES256" | "EdDSA" = "ES256") {
    const pair = yield* pairOf(alg)
    const logins = Context.get(
      yield* Layer.build(Layer.provide(Logins.layer({ ...policy, ...more }), keysOf([pair]))),
      Logins
    )
    const claims = yield* goodClaims
    const signed = (changes: Readonly<Record<string, unknown>> = {}, typ: string | undefined = "JWT") =>
      sign(pair, { ...claims, aud: "web", nonce: "n-1", ...changes }, { typ })
    return { logins, signed }
  }
)

describe("ID tokens", () => {
  it.effect("[K-08] a nonce must be given, and must match", () =>
    Effect.gen(function*() {
      const { logins, signed } = yield* scene()
      const token = yield* signed()
      assert.strictEqual((yield* logins.validateWith(token, { nonce: "n-1" })).claims.nonce, "n-1")
      const rejected = { _tag: "ClaimRejected", claim: "nonce" } as const
      assert.deepStrictEqual(yield* reasonOf(logins.validate(token)), rejected)
      assert.deepStrictEqual(yield* reasonOf(logins.validateWith(token, {})), rejected)
      assert.deepStrictEqual(yield* reasonOf(logins.validateWith(token, { nonce: "n-2" })), rejected)
      const without = yield* signed({ nonce: undefined })
      assert.deepStrictEqual(
        yield* reasonOf(logins.validateWith(without, { nonce: "n-1" })),
        { _tag: "ClaimMissing", claim: "nonce" }
      )
    }))

  it.effect("[K-08] an optional nonce is checked where the call gives one", () =>
    Effect.gen(function*() {
      const { logins, signed } = yield* scene({ nonce: "optional" })
      const token = yield* signed()
      assert.strictEqual((yield* logins.validate(token)).claims.sub, "user-1")
      assert.strictEqual((yield* logins.validate(yield* signed({ nonce: undefined }))).claims.sub, "user-1")
      assert.strictEqual((yield* reasonOf(logins.validateWith(token, { nonce: "n-2" })))._tag, "ClaimRejected")
    }))

  it.effect("[K-28 B1] azp of another client and several audiences are accepted, unless the policy names the authorized parties", () =>
    Effect.gen(function*() {
      const { logins, signed } = yield* scene({ nonce: "optional" })
      // Google signs tokens for a server with the id of the Android client in azp; Dex those of trusted peers.
      assert.strictEqual((yield* logins.validate(yield* signed({ azp: "android" }))).claims.azp, "android")
      assert.strictEqual((yield* logins.validate(yield* signed({ aud: ["web", "other"] }))).claims.azp, undefined)
      const named = yield* scene({ nonce: "optional", authorizedParties: ["android", "ios"] })
      assert.strictEqual((yield* named.logins.validate(yield* named.signed({ azp: "ios" }))).claims.azp, "ios")
      const several = { aud: ["web", "other"], azp: "android" }
      assert.strictEqual((yield* named.logins.validate(yield* named.signed(several))).claims.azp, "android")
      const rejected = { _tag: "ClaimRejected", claim: "azp" } as const
      for (const azp of ["web", "other", "Android", "", null, ["android"], 1]) {
        assert.deepStrictEqual(yield* reasonOf(named.logins.validate(yield* named.signed({ azp }))), rejected)
      }
      const missing = { _tag: "ClaimMissing", claim: "azp" } as const
      assert.deepStrictEqual(yield* reasonOf(named.logins.validate(yield* named.signed())), missing)
    }))

  it.effect("[K-08] at_hash must match the access token", () =>
    Effect.gen(function*() {
      for (const [alg, hash] of [["ES256", "SHA-256"], ["EdDSA", "SHA-512"]] as const) {
        const { logins, signed } = yield* scene({ nonce: "optional" }, alg)
        const accessToken = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"
        const digest = yield* Effect.promise(() => crypto.subtle.digest(hash, new TextEncoder().encode(accessToken)))
        const half = base64url.encode(new Uint8Array(digest).subarray(0, digest.byteLength / 2))
        // The example of OpenID Connect Core 1.0, A.3.
        if (hash === "SHA-256") assert.strictEqual(half, "77QmUPtjPfzWtF2AnpK9RQ")
        const token = yield* signed({ at_hash: half })
        const validated = yield* logins.validateWith(token, { accessToken: Redacted.make(accessToken) })
        assert.strictEqual(validated.claims.at_hash, half)
        assert.deepStrictEqual(
          yield* reasonOf(logins.validateWith(token, { accessToken: `${accessToken}x` })),
          { _tag: "ClaimRejected", claim: "at_hash" }
        )
        const wiped = Redacted.make(accessToken)
        Redacted.wipeUnsafe(wiped)
        assert.deepStrictEqual(
          yield* reasonOf(logins.validateWith(token, { accessToken: wiped })),
          { _tag: "ClaimRejected", claim: "at_hash" }
        )
        assert.deepStrictEqual(
          yield* reasonOf(logins.validateWith(yield* signed(), { accessToken })),
          { _tag: "ClaimMissing", claim: "at_hash" }
        )
      }
    }))

  it.effect("[K-28 I4] c_hash must match the code, by the hash function of the signature algorithm", () =>
    Effect.gen(function*() {
      const code = "Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk"
      for (const [alg, hash] of [["ES256", "SHA-256"], ["EdDSA", "SHA-512"]] as const) {
        const { logins, signed } = yield* scene({ nonce: "optional" }, alg)
        const digest = yield* Effect.promise(() => crypto.subtle.digest(hash, new TextEncoder().encode(code)))
        const half = base64url.encode(new Uint8Array(digest).subarray(0, digest.byteLength / 2))
        // The example of OpenID Connect Core 1.0, A.4 and A.6.
        if (hash === "SHA-256") assert.strictEqual(half, "LDktKdoQak3Pk0cnXxCltA")
        const token = yield* signed({ c_hash: half })
        for (const given of [code, Redacted.make(code)]) {
          assert.strictEqual((yield* logins.validateWith(token, { code: given })).claims.c_hash, half)
        }
        const rejected = { _tag: "ClaimRejected", claim: "c_hash" } as const
        assert.deepStrictEqual(yield* reasonOf(logins.validateWith(token, { code: `${code}x` })), rejected)
        assert.deepStrictEqual(yield* reasonOf(logins.validateWith(token, { code: "" })), rejected)
        const wiped = Redacted.make(code)
        Redacted.wipeUnsafe(wiped)
        assert.deepStrictEqual(yield* reasonOf(logins.validateWith(token, { code: wiped })), rejected)
        // OpenID Connect Core 1.0, 3.3.2.11: required with a code, and not checked without one.
        assert.deepStrictEqual(
          yield* reasonOf(logins.validateWith(yield* signed(), { code })),
          { _tag: "ClaimMissing", claim: "c_hash" }
        )
        assert.strictEqual((yield* logins.validate(yield* signed({ c_hash: "another" }))).claims.c_hash, "another")
      }
    }))

  it.effect("[K-28 I4] with an access token and a code both hashes must match, also of a cached token", () =>
    Effect.gen(function*() {
      const { logins, signed } = yield* scene({ nonce: "optional" })
      const hashes = { at_hash: "77QmUPtjPfzWtF2AnpK9RQ", c_hash: "LDktKdoQak3Pk0cnXxCltA" }
      const accessToken = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"
      const code = "Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk"
      const token = yield* signed(hashes)
      yield* logins.validateWith(token, { accessToken, code })
      const claimOf = (options: TokenValidator.ValidateOptions) =>
        Effect.map(reasonOf(logins.validateWith(token, options)), (reason) => "claim" in reason ? reason.claim : "")
      assert.strictEqual(yield* claimOf({ accessToken: code, code: accessToken }), "at_hash")
      assert.strictEqual(yield* claimOf({ accessToken, code: accessToken }), "c_hash")
      assert.strictEqual(yield* claimOf({ accessToken: code, code }), "at_hash")
      yield* logins.validateWith(token, { accessToken, code })
    }))

  it.effect("[K-08] an access token is no ID token, nor is a logout token; typ may be left out", () =>
    Effect.gen(function*() {
      const { logins, signed } = yield* scene({ nonce: "optional" })
      for (const typ of ["at+jwt", "application/at+jwt", "logout+jwt", "dpop+jwt", ""]) {
        assert.deepStrictEqual(yield* reasonOf(logins.validate(yield* signed({}, typ))), { _tag: "TypeMismatch" })
      }
      for (const typ of ["JWT", "jwt", "application/JWT"]) {
        assert.strictEqual((yield* logins.validate(yield* signed({}, typ))).claims.sub, "user-1")
      }
    }))
})
