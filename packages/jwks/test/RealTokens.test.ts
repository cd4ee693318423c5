import { assert, describe, it } from "@effect/vitest"
import { errorOf } from "@keelson/testing/exits"
import { type Cache, cacheAt, keyOrigin, sending } from "@keelson/testing/keyOrigin"
import { Effect } from "effect"
import { compactVerify, exportJWK, generateKeyPair, importJWK, type JWK, SignJWT } from "jose"
import type { KeySource } from "../src/index.ts"

/** A pair made for an algorithm, its public part as it is published. */
const pairOf = (alg: string, members: JWK) =>
  Effect.promise(async () => {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
    return { secret: await exportJWK(privateKey), published: { ...await exportJWK(publicKey), ...members } }
  })

/** A set of four keys that can be used, the last of which has no name, and of three that cannot. */
const mixed = Effect.gen(function*() {
  const rsa = yield* pairOf("RS256", { kid: "rsa", use: "sig" })
  const p256 = yield* pairOf("ES256", { kid: "p256", alg: "ES256" })
  const p384 = yield* pairOf("ES384", { kid: "p384" })
  const ed = yield* pairOf("EdDSA", { kid: "ed", alg: "EdDSA", use: "sig" })
  const leaked = yield* pairOf("ES256", {})
  const document = [
    { kty: "AKP", alg: "ML-DSA-44", kid: "pq", use: "sig", pub: Buffer.alloc(1312, 1).toString("base64url") },
    rsa.published,
    { kty: "oct", kid: "shared", alg: "HS256", k: Buffer.alloc(32, 1).toString("base64url") },
    p256.published,
    { ...leaked.secret, kid: "leaked" },
    p384.published,
    ed.published
  ]
  return { rsa, p256, p384, ed, document }
})

const at = (document: ReadonlyArray<JWK>) =>
  Effect.flatMap(keyOrigin(sending(JSON.stringify({ keys: document }))), (origin) => cacheAt(origin))

const signed = (secret: JWK, { alg, kid }: KeySource.JoseHeader) =>
  Effect.promise(async () =>
    new SignJWT({ sub: "user" })
      .setProtectedHeader({ alg, ...(kid === undefined ? undefined : { kid }) })
      .sign(await importJWK(secret, alg))
  )

/** Which candidates of a header verify a token that was signed with a key, in their order. */
const verifying = Effect.fnUntraced(function*(cache: Cache, secret: JWK, header: KeySource.JoseHeader) {
  const token = yield* signed(secret, header)
  return yield* Effect.forEach(
    yield* cache.find(header),
    ({ key }) => Effect.isSuccess(Effect.tryPromise(() => compactVerify(token, key, { algorithms: [header.alg] })))
  )
})

const signers = [
  ["RS256", "rsa"],
  ["PS256", "rsa"],
  ["ES256", "p256"],
  ["ES384", "p384"],
  ["EdDSA", "ed"],
  ["Ed25519", "ed"]
] as const

describe("JwksCache and tokens, over HTTP", () => {
  it.live("[K-24] [S1-25] every algorithm verifies with a set that also contains ML-DSA, symmetric and private keys", () =>
    Effect.gen(function*() {
      const keys = yield* mixed
      const cache = yield* at(keys.document)
      for (const [alg, kid] of signers) {
        assert.deepStrictEqual(yield* verifying(cache, keys[kid].secret, { alg, kid }), [true], alg)
        assert.deepStrictEqual(yield* verifying(cache, keys[kid].secret, { alg }), [true], alg)
      }
      assert.deepInclude(yield* cache.status, {
        keys: 4,
        skipped: [{ index: 0, reason: "type" }, { index: 2, reason: "symmetric" }, { index: 4, reason: "private" }]
      })
    }))

  it.live("[K-24] [S1-25] keys that are skipped verify nothing, whatever a token says", () =>
    Effect.gen(function*() {
      const { document } = yield* mixed
      const cache = yield* at(document)
      const headers = [
        { alg: "ML-DSA-44", kid: "pq" },
        { alg: "HS256", kid: "shared" },
        { alg: "HS256", kid: "rsa" },
        { alg: "HS256" },
        { alg: "ES256", kid: "leaked" },
        { alg: "none", kid: "rsa" },
        { alg: "ES384", kid: "p256" },
        { alg: "ES256", kid: "p384" }
      ]
      for (const header of headers) {
        const error = errorOf(yield* Effect.exit(cache.find(header)))
        assert.strictEqual(error.code, "JWKS_KEY_NOT_FOUND", JSON.stringify(header))
      }
    }))

  it.live("[R4] [S1-26] without a key id, or with one that two keys share, the candidates are tried in order", () =>
    Effect.gen(function*() {
      const first = yield* pairOf("ES256", { kid: "same" })
      const second = yield* pairOf("ES256", { kid: "same", alg: "ES256", use: "sig" })
      const unnamed = yield* pairOf("ES256", {})
      const cache = yield* at([unnamed, first, second].map(({ published }) => published))
      assert.deepStrictEqual(yield* verifying(cache, first.secret, { alg: "ES256", kid: "same" }), [false, true])
      assert.deepStrictEqual(yield* verifying(cache, second.secret, { alg: "ES256", kid: "same" }), [true, false])
      assert.deepStrictEqual(yield* verifying(cache, unnamed.secret, { alg: "ES256" }), [false, true, false])
    }))
})
