/** The mutations of proofs. */
import { createHash } from "node:crypto"
import { baseUrl } from "../proofSupport.ts"
import {
  adding,
  claimCases,
  headerCases,
  malformed,
  noProof,
  otherKey,
  type ProofCase,
  type ProofControl,
  rejected,
  shown,
  signatureBytes,
  withClaims,
  withHeader,
  withHeaderText,
  withJwk,
  withPayload,
  withSegments,
  withSignature
} from "./proofCase.ts"
import { encode, hmacKey, signTexts } from "./signer.ts"

/** Seconds since 1970. */
export const now = 1_800_000_000
export const token = "token-of-the-corpus"

const text = (name: string, mutate: ProofCase["mutate"], reason: ProofCase["reason"]): ProofCase => ({
  name,
  mutate,
  reason
})

const segments = malformed("token", "segments")

export const formCases: ReadonlyArray<ProofCase> = [
  text("no text", () => "", noProof),
  text("one part", () => "x", segments),
  text("two parts", ({ proof }) => proof.slice(0, proof.lastIndexOf(".")), segments),
  text("four parts", ({ proof }) => `${proof}.`, segments),
  text("five parts, as an encrypted token", ({ proof }) => `${proof}.a.b`, segments),
  text(
    "longer than 8,192 characters",
    (control) => withClaims(control, { more: "x".repeat(8192) }),
    malformed("token", "size")
  ),
  text("a list of two", ({ proof }) => `${proof}, ${proof}`, rejected("header")),
  text("a comma at the end", ({ proof }) => `${proof},`, rejected("header")),
  text("a space before", ({ proof }) => ` ${proof}`, malformed("header", "encoding")),
  text("a space after", ({ proof }) => `${proof} `, malformed("signature", "encoding")),
  text("a tab after", ({ proof }) => `${proof}\t`, malformed("signature", "encoding")),
  text("a line break inside", ({ proof }) => proof.replace(".", "\n."), malformed("header", "encoding")),
  text("quotes", ({ proof }) => `"${proof}"`, malformed("signature", "encoding")),
  text("a scheme", ({ proof }) => `DPoP ${proof}`, malformed("header", "encoding")),
  text("the empty header", ({ proof }) => proof.slice(proof.indexOf(".")), malformed("header", "json")),
  text(
    "no payload",
    (control) => withSegments(control, ({ header }) => ({ header, payload: "" })),
    malformed("payload", "json")
  ),
  text(
    "padding in the header",
    (control) => withSegments(control, ({ header, payload }) => ({ header: `${header}=`, payload })),
    malformed("header", "encoding")
  ),
  text(
    "padding in the payload",
    (control) => withSegments(control, ({ header, payload }) => ({ header, payload: `${payload}=` })),
    malformed("payload", "encoding")
  ),
  text("padding in the signature", ({ proof }) => `${proof}==`, malformed("signature", "encoding")),
  text(
    "characters of base64",
    (control) => withSegments(control, ({ header, payload }) => ({ header, payload: `${payload}+/` })),
    malformed("payload", "encoding")
  ),
  text("letters beyond ASCII", ({ proof }) => `${proof}\u00e9`, malformed("signature", "encoding")),
  text(
    "a part of one character",
    (control) => withSegments(control, ({ header }) => ({ header, payload: "A" })),
    malformed("payload", "encoding")
  )
]

const jsonForms: ReadonlyArray<
  readonly [name: string, json: string | Uint8Array, problem: Parameters<typeof malformed>[1]]
> = [
  ["null", "null", "json"],
  ["an array", "[]", "json"],
  ["a number", "7", "json"],
  ["text", "\"x\"", "json"],
  ["nothing", " ", "json"],
  ["an open object", "{\"jti\":\"1\"", "json"],
  ["two objects", "{}{}", "json"],
  ["a byte order mark", "\ufeff{}", "json"],
  ["invalid UTF-8", new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), "encoding"],
  ["an unpaired surrogate", "{\"a\":\"\\ud800\"}", "encoding"],
  ["a duplicate member", "{\"a\":1,\"a\":1}", "duplicate"],
  ["a duplicate member, escaped", "{\"jti\":\"1\",\"\\u006ati\":\"2\"}", "duplicate"],
  ["five levels", "{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}", "depth"],
  ["65 members", `{${Array.from({ length: 65 }, (_, index) => `"a${index}":1`).join(",")}}`, "members"],
  ["an infinite number", "{\"a\":1e999}", "number"]
]

export const jsonCases: ReadonlyArray<ProofCase> = [
  ...jsonForms.map(([name, json, problem]) =>
    text(`a header of ${name}`, (control) => withHeaderText(control, json), malformed("header", problem))
  ),
  ...jsonForms.map(([name, json, problem]) =>
    text(`a payload of ${name}`, (control) => withPayload(control, json), malformed("payload", problem))
  ),
  ...["jti", "htm", "htu", "iat", "ath"].map((name) =>
    text(
      `${name} twice`,
      (control) => withPayload(control, adding(control.claims, `"${name}":"x"`)),
      malformed("payload", "duplicate")
    )
  ),
  ...["typ", "alg", "jwk"].map((name) =>
    text(
      `${name} twice`,
      (control) => withHeaderText(control, adding(control.header, `"${name}":"x"`)),
      malformed("header", "duplicate")
    )
  ),
  text("crit", (control) => withHeader(control, { crit: ["exp"] }), malformed("header", "critical")),
  text("b64", (control) => withHeader(control, { b64: false }), malformed("header", "critical"))
]

/** A proof by HMAC, with the public key as the secret. */
const hmac = async ({ claims, header, signer }: ProofControl, alg: string) =>
  signTexts(
    { ...signer, alg: "HS256", privateKey: await hmacKey(JSON.stringify(signer.jwk)) },
    JSON.stringify({ ...header, alg }),
    JSON.stringify(claims)
  )

export const headerMutations: ReadonlyArray<ProofCase> = [
  ...headerCases("typ", [
    undefined,
    null,
    "",
    "JWT",
    "at+jwt",
    "dpop",
    "DPOP+JWT",
    "dpop+jwt ",
    "application/dpop+jwt",
    ["dpop+jwt"],
    7
  ]),
  ...headerCases(
    "alg",
    [
      undefined,
      null,
      "",
      "none",
      "None",
      "NONE",
      "HS384",
      "es256",
      "ES256K",
      "ES384",
      "PS512",
      "RSA-OAEP",
      ["ES256"],
      7
    ],
    rejected("alg")
  ),
  text("alg none without a signature", async (control) => {
    const unsigned = await withHeader(control, { alg: "none" })
    return unsigned.slice(0, unsigned.lastIndexOf(".") + 1)
  }, rejected("alg")),
  text("alg HS256, with the public key as the secret", (control) => hmac(control, "HS256"), rejected("alg")),
  text(
    "alg of another key type",
    (control) => withHeader(control, { alg: control.signer.alg === "RS256" ? "ES256" : "RS256" }),
    rejected("jwk")
  ),
  {
    ...text(
      "alg PS256 of an RSA key that signed by RS256",
      (control) => withHeader(control, { alg: "PS256" }),
      rejected("signature")
    ),
    on: ["RS256"]
  }
]

const secret = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"]

export const keyCases: ReadonlyArray<ProofCase> = [
  ...headerCases(
    "jwk",
    [undefined, null, "", "x", [], {}, 7, { kty: "oct", k: "c2VjcmV0" }, { kty: "EC" }],
    rejected("jwk")
  ),
  ...secret.map((name) => text(`jwk with ${name}`, (control) => withJwk(control, { [name]: "AQAB" }), rejected("jwk"))),
  text("jwk with d null", (control) => withJwk(control, { d: null }), rejected("jwk")),
  ...[undefined, null, "", "oct", "ec", "AKP", 7].map((kty) =>
    text(`jwk with kty ${shown(kty)}`, (control) => withJwk(control, { kty }), rejected("jwk"))
  ),
  ...["enc", "", 7].map((use) =>
    text(`jwk with use ${shown(use)}`, (control) => withJwk(control, { use }), rejected("jwk"))
  ),
  ...[["sign"], [], "verify", ["verify", "verify"]].map((operations) =>
    text(
      `jwk with key_ops ${shown(operations)}`,
      (control) => withJwk(control, { key_ops: operations }),
      rejected("jwk")
    )
  ),
  text("jwk with another alg", (control) => withJwk(control, { alg: "PS512" }), rejected("jwk")),
  text("jwk with a long kid", (control) => withJwk(control, { kid: "x".repeat(257) }), rejected("jwk")),
  ...(["ES256", "EdDSA"] as const).flatMap((alg): ReadonlyArray<ProofCase> => [
    {
      ...text(
        `jwk with padding in x, ${alg}`,
        (control) => withJwk(control, { x: `${control.signer.jwk.x}=` }),
        rejected("jwk")
      ),
      on: [alg]
    },
    {
      ...text(
        `jwk with a short x, ${alg}`,
        (control) => withJwk(control, { x: control.signer.jwk.x?.slice(0, -4) }),
        rejected("jwk")
      ),
      on: [alg]
    },
    { ...text(`jwk without x, ${alg}`, (control) => withJwk(control, { x: undefined }), rejected("jwk")), on: [alg] },
    {
      ...text(
        `jwk with unused bits in x, ${alg}`,
        (control) => withJwk(control, { x: withUnusedBits(control.signer.jwk.x ?? "") }),
        rejected("jwk")
      ),
      on: [alg]
    },
    {
      ...text(`jwk with another curve, ${alg}`, (control) => withJwk(control, { crv: "P-384" }), rejected("jwk")),
      on: [alg]
    }
  ]),
  { ...text("jwk without y", (control) => withJwk(control, { y: undefined }), rejected("jwk")), on: ["ES256"] },
  {
    ...text("jwk with a point off the curve", (control) => withJwk(control, { y: control.signer.jwk.x }), otherKey),
    on: ["ES256"]
  },
  {
    ...text(
      "jwk with a leading zero in n",
      (control) => withJwk(control, { n: withZero(control.signer.jwk.n ?? "") }),
      rejected("jwk")
    ),
    on: ["RS256"]
  },
  { ...text("jwk with the exponent 1", (control) => withJwk(control, { e: "AQ" }), rejected("jwk")), on: ["RS256"] },
  {
    ...text("jwk with a modulus of 1024 bits", (control) => withJwk(control, { n: "A".repeat(170) }), rejected("jwk")),
    on: ["RS256"]
  },
  text(
    "jwk of another key, which signed",
    ({ claims, header, stranger }) =>
      signTexts(stranger, JSON.stringify({ ...header, jwk: stranger.jwk }), JSON.stringify(claims)),
    otherKey
  ),
  text(
    "jwk of another key, which did not sign",
    (control) => withHeader(control, { jwk: control.stranger.jwk }),
    otherKey
  )
]

const withUnusedBits = (x: string): string => {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
  return x.slice(0, -1) + (alphabet[alphabet.indexOf(x.at(-1) ?? "A") | 1] ?? "")
}
const withZero = (n: string): string => encode(Buffer.concat([Buffer.from([0]), Buffer.from(n, "base64url")]))

const zeros = (control: ProofControl) => new Uint8Array(signatureBytes(control).length)
const flipped = (control: ProofControl, at: number) => {
  const bytes = signatureBytes(control)
  bytes[at < 0 ? bytes.length + at : at]! ^= 1
  return bytes
}

export const signatureCases: ReadonlyArray<ProofCase> = [
  text("none", (control) => withSignature(control, ""), rejected("signature")),
  text("of zeros", (control) => withSignature(control, zeros(control)), rejected("signature")),
  text("one byte", (control) => withSignature(control, "AA"), rejected("signature")),
  text("cut", (control) => withSignature(control, signatureBytes(control).subarray(0, -1)), rejected("signature")),
  text(
    "with one more byte",
    (control) => withSignature(control, Buffer.concat([signatureBytes(control), Buffer.from([0])])),
    rejected("signature")
  ),
  text("with the first bit changed", (control) => withSignature(control, flipped(control, 0)), rejected("signature")),
  text("with the last bit changed", (control) => withSignature(control, flipped(control, -1)), rejected("signature")),
  text("of another key", (control) => withHeader(control, {}, control.stranger), rejected("signature")),
  text("of another proof", async (control) => {
    const other = await withClaims(control, { jti: "another" })
    return withSignature(control, other.slice(other.lastIndexOf(".") + 1))
  }, rejected("signature")),
  {
    ...text("with both halves swapped", (control) => {
      const bytes = signatureBytes(control)
      return withSignature(control, Buffer.concat([bytes.subarray(32), bytes.subarray(0, 32)]))
    }, rejected("signature")),
    on: ["ES256"]
  }
]

const url = (path: string) => `${baseUrl}${path}`

export const claimMutations: ReadonlyArray<ProofCase> = [
  ...claimCases("jti", [undefined, null, "", 7, true, [], ["x"], {}, "x".repeat(257)], rejected("jti")),
  ...claimCases(
    "htm",
    [undefined, null, "", "get", "Get", "POST", "HEAD", "GET ", "*", ["GET"], {}, 7],
    rejected("htm")
  ),
  ...claimCases(
    "htu",
    [
      undefined,
      null,
      7,
      [],
      [url("/me")],
      {},
      "",
      "*",
      "/me",
      "me",
      "//api.example/me",
      baseUrl,
      url("/"),
      url("/me/"),
      url("/ME"),
      url("/me2"),
      url("/m"),
      url("//me"),
      url("/./me/."),
      url("/me/.."),
      url("/me%2F"),
      url("/%2Fme"),
      url("/me%00"),
      url("/me%"),
      url("/me%2"),
      url("/me;v=1"),
      url("/me "),
      url("/me\n"),
      url("/m\\e"),
      url("\\me"),
      url("/m\u00e9"),
      ` ${url("/me")}`,
      "http://api.example/me",
      "ws://api.example/me",
      "https://api.example:444/me",
      "https://api.example:80/me",
      "https://api.example./me",
      "https://www.api.example/me",
      "https://evil.example/me",
      "https://api.example.evil.example/me",
      "https://api.example@evil.example/me",
      "https://evil.example#@api.example/me",
      "https://evil.example?@api.example/me",
      "https://user@api.example/me",
      "https://user:password@api.example/me",
      "https://%61pi.example/me",
      "https://\u0430pi.example/me",
      "https:api.example/me",
      "https:/api.example/me",
      "https:///api.example/me",
      "https:\\\\api.example\\me",
      "javascript:alert(1)"
    ],
    rejected("htu")
  ),
  ...claimCases(
    "iat",
    [
      undefined,
      null,
      "",
      String(now),
      -1,
      now + 31,
      now - 90,
      now * 1000,
      now / 1000,
      {},
      [now],
      true,
      253_402_300_800
    ],
    rejected("iat")
  ),
  ...claimCases("exp", [now - 30, 0, -1, "x", null, now * 1000], rejected("exp")),
  ...claimCases("nbf", [now + 31, "x", null, -1, now * 1000], rejected("nbf")),
  ...claimCases(
    "ath",
    [
      undefined,
      null,
      "",
      7,
      [],
      token,
      `${hash(token)}=`,
      hash(`${token} `),
      hash("another token"),
      hash(token).toLowerCase(),
      createHash("sha256").update(token).digest("hex"),
      createHash("sha256").update(token).digest("base64"),
      createHash("sha512").update(token).digest("base64url")
    ],
    rejected("ath")
  )
]

function hash(text: string): string {
  return createHash("sha256").update(text).digest("base64url")
}

/** Mutations that leave a proof valid: each is just within a limit that the corpus exceeds, or means the same. */
export const harmlessProofs: Readonly<Record<string, (control: ProofControl) => string | Promise<string>>> = {
  "a jti of 256 characters": (control) => withClaims(control, { jti: "x".repeat(256) }),
  "an iat just within the tolerance": (control) => withClaims(control, { iat: now + 30 }),
  "the oldest iat": (control) => withClaims(control, { iat: now - 89 }),
  "an iat with a fraction": (control) => withClaims(control, { iat: now + 0.5 }),
  "an exp within the tolerance": (control) => withClaims(control, { exp: now - 29 }),
  "an nbf within the tolerance": (control) => withClaims(control, { nbf: now + 30 }),
  "a nonce that nobody asked for": (control) => withClaims(control, { nonce: "x" }),
  "more claims and header members": async (control) => {
    const { claims, header, signer } = control
    const more = { kid: "x", x5c: ["x"], jku: "https://evil.example" }
    return signTexts(signer, JSON.stringify({ ...header, ...more }), JSON.stringify({ ...claims, scope: "a" }))
  },
  "a key with use, key_ops, ext and kid": (control) =>
    withJwk(control, { use: "sig", key_ops: ["verify"], ext: true, kid: "x".repeat(256), alg: control.signer.alg }),
  ...Object.fromEntries(
    [
      "HTTPS://API.EXAMPLE/me",
      "https://api.example:443/me",
      "https://api.example/me?page=2",
      "https://api.example/me#top",
      "https://api.example/./me",
      "https://api.example/x/../me",
      "https://api.example/%6de",
      "https://api.example/%6D%65"
    ].map((htu) => [htu, (control: ProofControl) => withClaims(control, { htu })])
  )
}
