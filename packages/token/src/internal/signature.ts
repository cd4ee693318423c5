import { Context } from "effect"

/** Whether a signature over bytes is one of a key's, by an algorithm that the key was imported for. */
export type VerifySignature = (
  alg: string,
  key: CryptoKey,
  signature: Uint8Array<ArrayBuffer>,
  signed: Uint8Array<ArrayBuffer>
) => Promise<boolean>

type Parameters = AlgorithmIdentifier | RsaPssParams | EcdsaParams

const pss = (saltLength: number): Parameters => ({ name: "RSA-PSS", saltLength })
const ecdsa = (hash: string): Parameters => ({ name: "ECDSA", hash })

/** What WebCrypto calls each algorithm; the hash of RSA and HMAC is the key's (RFC 7518, 3.1; RFC 8037, 3.1). */
const parameters: ReadonlyMap<string, Parameters> = new Map<string, Parameters>([
  ["RS256", "RSASSA-PKCS1-v1_5"],
  ["RS384", "RSASSA-PKCS1-v1_5"],
  ["RS512", "RSASSA-PKCS1-v1_5"],
  ["PS256", pss(32)],
  ["PS384", pss(48)],
  ["PS512", pss(64)],
  ["ES256", ecdsa("SHA-256")],
  ["ES384", ecdsa("SHA-384")],
  ["ES512", ecdsa("SHA-512")],
  ["EdDSA", "Ed25519"],
  ["Ed25519", "Ed25519"],
  ["HS256", "HMAC"],
  ["HS384", "HMAC"],
  ["HS512", "HMAC"]
])

/**
 * Verifies with WebCrypto, whose work runs on other threads. The key brings its type, curve and hash, and refuses another
 * algorithm by itself.
 */
const verifyWithWebCrypto: VerifySignature = async (alg, key, signature, signed) => {
  const how = parameters.get(alg)
  if (how === undefined) return false
  try {
    return await crypto.subtle.verify(how, key, signature, signed)
  } catch {
    return false
  }
}

/** How signatures are verified: tests in virtual time have it answer without threads. */
export const SignatureVerifier = Context.Reference<VerifySignature>("@keelson/token/internal/SignatureVerifier", {
  defaultValue: () => verifyWithWebCrypto
})
