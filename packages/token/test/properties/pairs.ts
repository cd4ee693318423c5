/** Keys of every algorithm, which jose signs with; and sources of them. */
import { StaticKeys } from "@keelson/jwks"
import { pairOf } from "@keelson/testing/tokens"
import { Effect, Redacted } from "effect"
import { type JWTPayload, SignJWT } from "jose"
import type { ValidationPolicy } from "../../src/index.ts"

type Algorithm = ValidationPolicy.Algorithm
type SecretAlgorithm = Extract<Algorithm, `HS${string}`>

const secret = "a secret of the tests that is long enough for every one of the hashes, 64 bytes"

const isSecret = (alg: Algorithm): alg is SecretAlgorithm => alg.startsWith("HS")

/** A token that jose made. */
export const signedBy = (
  alg: Algorithm,
  claims: JWTPayload,
  header: Readonly<Record<string, unknown>>
): Effect.Effect<string> =>
  Effect.gen(function*() {
    const key = isSecret(alg) ? new TextEncoder().encode(secret) : (yield* pairOf(alg)).privateKey
    return yield* Effect.promise(() => new SignJWT(claims).setProtectedHeader({ ...header, alg }).sign(key))
  })

/** The one key of an algorithm, for some issuers. */
export const sourceOf = (alg: Algorithm, issuers: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const key = isSecret(alg)
      ? { id: "key", algorithm: alg, secret: Redacted.make(secret) }
      : { id: "key", algorithm: alg, jwk: { ...(yield* pairOf(alg)).publicJwk, kid: "key" } }
    return StaticKeys.layer({ issuers, keys: [key] })
  })
