import type * as Jwk from "@keelson/jwks/Jwk"
import type { Candidate } from "@keelson/jwks/unstable/KeySourceTag"
import * as Context from "effect/Context"
import * as Predicate from "effect/Predicate"
import type { ParsedToken } from "./compactJws.ts"
import { makeVerifyWithNode, type VerifyWithNode } from "./nodeSignature.ts"
import { builtin, encodeText, isNode } from "./platform.ts"

/**
 * Returns whether `signature` is a valid signature of the bytes in `signed`, at once or later. Returns false if `key` was not
 * imported for the algorithm `alg`. `jwk` holds the public members of the same key, where its source gives them.
 */
export type VerifySignature = (
  alg: string,
  key: CryptoKey,
  signature: Uint8Array<ArrayBuffer>,
  signed: Uint8Array<ArrayBuffer>,
  jwk?: Jwk.Material
) => boolean | Promise<boolean>

/**
 * The parameters that WebCrypto takes for an algorithm, and the name, hash and curve that the key must have. WebCrypto does
 * not check that hash or curve itself.
 */
interface Method {
  readonly parameters: AlgorithmIdentifier | RsaPssParams | EcdsaParams
  readonly name: string
  readonly hash?: string
  readonly curve?: string
}

const rsa = (hash: string): Method => ({ parameters: "RSASSA-PKCS1-v1_5", name: "RSASSA-PKCS1-v1_5", hash })
const pss = (hash: string, saltLength: number): Method => ({
  parameters: { name: "RSA-PSS", saltLength },
  name: "RSA-PSS",
  hash
})
const ecdsa = (hash: string, curve: string): Method => ({ parameters: { name: "ECDSA", hash }, name: "ECDSA", curve })
const hmac = (hash: string): Method => ({ parameters: "HMAC", name: "HMAC", hash })
const ed25519: Method = { parameters: "Ed25519", name: "Ed25519" }

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

/** Whether a key is for verifying, and has the name, hash and curve of a method. */
const matches = ({ algorithm, usages }: CryptoKey, { curve, hash, name }: Method): boolean =>
  algorithm.name === name && usages.includes("verify") &&
  (curve === undefined || (Predicate.hasProperty(algorithm, "namedCurve") && algorithm.namedCurve === curve)) &&
  (hash === undefined ||
    (Predicate.hasProperty(algorithm, "hash") && Predicate.hasProperty(algorithm.hash, "name") &&
      algorithm.hash.name === hash))

const verifyWithWebCrypto = async (
  { parameters }: Method,
  key: CryptoKey,
  signature: Uint8Array<ArrayBuffer>,
  signed: Uint8Array<ArrayBuffer>
): Promise<boolean> => {
  try {
    return await crypto.subtle.verify(parameters, key, signature, signed)
  } catch {
    return false
  }
}

/**
 * Verifies with node:crypto where it is given and takes the key, else with WebCrypto. A key verifies only signatures of the
 * algorithm that it was imported for, even if the token names another one (RFC 8725, 3.1): that is decided before either.
 */
const verifierWith = (node: VerifyWithNode | undefined): VerifySignature => (alg, key, signature, signed, jwk) => {
  const method = methods.get(alg)
  if (method === undefined || !matches(key, method)) return false
  return node?.(alg, key, signature, signed, jwk) ?? verifyWithWebCrypto(method, key, signature, signed)
}

/** Verifies with WebCrypto, which runs on other threads. */
export const webCrypto: VerifySignature = verifierWith(undefined)

const withNode = makeVerifyWithNode(builtin("node:crypto"))

/** Verifies with node:crypto; `undefined` on a platform without it. */
export const nodeCrypto: VerifySignature | undefined = withNode === undefined ? undefined : verifierWith(withNode)

/** Verifies signatures. Tests in virtual time replace this with a synchronous implementation. */
export const SignatureVerifier = Context.Reference<VerifySignature>("@keelson/token/internal/SignatureVerifier", {
  defaultValue: () => isNode && nodeCrypto !== undefined ? nodeCrypto : webCrypto
})

/**
 * Tries keys in order, and returns the index of the first that verifies the signature; -1 where none does. The result is no
 * promise if no signature was checked on another thread.
 */
export const findVerifyingKey = (
  verifySignature: VerifySignature,
  { header: { alg }, segments, signature }: ParsedToken,
  candidates: ReadonlyArray<Candidate>
): number | Promise<number> => {
  const signed = encodeText(segments.signed)
  const tryFrom = (first: number): number | Promise<number> => {
    for (let index = first; index < candidates.length; index++) {
      const { jwk, key } = candidates[index]!
      const isValid = verifySignature(alg, key, signature, signed, jwk)
      if (typeof isValid !== "boolean") return isValid.then((late) => late ? index : tryFrom(index + 1))
      if (isValid) return index
    }
    return -1
  }
  return tryFrom(0)
}
