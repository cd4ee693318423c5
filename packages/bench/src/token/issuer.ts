/** An issuer that signs tokens for the benchmark, and the values that its tokens must match. */
import { createHmac, generateKeyPairSync, type KeyObject, sign } from "node:crypto"

export type Alg = "RS256" | "ES256" | "EdDSA"
export const algs: ReadonlyArray<Alg> = ["RS256", "ES256", "EdDSA"]

export const issuer = "https://idp.example"
export const audience = "https://api.example"

const pairOf = (alg: Alg): { readonly privateKey: KeyObject; readonly publicKey: KeyObject } => {
  switch (alg) {
    case "RS256":
      return generateKeyPairSync("rsa", { modulusLength: 2048 })
    case "ES256":
      return generateKeyPairSync("ec", { namedCurve: "P-256" })
    case "EdDSA":
      return generateKeyPairSync("ed25519")
  }
}

/** A key pair of the issuer. */
export interface Signer {
  readonly alg: Alg
  readonly kid: string
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
}

export const signerOf = (alg: Alg): Signer => ({ alg, kid: `bench-${alg}`, ...pairOf(alg) })

/** The public key as a JWK. */
export const jwkOf = ({ alg, kid, publicKey }: Signer) => {
  const { kty = "", ...members } = publicKey.export({ format: "jwk" })
  return { ...members, kty, kid, alg, use: "sig" }
}

/** The public key in PEM. */
export const pemOf = ({ publicKey }: Signer): string => String(publicKey.export({ format: "pem", type: "spki" }))

export type Members = Readonly<Record<string, unknown>>

export const encode = (value: Members): string => Buffer.from(JSON.stringify(value)).toString("base64url")

const now = Math.floor(Date.now() / 1000)

/** Claims as an authorization server writes them, valid for two hours, each with a unique id and subject. */
export const claimsOf = (index: number): Members => ({
  iss: issuer,
  aud: audience,
  sub: `auth0|5f7c8ec7c33c6c004bbafe${String(index).padStart(6, "0")}`,
  client_id: "s6BhdRkqt3-web-frontend",
  scope: "openid profile email orders:read orders:write",
  iat: now - 60,
  exp: now + 7200,
  jti: `4d6c7f3e-0c1b-4f0e-9a52-${String(index).padStart(12, "0")}`
})

/** The header of the issuer's tokens. */
export const headerOf = ({ alg, kid }: Signer): Members => ({ alg, typ: "at+jwt", kid })

/** Signs a text with the signer's algorithm. */
const signatureOf = ({ alg, privateKey }: Signer, signed: string): string =>
  sign(alg === "EdDSA" ? null : "sha256", Buffer.from(signed), { key: privateKey, dsaEncoding: "ieee-p1363" })
    .toString("base64url")

/** Signs a token, by default with the issuer's header. */
export const tokenOf = (signer: Signer, claims: Members, header: Members = headerOf(signer)): string => {
  const signed = `${encode(header)}.${encode(claims)}`
  return `${signed}.${signatureOf(signer, signed)}`
}

/** Signs a token with a shared secret. */
export const secretTokenOf = (secret: string, claims: Members, header: Members): string => {
  const signed = `${encode(header)}.${encode(claims)}`
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`
}

/** The given number of distinct valid tokens. */
export const poolOf = (signer: Signer, size: number): ReadonlyArray<string> =>
  Array.from({ length: size }, (_, index) => tokenOf(signer, claimsOf(index)))
