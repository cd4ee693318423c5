/** Tokens that nobody may accept. */
import { claimsOf, encode, headerOf, jwkOf, pemOf, secretTokenOf, type Signer, signerOf, tokenOf } from "./issuer.ts"

/** With the bits of one byte of the signature turned over. */
const damaged = (token: string): string => {
  const dot = token.lastIndexOf(".")
  const signature = Buffer.from(token.slice(dot + 1), "base64url")
  signature[signature.length >> 1]! ^= 0xFF
  return `${token.slice(0, dot + 1)}${signature.toString("base64url")}`
}

const hour = 3600

/** Each by what is wrong with it. */
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
    ["a secret made of the public key", secretTokenOf(pemOf(signer), claims, { ...header, alg: "HS256" })],
    ["another key by the same name", tokenOf(mallory, claims)],
    ["a key that it brings itself", tokenOf(mallory, claims, { ...header, jwk: jwkOf(mallory) })],
    ["another issuer", tokenOf(signer, { ...claims, iss: "https://idp.example.evil.example" })],
    ["another audience", tokenOf(signer, { ...claims, aud: "https://other.example" })],
    ["its time past", tokenOf(signer, { ...claims, iat: now - 2 * hour, exp: now - hour })],
    ["its time to come", tokenOf(signer, { ...claims, nbf: now + hour })],
    ["two parts", `${encode(header)}.${payload}`],
    ["no JSON in it", `${encode(header)}.bm90IGpzb24.${signature}`]
  ]
}

/** Good but for the signature, each with one of its own. */
export const damagedOf = (tokens: ReadonlyArray<string>): ReadonlyArray<string> => tokens.map(damaged)
