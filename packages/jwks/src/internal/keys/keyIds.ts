import type { Jwk } from "../../Jwk.ts"

/** Identifies an entry of a set. A refresh does not import an entry again if its id is unchanged. */
export const entryId = ({ alg, issuer, kid, material, use }: Jwk): string =>
  JSON.stringify([kid ?? null, alg ?? null, use ?? null, issuer ?? null, material])

/**
 * Identifies a key when looking for duplicates. A key that is published under two `kid`s, or for two algorithms, is two
 * keys. Of RSA keys that differ in their exponent only, the first is kept.
 */
export const duplicateId = (jwk: Jwk): string =>
  jwk.material.kty === "RSA" ? entryId({ ...jwk, material: { ...jwk.material, e: "" } }) : entryId(jwk)

/** The algorithm to import a key for when the set is parsed. Other algorithms of the key are imported on first use. */
export const defaultAlgorithm = ({ alg, crv, kty }: Jwk): string => {
  if (alg !== undefined) return alg
  if (kty === "RSA") return "RS256"
  if (kty === "OKP") return "EdDSA"
  if (crv === "P-256") return "ES256"
  return crv === "P-384" ? "ES384" : "ES512"
}
