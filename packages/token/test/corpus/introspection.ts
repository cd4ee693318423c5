/** Mutations of an introspection answer, and the reason why each must be rejected. */
import { issuer, type Pair } from "@keelson/testing/tokens"
import { Duration, Effect } from "effect"
import type { TokenError } from "../../src/index.ts"
import { jwtResponse, signedAnswer } from "../introspectionSupport.ts"
import { audienceMismatch, invalid, issuerUntrusted, missing, type Reason, shown, typeMismatch } from "./case.ts"

/** Seconds since 1970. */
export const now = 20_000 * 86_400
/** In every control, and in no error. */
export const canary = "canary-7f3a9c"

type Members = Readonly<Record<string, unknown>>

export const control: Members = {
  active: true,
  iss: issuer,
  aud: "api",
  exp: now + 600,
  iat: now - 5,
  nbf: now - 5,
  sub: canary,
  client_id: canary,
  token_type: "Bearer",
  scope: "read"
}
const text = JSON.stringify(control)

export interface AnswerCase {
  readonly name: string
  readonly respond: Effect.Effect<Response>
  readonly reason: Reason
}

const unavailable = (
  problem: TokenError.IntrospectionProblem,
  detail?: TokenError.AnswerProblem
): Reason => ({
  _tag: "IntrospectionUnavailable",
  problem,
  ...(detail === undefined ? {} : { detail }),
  retryAfter: Duration.zero
})
const answer = (detail: TokenError.AnswerProblem): Reason => unavailable("answer", detail)
const signature = (detail: TokenError.AnswerProblem): Reason => unavailable("signature", detail)

type Body = string | Uint8Array<ArrayBuffer>

const responding = (body: Body | null, type: string | undefined = "application/json", status = 200) =>
  Effect.sync(() => {
    const response = new Response(body, { status })
    response.headers.delete("content-type")
    if (type !== "") response.headers.set("content-type", type)
    return response
  })

/** Shows a body in the name of a case. */
const nameOf = (body: Body): string => shown(typeof body === "string" ? body : [...body].slice(0, 8))

const bodies = (detail: TokenError.AnswerProblem, ...all: ReadonlyArray<Body>): ReadonlyArray<AnswerCase> =>
  all.map((body) => ({ name: `body ${detail}: ${nameOf(body)}`, respond: responding(body), reason: answer(detail) }))

const adding = (more: string): string => `${text.slice(0, -1)},${more}}`
const bytes = (...parts: ReadonlyArray<string | ReadonlyArray<number>>): Uint8Array<ArrayBuffer> =>
  new Uint8Array(Buffer.concat(parts.map((part) => typeof part === "string" ? Buffer.from(part) : Buffer.from(part))))
const nested = (levels: number): string => "[".repeat(levels) + "]".repeat(levels)
const without = (name: string): Members => Object.fromEntries(Object.entries(control).filter(([own]) => own !== name))

const notJson = bodies(
  "json",
  "",
  " ",
  "null",
  "true",
  "1",
  "\"active\"",
  "[]",
  `[${text}]`,
  "{",
  text.slice(0, -1),
  `${text}}`,
  `${text}${text}`,
  `${text} // comment`,
  `/**/${text}`,
  text.replace("true", "True"),
  text.replaceAll("\"", "'"),
  text.replace("\"active\"", "active"),
  `${text.slice(0, -1)},}`,
  adding("\"x\":NaN"),
  adding("\"x\":Infinity"),
  adding("\"x\":0x10"),
  adding("\"x\":01"),
  adding("\"x\":\"\n\""),
  "active=true&iss=https%3A%2F%2Fidp.example",
  "<html><body>{\"active\":true}</body></html>",
  "<?xml version=\"1.0\"?><active>true</active>",
  `)]}',\n${text}`,
  `callback(${text})`,
  `\ufeff${text}`,
  `\u0000${text}`,
  `${text}\u0000`,
  "eyJhbGciOiJub25lIn0.eyJhY3RpdmUiOnRydWV9."
)

const notText = bodies(
  "encoding",
  bytes([0xff, 0xfe], text),
  bytes(text.slice(0, -1), ",\"x\":\"", [0xc3, 0x28], "\"}"),
  bytes(text.slice(0, -1), ",\"x\":\"", [0xed, 0xa0, 0x80], "\"}"),
  bytes(text.slice(0, -1), ",\"x\":\"", [0xf4, 0x90, 0x80, 0x80], "\"}"),
  adding("\"x\":\"\\ud800\""),
  adding("\"x\":\"\\udc00\\ud800\""),
  adding("\"\\ud800\":1"),
  text.replace(canary, "\\ud83d")
)

const repeated = bodies(
  "duplicate",
  adding("\"active\":true"),
  `{"active":false,${text.slice(1)}`,
  adding("\"active\":false"),
  adding("\"\\u0061ctive\":true"),
  adding("\"exp\":4000000000"),
  adding(`"iss":"${issuer}"`),
  adding("\"aud\":\"api\""),
  adding("\"a\\u0075d\":\"api\""),
  adding("\"sub\":\"root\""),
  adding("\"scope\":\"admin\""),
  adding("\"cnf\":{\"jkt\":\"a\",\"jkt\":\"b\"}"),
  adding("\"x\":1,\"x\":1"),
  adding("\"__proto__\":1,\"__proto__\":{}")
)

const tooLarge = [
  ...bodies("depth", adding(`"x":${nested(8)}`), adding(`"x":${nested(5000)}`), adding(`"x":{"y":${nested(7)}}`)),
  ...bodies(
    "members",
    adding(Array.from({ length: 257 }, (_, index) => `"m${index}":1`).join()),
    adding(`"x":{${Array.from({ length: 257 }, (_, index) => `"m${index}":1`).join()}}`)
  ),
  ...bodies("size", adding(`"x":"${"x".repeat(70_000)}"`), " ".repeat(70_000) + text),
  ...bodies("number", adding("\"x\":1e999"), adding("\"x\":[-1e999]"), text.replace(`${now + 600}`, "1e999"))
]

const activity = [
  ...[null, "true", "false", "TRUE", "yes", 1, 0, -1, [], [true], {}, { value: true }, ""].map((value): AnswerCase => ({
    name: `active ${shown(value)}`,
    respond: responding(JSON.stringify({ ...control, active: value })),
    reason: answer("active")
  })),
  ...[
    without("active"),
    { data: control },
    { token_introspection: control },
    { ...without("active"), Active: true },
    {
      ...without("active"),
      "active ": true
    },
    { error: "invalid_client" },
    {}
  ].map((members): AnswerCase => ({
    name: `members ${shown(Object.keys(members))}`,
    respond: responding(JSON.stringify(members)),
    reason: answer("active")
  })),
  {
    name: "active only in the prototype",
    respond: responding("{\"__proto__\":{\"active\":true}}"),
    reason: answer("active")
  }
]

const types = [
  "",
  "text/html",
  "text/plain",
  "text/json",
  "text/html; charset=application/json",
  "application/jsonp",
  "application/json+x",
  "application/problem+json",
  "application/jwt",
  "application/xml",
  "application/x-www-form-urlencoded",
  "application/javascript",
  "application/token-introspection+jwt",
  "json",
  "*/*"
].map((type): AnswerCase => ({
  name: `content type ${shown(type)}`,
  respond: responding(text, type),
  reason: answer("contentType")
}))

const statuses = [
  ...[201, 202, 203, 206, 226].map((status): AnswerCase => ({
    name: `status ${status} with an active answer`,
    respond: responding(text, "application/json", status),
    reason: answer("status")
  })),
  ...([
    [400, "refused"],
    [401, "refused"],
    [403, "refused"],
    [402, "endpoint"],
    [404, "endpoint"],
    [405, "endpoint"],
    [410, "endpoint"],
    [418, "endpoint"],
    [429, "status"],
    [500, "status"],
    [501, "status"],
    [502, "status"],
    [503, "status"],
    [504, "status"],
    [301, "endpoint"],
    [302, "endpoint"],
    [307, "endpoint"]
  ] as const).map(([status, problem]): AnswerCase => ({
    name: `status ${status} with an active answer`,
    respond: responding(text, "application/json", status),
    reason: unavailable(problem)
  }))
]

const claim = (name: string, reason: Reason, ...values: ReadonlyArray<unknown>): ReadonlyArray<AnswerCase> =>
  values.map((value) => ({
    name: `${name} ${shown(value)}`,
    respond: responding(JSON.stringify({ ...control, [name]: value })),
    reason
  }))

const manyAudiences = Array.from({ length: 65 }, (_, index) => index === 0 ? "api" : `${canary}${index}`)

const claims = [
  ...claim("iss", issuerUntrusted, "https://evil.example", `${issuer}/`, issuer.toUpperCase(), `${issuer} `, ""),
  ...claim("iss", issuerUntrusted, "https://second.example"),
  ...claim("iss", invalid("iss"), 7, [issuer], { value: issuer }, true),
  ...claim("aud", audienceMismatch, "other", "API", "api ", "", [], ["other"], ["apis", "ap"]),
  ...claim("aud", invalid("aud"), 7, {}, true, [7], ["api", 7], [["api"]]),
  ...claim("aud", missing("aud"), undefined, null),
  ...claim(
    "aud",
    { _tag: "ClaimInvalid", path: "aud", expected: "at most 64 audiences (maxAudiences)" },
    manyAudiences
  ),
  ...claim("exp", missing("exp"), undefined, null),
  ...claim("exp", invalid("exp"), "4000000000", "never", "", -1, 1e16, [now + 600], {}, true),
  ...claim("exp", { _tag: "TokenExpired" }, now - 30, now - 3600, 0, 0.5),
  ...claim("nbf", { _tag: "TokenNotYetValid", claim: "nbf" }, now + 31, now + 3600),
  ...claim("nbf", invalid("nbf"), "soon", -1, [], true),
  ...claim("iat", { _tag: "TokenNotYetValid", claim: "iat" }, now + 31, now + 3600),
  ...claim("iat", invalid("iat"), "now", -1, [], true),
  ...claim("sub", invalid("sub"), 7, [], {}, true),
  ...claim("jti", invalid("jti"), 7, [], {}),
  ...claim("roles", invalid("roles"), "admin", 7, { admin: true }),
  ...claim("roles", invalid("roles.0"), [7], [null]),
  ...claim(
    "token_type",
    typeMismatch,
    "refresh_token",
    "N_A",
    "mac",
    "",
    "Bearer ",
    7,
    ["Bearer"],
    {},
    true,
    "urn:ietf:params:oauth:token-type:refresh_token"
  )
]

/** Answers to a client that requests plain ones. */
export const plainCases: ReadonlyArray<AnswerCase> = [
  ...notJson,
  ...notText,
  ...repeated,
  ...tooLarge,
  ...activity,
  ...types,
  ...statuses,
  ...claims
]

const encode = (value: unknown): string =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url")

/** The control as a signed answer. */
export const signedControl = (pair: Pair): Effect.Effect<string> => signedAnswer(pair, control)

const replaced = (token: string, index: number, segment: string): string =>
  token.split(".").map((own, at) => at === index ? segment : own).join(".")

/** Answers to a client that requires signed ones. `other` is a key that the issuer does not have. */
export const signedCases = (pair: Pair, other: Pair): ReadonlyArray<AnswerCase> => {
  const jwt = (name: string, detail: TokenError.AnswerProblem, token: Effect.Effect<string>): AnswerCase => ({
    name: `signed: ${name}`,
    respond: Effect.map(token, jwtResponse),
    reason: signature(detail)
  })
  const mutated = (name: string, detail: TokenError.AnswerProblem, mutate: (token: string) => string) =>
    jwt(name, detail, Effect.map(signedControl(pair), mutate))
  const header = (detail: TokenError.AnswerProblem, ...all: ReadonlyArray<Members>) =>
    all.map((members) => jwt(`header ${shown(members)}`, detail, signedAnswer(pair, control, {}, members)))
  const rewritten = (detail: TokenError.AnswerProblem, ...all: ReadonlyArray<unknown>) =>
    all.map((value) => mutated(`header ${shown(value)}`, detail, (token) => replaced(token, 0, encode(value))))
  const outer = (detail: TokenError.AnswerProblem, ...all: ReadonlyArray<Members>) =>
    all.map((members) => jwt(`claims ${shown(members)}`, detail, signedAnswer(pair, control, members)))
  const inner = (detail: TokenError.AnswerProblem, ...all: ReadonlyArray<unknown>) =>
    all.map((value) =>
      jwt(`answer ${shown(value)}`, detail, signedAnswer(pair, control, { token_introspection: value }))
    )
  return [
    ...["application/json", "application/json; charset=utf-8"].map((type): AnswerCase => ({
      name: `signed: plain answer as ${type}`,
      respond: responding(text, type),
      reason: signature("unsigned")
    })),
    ...["application/jwt", "text/plain", "application/token-introspection+json", ""].map((type): AnswerCase => ({
      name: `signed: content type ${shown(type)}`,
      respond: Effect.flatMap(signedControl(pair), (token) => responding(token, type)),
      reason: answer("contentType")
    })),
    mutated("plain answer as JWT", "form", () => text),
    mutated("empty", "form", () => ""),
    mutated("one segment", "form", (token) => token.split(".")[0]!),
    mutated("two segments", "form", (token) => token.split(".").slice(0, 2).join(".")),
    mutated("four segments", "form", (token) => `${token}.x`),
    mutated("five segments, as if encrypted", "form", (token) => `${token}.x.y`),
    mutated("a list of two", "form", (token) => `${token},${token}`),
    mutated("quoted", "header", (token) => `"${token}"`),
    mutated("a space before", "header", (token) => ` ${token}`),
    mutated("a newline after", "encoding", (token) => `${token}\n`),
    mutated("padding after", "encoding", (token) => `${token}==`),
    mutated("no signature", "invalid", (token) => replaced(token, 2, "")),
    mutated("a signature of zeros", "invalid", (token) => replaced(token, 2, encode("\0".repeat(64)))),
    mutated("a short signature", "invalid", (token) => replaced(token, 2, encode("short"))),
    mutated("a signature of another alphabet", "encoding", (token) => replaced(token, 2, "++//")),
    mutated(
      "an inner claim changed",
      "invalid",
      (token) =>
        replaced(
          token,
          1,
          encode(Buffer.from(token.split(".")[1]!, "base64url").toString().replace("\"read\"", "\"root\""))
        )
    ),
    mutated(
      "a payload that is not canonical",
      "encoding",
      (token) => replaced(token, 1, `${token.split(".")[1]!}=`)
    ),
    mutated("a payload that is not JSON", "json", (token) => replaced(token, 1, encode("active"))),
    mutated("a payload of a list", "json", (token) => replaced(token, 1, encode("[]"))),
    mutated(
      "a repeated claim",
      "duplicate",
      (token) =>
        replaced(token, 1, encode(`{"aud":"x",${Buffer.from(token.split(".")[1]!, "base64url").toString().slice(1)}`))
    ),
    ...rewritten("header", "{", [], { typ: "token-introspection+jwt" }, { alg: 7, typ: "token-introspection+jwt" }),
    ...rewritten(
      "algorithm",
      ...["none", "None", "NONE", "", "HS256", "RS256", "ES384", "es256", "ES256 "].map((alg) => ({
        alg,
        typ: "token-introspection+jwt"
      }))
    ),
    ...rewritten(
      "header",
      { alg: "ES256", typ: "token-introspection+jwt", crit: ["b64"], b64: false },
      { alg: "ES256", typ: "token-introspection+jwt", crit: [] },
      { alg: "ES256", typ: ["token-introspection+jwt"] },
      { alg: "ES256", typ: "token-introspection+jwt", kid: 7 },
      "{\"alg\":\"none\",\"alg\":\"ES256\",\"typ\":\"token-introspection+jwt\"}"
    ),
    ...header(
      "type",
      { typ: undefined },
      { typ: "JWT" },
      { typ: "at+jwt" },
      { typ: "token-introspection" },
      {
        typ: "logout+jwt"
      },
      { typ: "introspection+jwt" },
      { typ: "" }
    ),
    ...header("key", { kid: "unknown" }, { kid: "" }),
    jwt("another key", "key", signedAnswer(other, control)),
    jwt("another key under the id of the issuer's", "invalid", signedAnswer({ ...other, kid: pair.kid }, control)),
    ...header("key", {
      kid: "x",
      jwk: other.publicJwk,
      jku: "https://evil.example/jwks",
      x5u: "https://evil.example/x5u"
    }),
    ...outer(
      "issuer",
      { iss: undefined },
      { iss: null },
      { iss: "https://evil.example" },
      { iss: `${issuer}/` },
      { iss: [issuer] },
      { iss: "" }
    ),
    ...outer(
      "audience",
      { aud: undefined },
      { aud: null },
      { aud: "api" },
      { aud: "web" },
      { aud: [] },
      { aud: ["other"] },
      { aud: 7 },
      { aud: ["api-client", 7] },
      { aud: { "api-client": true } },
      { aud: "api-client " }
    ),
    ...outer(
      "issuedAt",
      { iat: undefined },
      { iat: null },
      { iat: `${now}` },
      { iat: now + 31 },
      { iat: now - 90 },
      { iat: 0 },
      { iat: [now] },
      { nbf: now + 31 },
      { nbf: "x" },
      { nbf: null }
    ),
    ...outer("expiry", { exp: now - 30 }, { exp: 0 }, { exp: "x" }, { exp: null }),
    ...inner("claim", undefined, null, "active", true, 1, [control], JSON.stringify(control)),
    ...inner("active", {}, { ...control, active: "true" }, { ...control, active: 1 }, { ...control, active: null }),
    ...inner("active", { token_introspection: control }),
    jwt(
      "the members beside the claim",
      "claim",
      signedAnswer(pair, control, { ...control, token_introspection: undefined, aud: "api-client", iat: now })
    ),
    jwt("an answer that is too deep", "depth", signedAnswer(pair, { ...control, x: JSON.parse(nested(9)) })),
    {
      name: "signed: of a trusted issuer, about a token of another one",
      respond: Effect.map(signedAnswer(pair, { ...control, iss: "https://second.example" }), jwtResponse),
      reason: issuerUntrusted
    },
    {
      name: "signed: about a token for another API",
      respond: Effect.map(signedAnswer(pair, { ...control, aud: "other" }), jwtResponse),
      reason: audienceMismatch
    },
    {
      name: "signed: about a refresh token",
      respond: Effect.map(signedAnswer(pair, { ...control, token_type: "refresh_token" }), jwtResponse),
      reason: typeMismatch
    },
    {
      name: "signed: inactive",
      respond: Effect.map(signedAnswer(pair, { active: false }), jwtResponse),
      reason: { _tag: "TokenInactive" }
    }
  ]
}
