/** RSASSA-PSS keys (RFC 4055), whose parameters limit what they sign. */
import * as Crypto from "node:crypto"

/** The parameters of a key. Without them the key signs with any hash. */
export interface PssLimits {
  readonly hashAlgorithm?: string
  readonly mgf1HashAlgorithm?: string
  readonly saltLength?: number
}

/** A new key pair. The types of node:crypto want a text as `saltLength`, where it takes a number. */
export const pssPair = (limits: PssLimits = {}): Crypto.KeyPairKeyObjectResult =>
  Reflect.apply(Crypto.generateKeyPairSync, undefined, ["rsa-pss", { modulusLength: 2048, ...limits }])
