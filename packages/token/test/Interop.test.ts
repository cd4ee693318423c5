/** Tokens of other implementations: a certified OpenID provider, and two widely used libraries. */
import { assert, describe, it } from "@effect/vitest"
import { KeySource, StaticKeys } from "@keelson/jwks"
import { localEgress, plain } from "@keelson/testing/keyOrigin"
import { oidcProvider, signingKey } from "@keelson/testing/oidcProvider"
import { documentOf, makeProvider } from "@keelson/testing/scriptedProvider"
import { audience, issuer, pairOf, reasonOf, validatorOf } from "@keelson/testing/tokens"
import { Clock, Effect, Layer, Redacted } from "effect"
import { createSigner } from "fast-jwt"
import jsonwebtoken from "jsonwebtoken"
import { createPublicKey, KeyObject } from "node:crypto"
import { ValidationPolicy } from "../src/index.ts"

const publicAlgorithms = ["RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"] as const
type PublicAlgorithm = (typeof publicAlgorithms)[number]

const secret = "a secret of the tests that both sides know, of more than 32 bytes"
const secretKeys = (from = issuer) =>
  StaticKeys.layer({ issuers: [from], keys: [{ id: "key", algorithm: "HS256", secret: Redacted.make(secret) }] })

const policyOf = (alg: PublicAlgorithm | "HS256", from = issuer, to = audience) =>
  ValidationPolicy.accessToken({ issuers: [from], audiences: [to], algorithms: [alg] })

/** A private key in PEM, and key sources of its public key: static, and published by an issuer. */
const keyOf = (alg: PublicAlgorithm) =>
  Effect.map(pairOf(alg), ({ privateKey, publicJwk }) => {
    const { alg: _, kid: __, ...material } = publicJwk
    const pem = createPublicKey({ key: material, format: "jwk" }).export({ type: "spki", format: "pem" }).toString()
    const published = (jwk: object) =>
      Layer.provide(
        KeySource.layerJwks({ issuer, url: `${issuer}/jwks`, ...plain }),
        makeProvider(documentOf(JSON.stringify({ keys: [jwk] }))).egress
      )
    return {
      privatePem: KeyObject.from(privateKey).export({ type: "pkcs8", format: "pem" }).toString(),
      sources: {
        "a PEM": StaticKeys.layer({ issuers: [issuer], keys: [{ id: "key", algorithm: alg, pem }] }),
        "a JWK": StaticKeys.layer({ issuers: [issuer], keys: [{ id: "key", algorithm: alg, jwk: material }] }),
        "a key set": published({ ...material, kid: "key", alg, use: "sig" }),
        "a key set of keys without alg": published({ ...material, kid: "key" })
      }
    }
  })

/** The claims that the libraries sign; they add dates and names themselves. */
const claimsNow = Effect.map(Clock.currentTimeMillis, (millis) => {
  const now = Math.floor(millis / 1000)
  return { iss: issuer, aud: audience, sub: "user-1", client_id: "client-1", jti: "token-1", iat: now, exp: now + 600 }
})
type MadeClaims = Effect.Success<typeof claimsNow>

/** Asserts that a token is accepted, and rejected with another signature. */
const accepts = Effect.fnUntraced(function*(
  token: string,
  policy: ValidationPolicy.Options,
  source: Parameters<typeof validatorOf>[1],
  what: string
) {
  const tokens = yield* validatorOf(policy, source)
  const { claims, registered } = yield* tokens.validate(token)
  assert.isString(claims.client_id, what)
  const other = token.slice(0, -20) + (token.endsWith("A".repeat(20)) ? "B" : "A").repeat(20)
  assert.strictEqual((yield* reasonOf(tokens.validate(other)))._tag, "SignatureInvalid", what)
  return registered
})

const libraries: Readonly<Record<string, (alg: PublicAlgorithm | "HS256", key: string, claims: MadeClaims) => string>> =
  {
    jsonwebtoken: (alg, key, claims) => {
      if (alg === "EdDSA") throw new Error("it has no EdDSA")
      return jsonwebtoken.sign(claims, key, { algorithm: alg, keyid: "key", header: { alg, typ: "at+jwt" } })
    },
    "fast-jwt": (algorithm, key, claims) =>
      createSigner({ algorithm, key, kid: "key", header: { alg: algorithm, typ: "at+jwt" } })(claims)
  }

describe("Tokens of others", () => {
  for (const [library, make] of Object.entries(libraries)) {
    for (const alg of publicAlgorithms.filter((alg) => library !== "jsonwebtoken" || alg !== "EdDSA")) {
      it.live(`[S4-36] [K-08] ${alg} tokens of ${library} pass, by static keys and by key sets`, () =>
        Effect.gen(function*() {
          const { privatePem, sources } = yield* keyOf(alg)
          const token = make(alg, privatePem, yield* claimsNow)
          for (const [what, source] of Object.entries(sources)) {
            assert.strictEqual((yield* accepts(token, policyOf(alg), source, what)).sub, "user-1", what)
          }
        }))
    }
    it.live(`[S4-36] [K-08] HS256 tokens of ${library} pass by a static secret`, () =>
      Effect.gen(function*() {
        const token = make("HS256", secret, yield* claimsNow)
        assert.strictEqual((yield* accepts(token, policyOf("HS256"), secretKeys(), "a secret")).jti, "token-1")
      }))
  }

  for (const alg of publicAlgorithms) {
    it.live(`[S4-36] [S4-38] [K-08] ${alg} access tokens of a real OpenID provider pass, by its discovery and by static keys`, () =>
      Effect.gen(function*() {
        const key = yield* signingKey(alg, "key")
        const provider = yield* oidcProvider([key])
        const token = yield* provider.token(alg)
        const policy = policyOf(alg, provider.issuer, `https://api.example/${alg}`)
        const discovered = Layer.provide(KeySource.layerOidc({ issuer: provider.issuer, ...plain }), localEgress)
        const { crv, e, kty, n, x, y } = key
        const jwk = { crv, e, kty, n, x, y }
        const given = StaticKeys.layer({ issuers: [provider.issuer], keys: [{ id: "key", algorithm: alg, jwk }] })
        for (const source of [discovered, given]) {
          const registered = yield* accepts(token, policy, source, "a real provider")
          assert.deepStrictEqual([registered.client_id, registered.scopes], ["tests", ["read"]])
        }
      }))
  }

  it.live("[S4-36] [K-08] HS256 access tokens of a real OpenID provider pass by a static secret", () =>
    Effect.gen(function*() {
      const provider = yield* oidcProvider([yield* signingKey("RS256", "key")], secret)
      const token = yield* provider.token("HS256")
      const policy = policyOf("HS256", provider.issuer, "https://api.example/HS256")
      const registered = yield* accepts(token, policy, secretKeys(provider.issuer), "a secret")
      assert.strictEqual(registered.client_id, "tests")
    }))
})
