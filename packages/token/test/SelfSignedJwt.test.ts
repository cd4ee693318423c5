import { assert, describe, it } from "@effect/vitest"
import { KeelsonError } from "@keelson/core"
import { recording } from "@keelson/testing/observe"
import { Effect, Random, Redacted } from "effect"
import { decodeJwt, decodeProtectedHeader, generateKeyPair, jwtVerify } from "jose"
import { RefreshPolicy, SelfSignedJwt, TokenProvider } from "../src/index.ts"
import { textOf } from "./tokenSupport.ts"

const pair = Effect.promise(() => generateKeyPair("RS256"))
const claims = { alg: "RS256", issuer: "ACCOUNT.USER.SHA256:x", subject: "ACCOUNT.USER" } as const

const providerOf = (options: SelfSignedJwt.Options) =>
  TokenProvider.make({ name: "warehouse", source: SelfSignedJwt.make(options), policy: RefreshPolicy.selfSigned })

describe("SelfSignedJwt", () => {
  it.live("[S2-27] signs tokens with the given claims and lifetime, and a strictly increasing iat", () => {
    const { record } = recording()
    return Effect.gen(function*() {
      const { privateKey, publicKey } = yield* pair
      const keys = { key: privateKey, kid: "k1" }
      const provider = yield* providerOf({
        ...claims,
        keys,
        audience: "api",
        claims: { role: "loader" },
        lifetime: "10 minutes"
      })
      const tokens = [yield* provider.get, yield* provider.refresh, yield* provider.refresh]
      for (const token of tokens) {
        const { payload } = yield* Effect.promise(() => jwtVerify(textOf(token), publicKey, { audience: "api" }))
        assert.deepInclude(payload, { iss: claims.issuer, sub: claims.subject, role: "loader" })
        assert.strictEqual((payload.exp ?? 0) - (payload.iat ?? 0), 600)
        assert.strictEqual(token.expiresAt.wall - token.issuedAt.wall, 600_000)
      }
      assert.deepStrictEqual(decodeProtectedHeader(textOf(tokens[0]!)), { alg: "RS256", typ: "JWT", kid: "k1" })
      const iats = tokens.map((token) => decodeJwt(textOf(token)).iat ?? 0)
      assert.isTrue(iats[0]! < iats[1]! && iats[1]! < iats[2]!)
    }).pipe(Effect.scoped, record)
  })

  for (const [asked, used] of [["1 second", 30], ["2 hours", 3600]] as const) {
    it.live(`[S2-27] a lifetime of ${asked} is clamped to ${used} s, with a warning`, () => {
      const { lines, record } = recording()
      return Effect.gen(function*() {
        const { privateKey } = yield* pair
        const provider = yield* providerOf({ ...claims, keys: { key: privateKey }, lifetime: asked })
        const token = yield* provider.get
        assert.strictEqual((token.expiresAt.wall - token.issuedAt.wall) / 1000, used)
        assert.isNotEmpty(
          lines.filter((line) => line.includes("WARN") && line.includes("clamped to the allowed range"))
        )
      }).pipe(Effect.scoped, record)
    })
  }

  it.effect("[S2-27] a seed of Random does not determine the jti", () =>
    Effect.gen(function*() {
      const { privateKey } = yield* pair
      const { acquire } = SelfSignedJwt.make({ ...claims, keys: { key: privateKey } })
      const seeded = Random.withSeed(acquire, "the same seed")
      const [first, second] = [yield* seeded, yield* seeded].map(({ accessToken }) =>
        decodeJwt(Redacted.value(accessToken)).jti
      )
      assert.match(first ?? "", /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
      assert.notStrictEqual(first, second)
    }))

  it.live("a key that cannot sign or cannot be read fails with KEY_INVALID", () => {
    const { record } = recording()
    return Effect.gen(function*() {
      const { publicKey } = yield* pair
      for (const keys of [{ key: publicKey }, Effect.fail("the file with the key is gone")]) {
        const provider = yield* providerOf({ ...claims, keys })
        assert.strictEqual((yield* Effect.flip(provider.get)).code, "KEY_INVALID")
      }
    }).pipe(Effect.scoped, record)
  })

  it.live("make throws on options out of range", () =>
    Effect.gen(function*() {
      const { privateKey } = yield* pair
      const keys = { key: privateKey }
      assert.throws(
        () => SelfSignedJwt.make({ ...claims, keys, issuer: "" }),
        KeelsonError.ConfigurationError,
        "issuer"
      )
      assert.throws(() => SelfSignedJwt.make({ ...claims, keys, lifetime: "25 hours" }), /lifetime/)
    }))
})
