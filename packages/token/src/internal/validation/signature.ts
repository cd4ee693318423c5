import * as Context from "effect/Context"
import * as Predicate from "effect/Predicate"

/**
 * Returns whether `signature` is a valid signature of the bytes in `signed`. Returns false if `key` was not imported for the
 * algorithm `alg`.
 */
export type VerifySignature = (
  alg: string,
  key: CryptoKey,
  signature: Uint8Array<ArrayBuffer>,
  signed: Uint8Array<ArrayBuffer>
) => Promise<boolean>

type Parameters = AlgorithmIdentifier | RsaPssParams | EcdsaParams

/**
 * The parameters that WebCrypto takes for an algorithm, and the hash or curve that the key must have. WebCrypto does not check
 * that hash or curve itself.
 */
interface Method {
  readonly parameters: Parameters
  readonly hash?: string
  readonly curve?: string
}

const rsa = (hash: string): Method => ({ parameters: "RSASSA-PKCS1-v1_5", hash })
const pss = (hash: string, saltLength: number): Method => ({ parameters: { name: "RSA-PSS", saltLength }, hash })
const ecdsa = (hash: string, curve: string): Method => ({ parameters: { name: "ECDSA", hash }, curve })
const ed25519: Method = { parameters: "Ed25519" }
const hmac = (hash: string): Method => ({ parameters: "HMAC", hash })

/** All supported algorithms (RFC 7518, 3.1; RFC 8037, 3.1). */
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

/** Whether a key has the hash or curve of a method. WebCrypto checks the key's type itself. */
const matches = ({ algorithm }: CryptoKey, { curve, hash }: Method): boolean =>
  (curve === undefined || (Predicate.hasProperty(algorithm, "namedCurve") && algorithm.namedCurve === curve)) &&
  (hash === undefined ||
    (Predicate.hasProperty(algorithm, "hash") && Predicate.hasProperty(algorithm.hash, "name") &&
      algorithm.hash.name === hash))

/**
 * Verifies with WebCrypto, which runs on other threads. A key verifies only signatures of the algorithm that it was imported
 * for, even if the token names another one (RFC 8725, 3.1).
 */
const verifyWithWebCrypto: VerifySignature = async (alg, key, signature, signed) => {
  const method = methods.get(alg)
  if (method === undefined || !matches(key, method)) return false
  try {
    return await crypto.subtle.verify(method.parameters, key, signature, signed)
  } catch {
    return false
  }
}

/** Verifies signatures. Tests in virtual time replace this with a synchronous implementation. */
export const SignatureVerifier = Context.Reference<VerifySignature>("@keelson/token/internal/SignatureVerifier", {
  defaultValue: () => verifyWithWebCrypto
})
