/** Texts that are not header, payload and signature: encrypted, serialized as JSON, too long, or not a token at all. */
import { algorithmUnsupported, type Case, malformed, signatureBytes, withHeaderText, withPayload } from "./case.ts"
import { type Control, now } from "./control.ts"
import { encode, signTexts } from "./signer.ts"

const part = ({ token }: Control, place: number): string => token.split(".")[place] ?? ""

const wholes: Readonly<Record<string, readonly [mutate: (token: string) => string, reason: Case["reason"]]>> = {
  "empty": [() => "", malformed("token", "segments")],
  "a dot": [() => ".", malformed("token", "segments")],
  "two dots": [() => "..", malformed("header", "json")],
  "three dots": [() => "...", malformed("token", "segments")],
  "without its dots": [(token) => token.replaceAll(".", ""), malformed("token", "segments")],
  "without its signature and dot": [(token) => token.slice(0, token.lastIndexOf(".")), malformed("token", "segments")],
  "without its header": [(token) => token.slice(token.indexOf(".")), malformed("header", "json")],
  "with a dot before it": [(token) => `.${token}`, malformed("token", "segments")],
  "with a dot after it": [(token) => `${token}.`, malformed("token", "segments")],
  "with two dots between": [(token) => token.replace(".", ".."), malformed("token", "segments")],
  "with a comma for a dot": [(token) => token.replace(".", ","), malformed("token", "segments")],
  "with a full-width dot": [(token) => token.replace(".", "\uFF0E"), malformed("token", "segments")],
  "with an ideographic full stop": [(token) => token.replace(".", "\u3002"), malformed("token", "segments")],
  "after Bearer": [(token) => `Bearer ${token}`, malformed("header", "encoding")],
  "after a space": [(token) => ` ${token}`, malformed("header", "encoding")],
  "before a space": [(token) => `${token} `, malformed("signature", "encoding")],
  "after a line break": [(token) => `\n${token}`, malformed("header", "encoding")],
  "before a line break": [(token) => `${token}\n`, malformed("signature", "encoding")],
  "before CRLF and a header": [(token) => `${token}\r\nX-Admin: yes`, malformed("signature", "encoding")],
  "before a NUL": [(token) => `${token}\u0000`, malformed("signature", "encoding")],
  "after a byte order mark": [(token) => `\uFEFF${token}`, malformed("header", "encoding")],
  "in quotation marks": [(token) => `"${token}"`, malformed("header", "encoding")],
  "in JSON": [(token) => JSON.stringify({ token }), malformed("header", "encoding")],
  "twice, with a comma": [(token) => `${token},${token}`, malformed("token", "segments")],
  "twice, with a space": [(token) => `${token} ${token}`, malformed("token", "segments")],
  "percent-encoded": [(token) => token.replaceAll(".", "%2E"), malformed("token", "segments")],
  "encoded once more": [(token) => encode(token), malformed("token", "segments")],
  "an SD-JWT's end": [(token) => `${token}~`, malformed("signature", "encoding")],
  "a word": [() => "undefined", malformed("token", "segments")],
  "three words": [() => "not.a.token", malformed("header", "encoding")],
  "a PASETO": [() => `v4.public.${"A".repeat(100)}`, malformed("header", "encoding")],
  "a megabyte of dots": [() => ".".repeat(1_048_576), malformed("token", "size")],
  "a megabyte of letters": [() => "A".repeat(1_048_576), malformed("token", "size")],
  "a megabyte after it": [(token) => `${token}${"A".repeat(1_048_576)}`, malformed("token", "size")],
  "a megabyte of white space after it": [(token) => `${token}${" ".repeat(1_048_576)}`, malformed("token", "size")],
  "one character too long": [(token) => token.padEnd(16_385, "A"), malformed("token", "size")]
}

const texts: ReadonlyArray<Case> = Object.entries(wholes).map(([name, [mutate, reason]]) => ({
  name: `the token ${name}`,
  mutate: ({ token }) => mutate(token),
  reason
}))

/** Encrypted tokens have five parts (RFC 7516, 7.1). None is decrypted, whatever work its header demands. */
const encrypted = (name: string, header: Readonly<Record<string, unknown>>): ReadonlyArray<Case> => [
  {
    name: `encrypted: ${name}`,
    mutate: ({ token }) =>
      [encode(JSON.stringify(header)), encode("key"), encode("iv"), encode(token), encode("tag")].join("."),
    reason: malformed("token", "segments")
  },
  {
    name: `encrypted in three parts: ${name}`,
    mutate: (control) => withHeaderText(control, JSON.stringify({ ...control.header, ...header })),
    reason: algorithmUnsupported
  }
]

const jwe: ReadonlyArray<Case> = [
  ...encrypted("dir", { alg: "dir", enc: "A256GCM" }),
  ...encrypted("RSA-OAEP-256", { alg: "RSA-OAEP-256", enc: "A256GCM", cty: "JWT" }),
  ...encrypted("PBES2 with a billion rounds (CVE-2022-36083, CVE-2023-52428)", {
    alg: "PBES2-HS256+A128KW",
    enc: "A128GCM",
    p2c: 1_000_000_000,
    p2s: encode("salt")
  }),
  ...encrypted("compressed (CVE-2024-28176)", { alg: "dir", enc: "A256GCM", zip: "DEF" }),
  ...encrypted("ECDH-ES off the curve", {
    alg: "ECDH-ES",
    enc: "A128GCM",
    epk: { kty: "EC", crv: "P-256", x: encode("x"), y: encode("y") }
  }),
  {
    name: "four parts",
    mutate: ({ token }) => `${token}.AAAA`,
    reason: malformed("token", "segments")
  },
  {
    name: "five parts, the first three valid",
    mutate: ({ token }) => `${token}.AAAA.AAAA`,
    reason: malformed("token", "segments")
  },
  {
    name: "five parts, all but three empty",
    mutate: ({ token }) => `${token}..`,
    reason: malformed("token", "segments")
  }
]

/** The JSON serializations (RFC 7515, 7.2) and a detached payload (appendix F). */
const serialised: ReadonlyArray<Case> = [
  {
    name: "flattened JSON",
    mutate: (control) =>
      JSON.stringify({ protected: part(control, 0), payload: part(control, 1), signature: part(control, 2) }),
    reason: malformed("token", "segments")
  },
  {
    name: "general JSON",
    mutate: (control) =>
      JSON.stringify({
        payload: part(control, 1),
        signatures: [{ protected: part(control, 0), signature: part(control, 2) }]
      }),
    reason: malformed("token", "segments")
  },
  {
    name: "a detached payload",
    mutate: (control) => `${part(control, 0)}..${part(control, 2)}`,
    reason: malformed("payload", "json")
  },
  {
    name: "a token as the payload",
    mutate: (control) => withPayload(control, control.token),
    reason: malformed("payload", "json")
  },
  {
    name: "header and payload swapped",
    mutate: (control) => `${part(control, 1)}.${part(control, 0)}.${part(control, 2)}`,
    reason: malformed("header", "member")
  },
  {
    name: "the header as the payload",
    mutate: (control) => `${part(control, 0)}.${part(control, 0)}.${part(control, 2)}`,
    reason: { _tag: "ClaimMissing", claim: "iss" }
  },
  {
    name: "the header's JSON, not encoded",
    mutate: (control) => `${JSON.stringify(control.header)}.${part(control, 1)}.${encode(signatureBytes(control))}`,
    reason: malformed("header", "encoding")
  }
]

/** Valid except for the length: signed by a trusted key. */
const long: ReadonlyArray<Case> = [
  {
    name: "a claim that makes it longer than 16 KiB",
    mutate: ({ claims, header, signer }) =>
      signTexts(signer, JSON.stringify(header), JSON.stringify({ ...claims, more: "x".repeat(12_288), at: now })),
    reason: malformed("token", "size")
  },
  {
    name: "a header that makes it longer than 16 KiB",
    mutate: ({ claims, header, signer }) =>
      signTexts(signer, JSON.stringify({ ...header, more: "x".repeat(12_288) }), JSON.stringify(claims)),
    reason: malformed("token", "size")
  }
]

export const formCases: ReadonlyArray<Case> = [...texts, ...jwe, ...serialised, ...long]
