/** Tokens that every validator must reject. */
import { claimsOf, encode, headerOf, jwkOf, pemOf, secretTokenOf, type Signer, signerOf, tokenOf } from "./issuer.ts"

/** The token with the bits of one signature byte inverted. */
const damaged = (token: string): string => {
  const dot = token.lastIndexOf(".")
  const signature = Buffer.from(token.slice(dot + 1), "base64url")
  signature[signature.length >> 1]! ^= 0xFF
  return `${token.slice(0, dot + 1)}${signature.toString("base64url")}`
}

const hour = 3600

/** The forged tokens by their fault. */
export const forgeriesOf = (signer: Signer): ReadonlyArray<readonly [string, string]> => {
  const claims = claimsOf(0)
  const header = headerOf(signer)
  const good = tokenOf(signer, claims)
  const [, payload, signature] = good.split(".")
  const mallory: Signer = { ...signerOf(signer.alg), kid: signer.kid }
  const now = Math.floor(Date.now() / 1000)
  return [
    ["a damaged signature", damaged(good)],
    ["another token's signature", `${encode(header)}.${encode(claimsOf(1))}.${signature}`],
    ["no signature", `${encode(header)}.${payload}.`],
    ["none as its algorithm", `${encode({ ...header, alg: "none" })}.${payload}.`],
    ["none, and a signature", `${encode({ ...header, alg: "none" })}.${payload}.${signature}`],
    ["the public key as its secret", secretTokenOf(pemOf(signer), claims, { ...header, alg: "HS256" })],
    ["another key with the same kid", tokenOf(mallory, claims)],
    ["an embedded key", tokenOf(mallory, claims, { ...header, jwk: jwkOf(mallory) })],
    ["another issuer", tokenOf(signer, { ...claims, iss: "https://idp.example.evil.example" })],
    ["another audience", tokenOf(signer, { ...claims, aud: "https://other.example" })],
    ["an expired lifetime", tokenOf(signer, { ...claims, iat: now - 2 * hour, exp: now - hour })],
    ["a lifetime in the future", tokenOf(signer, { ...claims, nbf: now + hour })],
    ["two parts", `${encode(header)}.${payload}`],
    ["a payload that is not JSON", `${encode(header)}.bm90IGpzb24.${signature}`]
  ]
}

/** Tokens that are valid except for their signatures, which all differ. */
export const damagedOf = (tokens: ReadonlyArray<string>): ReadonlyArray<string> => tokens.map(damaged)
