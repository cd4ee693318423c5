/** Algorithms other than the key's: public keys used as secrets, `none`, and almost correct names. */
import { createPublicKey } from "node:crypto"
import {
  algorithmUnsupported,
  type Case,
  headerCases,
  malformed,
  notFound,
  signatureInvalid,
  withHeader
} from "./case.ts"
import type { Control } from "./control.ts"
import { type Alg, algorithms, encode, hmacKey, type Signer, signTexts } from "./signer.ts"

const asymmetric: ReadonlyArray<Alg> = ["RS256", "ES256", "EdDSA"]

const publicKey = ({ jwk }: Signer) => {
  const { alg: _, kid: __, ...key } = jwk
  return createPublicKey({ key, format: "jwk" })
}
const pem = (signer: Signer): string => publicKey(signer).export({ type: "spki", format: "pem" }).toString()
const body = (signer: Signer): string => pem(signer).replaceAll(/-----[^-]+-----|\n/g, "")

/** Forms of the public key that an attacker may use as an HMAC secret (CVE-2015-9235, CVE-2022-23541, CVE-2026-34950). */
export const publicForms: Readonly<Record<string, (signer: Signer) => string | Uint8Array>> = {
  PEM: pem,
  "PEM without the last line break": (signer) => pem(signer).trimEnd(),
  "PEM with CRLF": (signer) => pem(signer).replaceAll("\n", "\r\n"),
  "PEM after white space": (signer) => ` \n\t${pem(signer)}`,
  "PEM after a byte order mark": (signer) => `\uFEFF${pem(signer)}`,
  "PEM in one line": (signer) => pem(signer).replaceAll("\n", ""),
  "PEM's lines alone": (signer) => body(signer),
  DER: (signer) => publicKey(signer).export({ type: "spki", format: "der" }),
  "JWK": ({ jwk }) => JSON.stringify(jwk),
  "JWK's members by name": ({ jwk }) => JSON.stringify(jwk, Object.keys(jwk).toSorted()),
  "coordinate or modulus as written": ({ jwk }) => jwk.n ?? jwk.x ?? "",
  "coordinate or modulus as bytes": ({ jwk }) => Buffer.from(jwk.n ?? jwk.x ?? "", "base64url"),
  "kid": ({ kid }) => kid
}

export const hmacToken = async (
  { claims, header }: Control,
  secret: string | Uint8Array,
  kid?: string
): Promise<string> =>
  signTexts(
    { alg: "HS256", privateKey: await hmacKey(secret), kid: "", jwk: {}, secret: "" },
    JSON.stringify({ ...header, alg: "HS256", kid }),
    JSON.stringify(claims)
  )

const confusion: ReadonlyArray<Case> = Object.entries(publicForms).flatMap(([form, of]): ReadonlyArray<Case> => [
  {
    name: `HS256 with the key's kid, the secret being its public ${form}`,
    mutate: (control) => hmacToken(control, of(control.signer), control.signer.kid),
    reason: notFound("mismatched"),
    on: asymmetric
  },
  {
    name: `HS256 without a kid, the secret being the public ${form}`,
    mutate: (control) => hmacToken(control, of(control.signer)),
    reason: signatureInvalid,
    on: asymmetric
  }
])

/** Every spelling of `none` in upper and lower case. */
export const nones = Array.from(
  { length: 16 },
  (_, bits) => Array.from("none", (char, at) => (bits >> at) & 1 ? char.toUpperCase() : char).join("")
)

const none: ReadonlyArray<Case> = nones.flatMap((alg): ReadonlyArray<Case> => [
  {
    name: `alg ${alg}, no signature`,
    mutate: ({ claims, header }) => `${encode(JSON.stringify({ ...header, alg }))}.${encode(JSON.stringify(claims))}.`,
    reason: algorithmUnsupported
  },
  {
    name: `alg ${alg}, with a signature`,
    mutate: (control) => withHeader(control, { alg }),
    reason: algorithmUnsupported
  }
])

const almost = (alg: Alg): ReadonlyArray<string> => [
  alg.toLowerCase() === alg ? alg.toUpperCase() : alg.toLowerCase(),
  ` ${alg}`,
  `${alg} `,
  `${alg}\n`,
  `${alg}\u0000`,
  `${alg},none`,
  `${alg}\u200B`,
  Array.from(alg, (char) => String.fromCodePoint((char.codePointAt(0) ?? 0) + 0xFEE0)).join("")
]

const spelt: ReadonlyArray<Case> = algorithms.flatMap((alg) =>
  almost(alg).map((name) => ({
    name: `alg ${JSON.stringify(name)}`,
    mutate: (control: Control) => withHeader(control, { alg: name }),
    reason: algorithmUnsupported,
    on: [alg]
  }))
)

/** Algorithms of the same family, which the same key could sign with, and encryption algorithms. */
const others = [
  "RS384",
  "RS512",
  "PS256",
  "ES384",
  "ES256K",
  "Ed25519",
  "Ed448",
  "HS384",
  "RS1",
  "dir",
  "A128KW",
  "RSA-OAEP",
  "ECDH-ES",
  "PBES2-HS256+A128KW",
  "HS1",
  "",
  "null",
  "undefined",
  "__proto__",
  "constructor",
  "*"
]

/** The algorithm of another key, with and without a kid. */
const crossed: ReadonlyArray<Case> = algorithms.flatMap((other): ReadonlyArray<Case> => {
  const on = algorithms.filter((alg) => alg !== other)
  return [
    {
      name: `alg ${other} with the key's own kid`,
      mutate: (control) => withHeader(control, { alg: other }),
      reason: notFound("mismatched"),
      on
    },
    {
      name: `the kid of the key for ${other}`,
      mutate: (control) => withHeader(control, { kid: control.own[other].kid }),
      reason: notFound("mismatched"),
      on
    },
    {
      name: `alg and kid of the key for ${other}, signed by the control's key`,
      mutate: (control) => withHeader(control, { alg: other, kid: control.own[other].kid }),
      reason: signatureInvalid,
      on
    },
    {
      name: `alg ${other} without a kid, signed by the control's key`,
      mutate: (control) => withHeader(control, { alg: other, kid: undefined }),
      reason: signatureInvalid,
      on
    }
  ]
})

export const algorithmCases: ReadonlyArray<Case> = [
  ...confusion,
  ...none,
  ...spelt,
  ...headerCases("alg", others, algorithmUnsupported),
  ...headerCases("alg", [undefined, null, 256, true, ["RS256"], { name: "RS256" }], malformed("header", "member")),
  ...crossed
]
