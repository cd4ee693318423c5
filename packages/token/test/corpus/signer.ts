/** Keys that sign any text unchanged, well-formed or not. */
import { exportJWK, type JWK } from "jose"

/** The algorithms of the control tokens. */
export const algorithms = ["RS256", "ES256", "EdDSA", "HS256"] as const
export type Alg = (typeof algorithms)[number]

/** A signing key and its public form. */
export interface Signer {
  readonly alg: Alg
  readonly kid: string
  readonly privateKey: CryptoKey
  /** The public key. A secret has none. */
  readonly jwk: JWK
  /** The secret's text, for HS256. */
  readonly secret: string
}

const parameters = {
  RS256: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256", modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) },
  ES256: { name: "ECDSA", hash: "SHA-256", namedCurve: "P-256" },
  EdDSA: { name: "Ed25519" }
} as const

const bytesOf = (text: string | Uint8Array): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(text))

/** A WebCrypto key for HMAC. The secret must not be empty, since WebCrypto rejects empty keys. */
export const hmacKey = (secret: string | Uint8Array, hash = "SHA-256"): Promise<CryptoKey> =>
  crypto.subtle.importKey("raw", bytesOf(secret), { name: "HMAC", hash }, false, ["sign"])

/** Generates a key. */
export const makeSigner = async (alg: Alg, kid: string): Promise<Signer> => {
  if (alg === "HS256") {
    const secret = `${kid} is only text, and is long enough to be a secret`
    return { alg, kid, privateKey: await hmacKey(secret), jwk: {}, secret }
  }
  const pair = await crypto.subtle.generateKey(parameters[alg], true, ["sign", "verify"])
  if (!("privateKey" in pair)) throw new Error(`${alg} has no pair`)
  const { privateKey, publicKey } = pair
  return { alg, kid, privateKey, jwk: { ...await exportJWK(publicKey), kid, alg }, secret: "" }
}

/** Signs bytes with the key's algorithm, or with other parameters that the key allows. */
export const signatureOf = async (
  { alg, privateKey }: Pick<Signer, "alg" | "privateKey">,
  signed: string | Uint8Array
): Promise<Buffer<ArrayBuffer>> => {
  const how = alg === "HS256" ? { name: "HMAC" } : parameters[alg]
  return Buffer.from(await crypto.subtle.sign(how, privateKey, bytesOf(signed)))
}

export const encode = (part: string | Uint8Array): string => Buffer.from(part).toString("base64url")

/** Signs two encoded segments, unchanged. */
export const signSegments = async (signer: Signer, header: string, payload: string): Promise<string> =>
  `${header}.${payload}.${encode(await signatureOf(signer, `${header}.${payload}`))}`

/** Encodes and signs the texts of a header and a payload, unchanged. */
export const signTexts = (
  signer: Signer,
  header: string | Uint8Array,
  payload: string | Uint8Array
): Promise<string> => signSegments(signer, encode(header), encode(payload))
