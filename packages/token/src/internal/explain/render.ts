import * as ErrorCode from "@keelson/core/ErrorCode"
import * as DateTime from "effect/DateTime"
import type { Check, CheckName, Explanation, Values } from "../../Explain.ts"
import { TokenError } from "../../TokenError.ts"
import { quoted } from "../validation/expected.ts"
import { maxNumericDate } from "../validation/numericDate.ts"

/** The text for a check that passed. */
const passed: Record<CheckName, string> = {
  form: "has the expected form, within the size limit",
  introspection: "the authorization server says that it is active",
  tokenType: "is an access token's, or absent",
  header: "is valid, without critical extensions",
  algorithm: "is allowed by the policy",
  type: "is expected",
  signatureEncoding: "is canonical base64url",
  payload: "is a JSON object within the limits",
  registeredClaims: "have valid types; iss, aud and exp are present",
  issuer: "is trusted",
  key: "a trusted key fits the header",
  signature: "is valid",
  audience: "is allowed by the policy",
  expiry: "is in the future",
  notBefore: "is in the past, or absent",
  issuedAt: "is in the past, or absent",
  age: "is within maxAge",
  requiredClaims: "are present",
  authorizedParty: "is allowed by the policy",
  spiffeId: "is a workload of the trust domain",
  schema: "the claims match the schema",
  trust: "the key is still trusted",
  callAudience: "is the one requested by the call",
  callIssuer: "is the one requested by the call",
  callClaims: "are present",
  nonce: "is the one given by the call, or not checked",
  accessTokenHash: "matches the access token",
  codeHash: "matches the code",
  revocation: "not revoked",
  binding: "is as the API requires",
  proofForm: "one signed JWT",
  proofHeader: "is valid, without critical extensions",
  proofType: "is dpop+jwt",
  proofAlgorithm: "is allowed by the API",
  proofKey: "is a public key of the algorithm",
  proofClaims: "are a JSON object within the limits",
  proofId: "is usable; whether it was used before is not checked",
  proofMethod: "is that of the request",
  proofUrl: "is that of the request",
  proofTimes: "are now",
  proofToken: "is the hash of the token",
  proofBinding: "the key is that of the token",
  proofNonce: "is current",
  proofSignature: "is valid",
  certificate: "is that of the token"
}

/** The claims in seconds since 1970, which are shown as ISO dates too. */
const dates: ReadonlySet<string> = new Set(["exp", "nbf", "iat"])

const dated = (name: string, value: unknown): string =>
  dates.has(name) && typeof value === "number" && value >= 0 && value <= maxNumericDate
    ? ` (${DateTime.formatIso(DateTime.makeUnsafe(value * 1000))})`
    : ""

const listValues = (values: Values | undefined): string => {
  if (values === undefined) return ""
  const all = Object.entries(values).map(([name, value]) => `${quoted(name)}: ${quoted(value)}${dated(name, value)}`)
  return ` [${all.join(", ")}]`
}

const renderCheck = (check: Check): string => {
  switch (check.status) {
    case "pass":
      return passed[check.name] + listValues(check.values)
    case "fail": {
      const { code, message } = new TokenError(check.reason)
      const expected = check.expected === undefined ? "" : ` Expected: ${check.expected}.`
      return `${ErrorCode.codeInfo[code].id} ${code}: ${message}${listValues(check.values)}${expected}`
    }
    case "notReached":
      return check.needs === "introspect"
        ? "the authorization server was not asked: set the option introspect"
        : `needs ${check.needs}`
  }
}

const label = { pass: "pass", fail: "FAIL", notReached: "-" } as const

/** Lines of text: the result, and one line for each check. */
export const renderText = ({ accepted, checks, guide, reason }: Explanation): string => {
  const width = Math.max(...checks.map(({ name }) => name.length))
  const result = accepted
    ? "accepted"
    : reason === undefined
    ? "undecided: not all checks were made"
    : `rejected: ${new TokenError(reason).code}`
  const isSigned = checks.some(({ name, status }) =>
    (name === "signature" && status === "pass") || name === "introspection"
  )
  return [
    result,
    ...(isSigned ? [] : ["The signature was not verified: anybody could have written this token."]),
    ...checks.map((check) => `${label[check.status].padEnd(4)}  ${check.name.padEnd(width)}  ${renderCheck(check)}`),
    ...(guide === undefined ? [] : [`What tokens of this provider look like: ${guide}`])
  ].join("\n")
}
