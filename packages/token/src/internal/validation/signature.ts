import * as Context from "effect/Context"
import * as Predicate from "effect/Predicate"

/** Whether a signature over bytes is one of a key's, by an algorithm that the key was imported for. */
export type VerifySignature = (
  alg: string,
  key: CryptoKey,
  signature: Uint8Array<ArrayBuffer>,
  signed: Uint8Array<ArrayBuffer>
) => Promise<boolean>

type Parameters = AlgorithmIdentifier | RsaPssParams | EcdsaParams

/** What WebCrypto does for an algorithm, and what of the key it would not look at: its hash, or its curve. */
interface Method {
  readonly how: Parameters
  readonly hash?: string
  readonly curve?: string
}

const rsa = (hash: string): Method => ({ how: "RSASSA-PKCS1-v1_5", hash })
const pss = (hash: string, saltLength: number): Method => ({ how: { name: "RSA-PSS", saltLength }, hash })
const ecdsa = (hash: string, curve: string): Method => ({ how: { name: "ECDSA", hash }, curve })
const ed25519: Method = { how: "Ed25519" }
const hmac = (hash: string): Method => ({ how: "HMAC", hash })

/** Every algorithm (RFC 7518, 3.1; RFC 8037, 3.1). */
const methods: ReadonlyMap<string, Method> = new Map([
  ["RS256", rsa("SHA-256")],
  ["RS384", rsa("SHA-384")],
  ["RS512", rsa("SHA-512")],
  ["PS256", pss("SHA-256", 32)],
  ["PS384", pss("SHA-384", 48)],
  ["PS512", pss("SHA-512", 64)],
  ["ES256", ecdsa("SHA-256", "P-256")],
  ["ES384", ecdsa("SHA-384", "P-384")],
  ["ES512", ecdsa("SHA-512", "P-521")],
  ["EdDSA", ed25519],
  ["Ed25519", ed25519],
  ["HS256", hmac("SHA-256")],
  ["HS384", hmac("SHA-384")],
  ["HS512", hmac("SHA-512")]
])

/** The hash or curve of a key; its kind WebCrypto looks at itself. */
const isOf = ({ algorithm }: CryptoKey, { curve, hash }: Method): boolean =>
  (curve === undefined || (Predicate.hasProperty(algorithm, "namedCurve") && algorithm.namedCurve === curve)) &&
  (hash === undefined ||
    (Predicate.hasProperty(algorithm, "hash") && Predicate.hasProperty(algorithm.hash, "name") &&
      algorithm.hash.name === hash))

/**
 * Verifies with WebCrypto, whose work runs on other threads. Whatever the source of a key says of it, it verifies the one
 * algorithm that it was imported for (RFC 8725, 3.1).
 */
const verifyWithWebCrypto: VerifySignature = async (alg, key, signature, signed) => {
  const method = methods.get(alg)
  if (method === undefined || !isOf(key, method)) return false
  try {
    return await crypto.subtle.verify(method.how, key, signature, signed)
  } catch {
    return false
  }
}

/** How signatures are verified: tests in virtual time have it answer without threads. */
export const SignatureVerifier = Context.Reference<VerifySignature>("@keelson/token/internal/SignatureVerifier", {
  defaultValue: () => verifyWithWebCrypto
})
