import type { JWK } from "jose"
import { calculateJwkThumbprint } from "jose/jwk/thumbprint"
import { compactVerify } from "jose/jws/compact/verify"
import { exportJWK } from "jose/key/export"
import type { SigningAlgorithm } from "../../ClientAuth.ts"
import { publicMembers, signProof } from "./clientProof.ts"

/** A key pair that was checked. */
export interface CheckedKeys {
  readonly privateKey: CryptoKey
  readonly alg: SigningAlgorithm
  readonly jwk: JWK
  readonly thumbprint: string
}

const byCurve: Readonly<Record<string, SigningAlgorithm>> = { "P-256": "ES256", "P-384": "ES384", "P-521": "ES512" }
const byRsaHash: Readonly<Record<string, Readonly<Record<string, SigningAlgorithm>>>> = {
  "RSASSA-PKCS1-v1_5": { "SHA-256": "RS256", "SHA-384": "RS384", "SHA-512": "RS512" },
  "RSA-PSS": { "SHA-256": "PS256", "SHA-384": "PS384", "SHA-512": "PS512" }
}

/** A member of a key's algorithm that is a text, such as its curve; the name of its hash. */
const memberOf = ({ algorithm }: CryptoKey, name: "namedCurve" | "hash"): string => {
  const value: unknown = Reflect.get(algorithm, name)
  const text: unknown = typeof value === "object" && value !== null ? Reflect.get(value, "name") : value
  return typeof text === "string" ? text : ""
}

/** The signature algorithm that a key is for. */
const algorithmOf = (key: CryptoKey): SigningAlgorithm | undefined => {
  const { name } = key.algorithm
  if (name === "Ed25519") return name
  if (name === "ECDSA") return byCurve[memberOf(key, "namedCurve")]
  return byRsaHash[name]?.[memberOf(key, "hash")]
}

/** Throws unless the private key signs what the public key verifies, and cannot be extracted. */
export const checkKeys = async ({ privateKey, publicKey }: CryptoKeyPair): Promise<CheckedKeys> => {
  const alg = algorithmOf(privateKey)
  if (alg === undefined || privateKey.extractable) throw new TypeError("not a key that cannot be extracted")
  const jwk = publicMembers(await exportJWK(publicKey))
  const url = new URL("https://self.invalid")
  const claims = { method: "GET", url, now: 0, nonce: undefined, accessToken: undefined }
  await compactVerify(await signProof(privateKey, { alg, jwk }, claims), publicKey)
  return { privateKey, alg, jwk, thumbprint: await calculateJwkThumbprint(jwk) }
}
