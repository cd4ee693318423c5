/** Keys as real providers publish them, and tokens that these keys signed. */
import { assert, describe, it } from "@effect/vitest"
import { JwksError, KeySource, StaticKeys } from "@keelson/jwks"
import { errorOf } from "@keelson/testing/exits"
import { documentOf, makeProvider, url } from "@keelson/testing/scriptedProvider"
import { audience, goodClaims, issuer, type Pair, pairOf, reasonOf, sign, validatorOf } from "@keelson/testing/tokens"
import { Effect, Exit, Layer } from "effect"
import { ValidationPolicy } from "../src/index.ts"

const policy = (issuers: ValidationPolicy.Options["issuers"] = [issuer]) =>
  ValidationPolicy.accessToken({ issuers, audiences: [audience], algorithms: ["RS256", "RS512", "ES256"] })

/** A validator over a published key set. */
const validatorOver = (...keys: ReadonlyArray<unknown>) => {
  const { egress } = makeProvider(documentOf(JSON.stringify({ keys })))
  return validatorOf(policy(), Layer.provide(KeySource.layerJwks({ issuer, url }), egress))
}

const unnamed = ({ publicJwk }: Pair) => {
  const { alg: _, kid: __, ...members } = publicJwk
  return members
}

const pemOf = (pair: Pair) =>
  Effect.promise(async () => {
    const key = await crypto.subtle.importKey(
      "jwk",
      unnamed(pair),
      pair.alg === "RS256" ? { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" } : { name: "ECDSA", namedCurve: "P-256" },
      true,
      ["verify"]
    )
    const der = Buffer.from(await crypto.subtle.exportKey("spki", key))
    return `-----BEGIN PUBLIC KEY-----\n${der.toString("base64")}\n-----END PUBLIC KEY-----`
  })

const standard = (text: string | undefined) => Buffer.from(text ?? "", "base64url").toString("base64")

describe("keys as providers publish them", () => {
  it.live("[K-28 A1] verifies tokens of one RSA key published under two kids", () =>
    Effect.gen(function*() {
      const pair = yield* pairOf("RS256")
      const claims = yield* goodClaims
      const tokens = yield* validatorOver({ ...unnamed(pair), kid: "a" }, { ...unnamed(pair), kid: "b" })
      for (const header of [{ kid: "a" }, { kid: "b" }, { kid: undefined }]) {
        assert.strictEqual((yield* tokens.validate(yield* sign(pair, claims, header))).registered.sub, "user-1")
      }
      const reason = yield* reasonOf(tokens.validate(yield* sign(pair, claims, { kid: "c" })))
      assert.deepStrictEqual(reason, { _tag: "KeyNotFound", reason: "unknown" })
    }))

  it.live("[K-28 A1] verifies tokens of one kid that is published once for each algorithm", () =>
    Effect.gen(function*() {
      const pair = yield* pairOf("RS256")
      const sha512 = yield* Effect.promise(() =>
        crypto.subtle.exportKey("pkcs8", pair.privateKey).then((pkcs8) =>
          crypto.subtle.importKey("pkcs8", pkcs8, { name: "RSASSA-PKCS1-v1_5", hash: "SHA-512" }, false, ["sign"])
        )
      )
      const claims = yield* goodClaims
      const entry = { ...unnamed(pair), kid: "a", use: "sig" }
      const tokens = yield* validatorOver({ ...entry, alg: "RS256" }, { ...entry, alg: "RS512" })
      for (const signer of [pair, { ...pair, alg: "RS512" as const, privateKey: sha512 }]) {
        yield* tokens.validate(yield* sign(signer, claims, { kid: "a" }))
      }
    }))

  it.live("[K-28 A1] [R4] one key under many kids is tried once for a token without a kid", () =>
    Effect.gen(function*() {
      const pair = yield* pairOf("RS256")
      const other = yield* pairOf("RS256", "other")
      const many = ["a", "b", "c", "d", "e", "f"].map((kid) => ({ ...unnamed(pair), kid }))
      const tokens = yield* validatorOver(...many, { ...unnamed(other), kid: "g" })
      for (const signer of [pair, other]) {
        yield* tokens.validate(yield* sign(signer, yield* goodClaims, { kid: undefined }))
      }
    }))

  it.live("[K-28 A2] a static key without id verifies tokens with any kid", () =>
    Effect.gen(function*() {
      const pair = yield* pairOf("RS256")
      const pem = yield* pemOf(pair)
      const tokens = yield* validatorOf(
        policy(),
        StaticKeys.layer({ issuers: [issuer], keys: [{ algorithm: "RS256", pem }] })
      )
      const claims = yield* goodClaims
      for (const kid of ["a", "", "__proto__", undefined]) {
        yield* tokens.validate(yield* sign(pair, claims, { kid }))
      }
      const other = yield* pairOf("RS256", "other")
      const reason = yield* reasonOf(tokens.validate(yield* sign(other, claims, { kid: "a" })))
      assert.deepStrictEqual(reason, { _tag: "SignatureInvalid" })
    }))

  it.live("[K-28 A3] verifies tokens of keys in padded or standard base64", () =>
    Effect.gen(function*() {
      const [rsa, ec] = yield* Effect.all([pairOf("RS256"), pairOf("ES256")])
      const { n } = rsa.publicJwk
      const { x, y } = ec.publicJwk
      const tokens = yield* validatorOver(
        { ...rsa.publicJwk, n: standard(n) },
        { ...ec.publicJwk, x: standard(x), y: standard(y).replace(/=+$/, "") }
      )
      for (const pair of [rsa, ec]) yield* tokens.validate(yield* sign(pair, yield* goodClaims))
    }))

  it.live("[K-28 A3] verifies tokens of keys whose optional members are null (pyjwt#857, Abblix/Oidc.Server#263)", () =>
    Effect.gen(function*() {
      const pair = yield* pairOf("RS256")
      const nothing = { kid: null, alg: null, use: null, key_ops: null, issuer: null, d: null, x5c: null }
      const tokens = yield* validatorOver({ ...unnamed(pair), ...nothing })
      yield* tokens.validate(yield* sign(pair, yield* goodClaims, { kid: undefined }))
    }))

  it.live("[K-28 A3] [R1] a token in padded base64 is refused, whatever its key's form", () =>
    Effect.gen(function*() {
      const pair = yield* pairOf("RS256")
      const { n } = pair.publicJwk
      const tokens = yield* validatorOver({ ...pair.publicJwk, n: standard(n) })
      const token = yield* sign(pair, yield* goodClaims)
      assert.deepStrictEqual(yield* reasonOf(tokens.validate(`${token}==`)), {
        _tag: "TokenMalformed",
        part: "signature",
        problem: "encoding"
      })
    }))

  describe("with an issuer", () => {
    const tenant = "9188040d-6c67-4c5b-b112-36a304b66dad"
    const entra = `https://login.microsoftonline.com/${tenant}/v2.0`
    const template = "https://login.microsoftonline.com/{tenantid}/v2.0"
    const layerOf = (pair: Pair, issuers: ReadonlyArray<string>, keyIssuer: string) =>
      StaticKeys.layer({ issuers, keys: [{ algorithm: "RS256", jwk: { ...pair.publicJwk, issuer: keyIssuer } }] })

    it.live("[K-28 A4] accepts keys of the template for an issuer that is listed plainly, in any case", () =>
      Effect.gen(function*() {
        const pair = yield* pairOf("RS256")
        for (const keyIssuer of [template, template.replace("tenantid", "tenantId"), entra]) {
          const tokens = yield* validatorOf(policy([entra]), layerOf(pair, [entra], keyIssuer))
          for (const claims of [{}, { tid: tenant }]) {
            yield* tokens.validate(yield* sign(pair, { ...yield* goodClaims, iss: entra, ...claims }))
          }
          const foreign = yield* sign(pair, { ...yield* goodClaims, iss: entra, tid: "another" })
          const isListed = keyIssuer === entra
          const reason = isListed ? undefined : { _tag: "KeyNotFound", reason: "mismatched", keyIssuer }
          if (!isListed) assert.deepStrictEqual<unknown>(yield* reasonOf(tokens.validate(foreign)), reason)
        }
      }))

    it.live("[K-28 A4] [R3] rejects a token of another tenant also where it came before the keys did", () =>
      Effect.gen(function*() {
        const pair = yield* pairOf("RS256")
        const keys = yield* StaticKeys.make({
          issuers: [entra],
          keys: [{ algorithm: "RS256", jwk: { ...pair.publicJwk, issuer: template } }]
        })
        for (
          const [claims, expected] of [[{ tid: "another" }, "KeyNotFound"], [{ tid: 1 }, "KeyNotFound"], [
            {},
            undefined
          ]] as const
        ) {
          let isDown = true
          const source = Layer.succeed(KeySource.KeySource, {
            find: (...args) => isDown ? Effect.fail(new JwksError.JwksUnavailable()) : keys.find(...args)
          })
          const tokens = yield* validatorOf(policy([entra]), source)
          const token = yield* sign(pair, { ...yield* goodClaims, iss: entra, ...claims })
          assert.strictEqual((yield* reasonOf(tokens.validate(token)))._tag, "KeysUnavailable")
          isDown = false
          const exit = yield* Effect.exit(tokens.validate(token))
          assert.strictEqual(Exit.isFailure(exit) ? errorOf(exit).reason._tag : undefined, expected)
        }
      }))

    it.live("[K-28 A4] accepts keys whose template differs from the policy's in the case of its placeholder", () =>
      Effect.gen(function*() {
        const pair = yield* pairOf("RS256")
        for (const own of [template, template.replace("tenantid", "tenantId")]) {
          for (const keyIssuer of [template, template.replace("tenantid", "tenantId")]) {
            const layer = layerOf(pair, [own], keyIssuer)
            const tokens = yield* validatorOf(policy([{ template: own, tenants: [tenant] }]), layer)
            yield* tokens.validate(yield* sign(pair, { ...yield* goodClaims, iss: entra }))
          }
        }
      }))

    const others = [
      "https://login.microsoftonline.com/{tenantid}/v2.0/",
      "https://login.microsoftonline.com/{tenantid}",
      "https://login.microsoftonline.us/{tenantid}/v2.0",
      "https://login.microsoftonline.com/{tenantid}{tenantid}/v2.0",
      "https://login.microsoftonline.com/{tenant}/v2.0",
      "https://login.microsoftonline.com/9188{tenantid}/v2.0",
      "https://{tenantid}/v2.0",
      "https://{tenantid}",
      "{tenantid}",
      "http{tenantid}v2.0",
      `https://login.microsoftonline.com/${tenant}/{tenantid}/v2.0`
    ]
    for (const keyIssuer of others) {
      it.live(`[K-28 J4] [K-28 A4] [R3] refuses the key of ${keyIssuer}, and names its issuer`, () =>
        Effect.gen(function*() {
          const pair = yield* pairOf("RS256")
          const tokens = yield* validatorOf(policy([entra]), layerOf(pair, [entra], keyIssuer))
          const token = yield* sign(pair, { ...yield* goodClaims, iss: entra })
          const error = yield* Effect.flip(tokens.validate(token))
          assert.deepStrictEqual(error.reason, { _tag: "KeyNotFound", reason: "mismatched", keyIssuer })
          assert.strictEqual(error.message, `The key of the token is published for another issuer: ${keyIssuer}`)
          assert.deepInclude(error.details, { reason: "mismatched", keyIssuer })
        }))
    }

    it.live("[R3] a key of another issuer is not tried, although another key of the same set fits", () =>
      Effect.gen(function*() {
        const [own, foreign] = yield* Effect.all([pairOf("RS256"), pairOf("RS256", "other")])
        const tokens = yield* validatorOver(
          { ...own.publicJwk, issuer },
          { ...foreign.publicJwk, issuer: "https://other.example" }
        )
        const claims = yield* goodClaims
        for (const kid of [undefined, own.kid]) yield* tokens.validate(yield* sign(own, claims, { kid }))
        const unnamed = yield* sign(foreign, claims, { kid: undefined })
        assert.deepStrictEqual(yield* reasonOf(tokens.validate(unnamed)), { _tag: "SignatureInvalid" })
        assert.strictEqual((yield* reasonOf(tokens.validate(yield* sign(foreign, claims))))._tag, "KeyNotFound")
      }))

    it.live("[K-28 J4] [R3] a template of the policy does not widen the issuer of a key", () =>
      Effect.gen(function*() {
        const pair = yield* pairOf("RS256")
        const foreign = "https://other.example/{tenantid}/v2.0"
        const tokens = yield* validatorOf(
          policy([{ template, tenants: [tenant] }]),
          layerOf(pair, [template], foreign)
        )
        const token = yield* sign(pair, { ...yield* goodClaims, iss: entra })
        assert.deepStrictEqual(yield* reasonOf(tokens.validate(token)), {
          _tag: "KeyNotFound",
          reason: "mismatched",
          keyIssuer: foreign
        })
      }))
  })
})
