/** Key pairs of every algorithm, tokens that jose signs with them, and key sources. */
import { StaticKeys } from "@keelson/jwks"
import { pairOf } from "@keelson/testing/tokens"
import { Effect, Redacted } from "effect"
import { type JWTPayload, SignJWT } from "jose"
import type { ValidationPolicy } from "../../src/index.ts"

type Algorithm = ValidationPolicy.Algorithm
type SecretAlgorithm = Extract<Algorithm, `HS${string}`>

const secret = "a secret of the tests that is long enough for every one of the hashes, 64 bytes"

const isSecret = (alg: Algorithm): alg is SecretAlgorithm => alg.startsWith("HS")

/** Signs a token with jose. */
export const signedBy = (
  alg: Algorithm,
  claims: JWTPayload,
  header: Readonly<Record<string, unknown>>
): Effect.Effect<string> =>
  Effect.gen(function*() {
    const key = isSecret(alg) ? new TextEncoder().encode(secret) : (yield* pairOf(alg)).privateKey
    return yield* Effect.promise(() => new SignJWT(claims).setProtectedHeader({ ...header, alg }).sign(key))
  })

/** A key source with the key of one algorithm, for some issuers. */
export const sourceOf = (alg: Algorithm, issuers: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const key = isSecret(alg)
      ? { id: "key", algorithm: alg, secret: Redacted.make(secret) }
      : { id: "key", algorithm: alg, jwk: { ...(yield* pairOf(alg)).publicJwk, kid: "key" } }
    return StaticKeys.layer({ issuers, keys: [key] })
  })
