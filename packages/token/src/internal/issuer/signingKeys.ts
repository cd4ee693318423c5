import * as Effect from "effect/Effect"
import type { JWK } from "jose"
import { exportJWK } from "jose/key/export"
import { generateKeyPair } from "jose/key/generate/keypair"

/** A key that a test issuer signs with. */
export interface SigningKey {
  readonly kid: string
  readonly alg: string
  readonly privateKey: CryptoKey
  /** As published: with `kid`, `alg` and `use`. */
  readonly publicJwk: JWK
}

/** Generates a key. An RSA key takes up to a second. */
export const makeSigningKey = (alg: string, kid: string, use: string): Effect.Effect<SigningKey> =>
  Effect.promise(async () => {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
    return { kid, alg, privateKey, publicJwk: { ...await exportJWK(publicKey), kid, alg, use } }
  })
