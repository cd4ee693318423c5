import type * as Jwk from "@keelson/jwks/Jwk"
import type { Candidate } from "@keelson/jwks/unstable/KeySourceTag"
import * as Context from "effect/Context"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type { ParsedToken } from "./compactJws.ts"
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

/** The key object of node:crypto. */
interface KeyObject {
  readonly asymmetricKeyType?: string
  readonly asymmetricKeyDetails?: { readonly modulusLength?: number; readonly namedCurve?: string }
}

interface PssKey {
  readonly key: KeyObject
  readonly padding: number
  readonly saltLength: number
}

/** Checks a signature at once; with a callback, on another thread. */
interface Verify {
  (digest: string | undefined, data: Uint8Array, key: KeyObject | PssKey, signature: Uint8Array): boolean
  (
    digest: string | undefined,
    data: Uint8Array,
    key: KeyObject | PssKey,
    signature: Uint8Array,
    callback: (error: Error | null, isValid: boolean) => void
  ): void
}

/** The part of node:crypto that verifies signatures. */
export interface NodeCrypto {
  readonly createPublicKey: (input: { readonly key: Jwk.Material; readonly format: "jwk" }) => KeyObject
  readonly verify: Verify
}

const isNodeCrypto = (u: unknown): u is NodeCrypto =>
  Predicate.hasProperty(u, "createPublicKey") && Predicate.isFunction(u.createPublicKey) &&
  Predicate.hasProperty(u, "verify") && Predicate.isFunction(u.verify)

/** The DER tags of an integer and of a sequence (X.690, 8.3 and 8.9). */
const [integer, sequence] = [0x02, 0x30]

/** The index of the first byte of a number that is not zero; of its last byte if all are. */
const firstByte = (bytes: Uint8Array, from: number, end: number): number => {
  let at = from
  while (at < end - 1 && bytes[at] === 0) at++
  return at
}

/**
 * The DER form (RFC 3279, 2.2.3) of an ECDSA signature, whose form in a JWS is two numbers of the size of a coordinate (RFC
 * 7518, 3.4). `undefined` for bytes of another size. OpenSSL checks the numbers themselves.
 */
export const ecdsaSignature = (bytes: Uint8Array, coordinate: number): Uint8Array | undefined => {
  if (bytes.length !== 2 * coordinate) return undefined
  const r = firstByte(bytes, 0, coordinate)
  const s = firstByte(bytes, coordinate, bytes.length)
  // A first bit of one would make the number negative.
  const padR = (bytes[r] ?? 0) >> 7
  const padS = (bytes[s] ?? 0) >> 7
  const sizeR = coordinate - r + padR
  const sizeS = bytes.length - s + padS
  const size = sizeR + sizeS + 4
  // A size from 128 on takes a byte more, as for P-521.
  const head = size < 0x80 ? 2 : 3
  const der = new Uint8Array(head + size)
  der[0] = sequence
  if (head === 3) der[1] = 0x81
  der[head - 1] = size
  der[head] = integer
  der[head + 1] = sizeR
  der.set(bytes.subarray(r, coordinate), head + 2 + padR)
  const second = head + 2 + sizeR
  der[second] = integer
  der[second + 1] = sizeS
  der.set(bytes.subarray(s), second + 2 + padS)
  return der
}

/** How node:crypto verifies an algorithm, and the key that it takes. */
interface NodeMethod {
  readonly type: "rsa" | "ec" | "ed25519"
  readonly digest?: string
  /** OpenSSL's name of the curve, and the bytes of a coordinate. */
  readonly curve?: string
  readonly coordinate?: number
  readonly saltLength?: number
}

const nodeEd25519: NodeMethod = { type: "ed25519" }

const nodeMethods: ReadonlyMap<string, NodeMethod> = new Map<string, NodeMethod>([
  ["RS256", { type: "rsa", digest: "sha256" }],
  ["RS384", { type: "rsa", digest: "sha384" }],
  ["RS512", { type: "rsa", digest: "sha512" }],
  ["PS256", { type: "rsa", digest: "sha256", saltLength: 32 }],
  ["PS384", { type: "rsa", digest: "sha384", saltLength: 48 }],
  ["PS512", { type: "rsa", digest: "sha512", saltLength: 64 }],
  ["ES256", { type: "ec", digest: "sha256", curve: "prime256v1", coordinate: 32 }],
  ["ES384", { type: "ec", digest: "sha384", curve: "secp384r1", coordinate: 48 }],
  ["ES512", { type: "ec", digest: "sha512", curve: "secp521r1", coordinate: 66 }],
  ["EdDSA", nodeEd25519],
  ["Ed25519", nodeEd25519]
])

/** RSA_PKCS1_PSS_PADDING of OpenSSL. */
const pssPadding = 6

/** The largest RSA modulus whose signatures are checked at once: that takes less time than handing it to another thread. */
const quickModulus = 4096

/** A key in the form that node:crypto takes. */
interface Prepared {
  readonly method: NodeMethod
  readonly key: KeyObject | PssKey
  readonly isQuick: boolean
}

const prepare = ({ createPublicKey }: NodeCrypto, method: NodeMethod, jwk: Jwk.Material): Prepared | undefined => {
  const made = Result.getOrUndefined(Result.try(() => createPublicKey({ key: jwk, format: "jwk" })))
  const details = made?.asymmetricKeyDetails
  if (made?.asymmetricKeyType !== method.type || details?.namedCurve !== method.curve) return undefined
  const { saltLength } = method
  return {
    method,
    key: saltLength === undefined ? made : { key: made, padding: pssPadding, saltLength },
    isQuick: method.type === "rsa" && (details?.modulusLength ?? Infinity) <= quickModulus
  }
}

/**
 * Verifies with node:crypto. Returns `undefined` where it can't: for secrets, and for keys whose members are not known or
 * which node:crypto does not take.
 */
export type VerifyWithNode = (
  alg: string,
  key: CryptoKey,
  signature: Uint8Array<ArrayBuffer>,
  signed: Uint8Array<ArrayBuffer>,
  jwk: Jwk.Material | undefined
) => boolean | Promise<boolean> | undefined

/**
 * Verification with a crypto module; `undefined` for a module that lacks what it takes.
 *
 * RSA signatures are checked at once, all others on another thread.
 */
export const makeVerifyWithNode = (module: unknown): VerifyWithNode | undefined => {
  if (!isNodeCrypto(module)) return undefined
  const { verify } = module
  /** By WebCrypto key, which is imported for one algorithm. `undefined` for one that node:crypto does not take. */
  const keys = new WeakMap<CryptoKey, Prepared | undefined>()

  const keyOf = (alg: string, key: CryptoKey, jwk: Jwk.Material | undefined): Prepared | undefined => {
    const known = keys.get(key)
    if (known !== undefined || keys.has(key)) return known
    const method = nodeMethods.get(alg)
    const made = method === undefined || jwk === undefined ? undefined : prepare(module, method, jwk)
    keys.set(key, made)
    return made
  }

  return (alg, key, signature, signed, jwk) => {
    const prepared = keyOf(alg, key, jwk)
    if (prepared === undefined || prepared.method !== nodeMethods.get(alg)) return undefined
    const { method: { coordinate, digest }, isQuick, key: own } = prepared
    const bytes = coordinate === undefined ? signature : ecdsaSignature(signature, coordinate)
    if (bytes === undefined) return false
    if (isQuick) return Result.getOrElse(Result.try(() => verify(digest, signed, own, bytes)), () => false)
    return new Promise((resolve) => {
      try {
        verify(digest, signed, own, bytes, (error, isValid) => resolve(error === null && isValid))
      } catch {
        resolve(false)
      }
    })
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
  { header: { alg }, segments, signature }: Pick<ParsedToken, "header" | "segments" | "signature">,
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
