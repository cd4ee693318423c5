/** Tokens that no validator may accept, each new. */
import { randomBytes } from "node:crypto"
import { encode } from "../token/issuer.ts"

const text = (bytes: number): string => randomBytes(bytes).toString("base64url")

const parts = (token: string): readonly [string, string, string] => {
  const [header = "", payload = "", signature = ""] = token.split(".")
  return [header, payload, signature]
}

const withHeader = (token: string, header: Readonly<Record<string, unknown>>): string => {
  const [, payload, signature] = parts(token)
  return `${encode(header)}.${payload}.${signature}`
}

/** Changes the first characters of the signature, which have no unused bits. */
const withSignature = (token: string): string => {
  const [header, payload, signature] = parts(token)
  return `${header}.${payload}.${text(6)}${signature.slice(8)}`
}

const withClaims = (token: string, claims: Readonly<Record<string, unknown>>): string => {
  const [header, , signature] = parts(token)
  return `${header}.${encode(claims)}.${signature}`
}

const kinds: ReadonlyArray<(token: string) => string> = [
  withSignature,
  (token) => withHeader(token, { alg: "ES256", typ: "at+jwt", kid: text(8) }),
  (token) => withHeader(token, { alg: "none", typ: "at+jwt" }),
  (token) => withHeader(token, { alg: "HS256", typ: "at+jwt", kid: text(8) }),
  (token) => withClaims(token, { iss: `https://${text(6)}.example`, aud: "x", sub: text(6), exp: 4e9 }),
  (token) => `${token}=`,
  (token) => token.slice(0, token.length - 20),
  () => text(300),
  () => `${text(20)}.${text(200)}.${text(64)}`,
  () => text(20_000),
  () => ""
]

/** A token of each kind in turn, made from a good one. */
export const junkOf = (good: string, index: number): string => kinds[index % kinds.length]?.(good) ?? ""
