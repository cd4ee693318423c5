import * as ErrorCode from "@keelson/core/ErrorCode"
import * as DateTime from "effect/DateTime"
import { maxNumericDate } from "../../Claims.ts"
import type { Check, CheckName, Explanation, Values } from "../../Explain.ts"
import { TokenError } from "../../TokenError.ts"

/** What it means that a check passed. */
const passed: Record<CheckName, string> = {
  form: "three parts, within the size",
  header: "can be read, and asks for no extension",
  algorithm: "is one of the policy's",
  type: "is one that is expected",
  signatureEncoding: "is canonical base64url",
  payload: "is one JSON object, within the limits",
  registeredClaims: "have their shapes; iss, aud and exp are there",
  issuer: "is trusted",
  key: "there is one that fits the header",
  signature: "is the key's",
  audience: "is one of the policy's",
  expiry: "is to come",
  notBefore: "has come, or is not there",
  issuedAt: "has come, or is not there",
  age: "is within the policy's",
  requiredClaims: "are there",
  authorizedParty: "is this client, or need not be there",
  schema: "fits the claims",
  trust: "the key is still trusted",
  callAudience: "is the one that the call asks for",
  callIssuer: "is the one that the call asks for",
  callClaims: "are there",
  nonce: "is the one that the call gives, or not there to be looked at",
  accessTokenHash: "fits the access token",
  revocation: "not revoked"
}

const maxLength = 200

/** A value as ASCII in JSON, cut: no control character, and nothing that changes the direction of text, gets through. */
const quoted = (value: unknown): string => {
  const text = JSON.stringify(value).replaceAll(
    /[^\u0020-\u007e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`
  )
  return text.length <= maxLength ? text : `${text.slice(0, maxLength)}... (${text.length} characters)`
}

/** The claims that are seconds since 1970, told as people read them too. */
const dates: ReadonlySet<string> = new Set(["exp", "nbf", "iat"])

const dated = (name: string, value: unknown): string =>
  dates.has(name) && typeof value === "number" && value >= 0 && value <= maxNumericDate
    ? ` (${DateTime.formatIso(DateTime.makeUnsafe(value * 1000))})`
    : ""

const listed = (values: Values | undefined): string => {
  if (values === undefined) return ""
  const all = Object.entries(values).map(([name, value]) => `${quoted(name)}: ${quoted(value)}${dated(name, value)}`)
  return ` [${all.join(", ")}]`
}

const told = (check: Check): string => {
  switch (check.status) {
    case "pass":
      return passed[check.name] + listed(check.values)
    case "fail": {
      const { code, message } = new TokenError(check.reason)
      return `${ErrorCode.codeInfo[code].id} ${code}: ${message}${listed(check.values)}`
    }
    case "notReached":
      return `needs ${check.needs}`
  }
}

const label = { pass: "pass", fail: "FAIL", notReached: "-" } as const

/** Lines of text: the verdict, and one for each check. */
export const renderText = ({ accepted, checks, reason }: Explanation): string => {
  const width = Math.max(...checks.map(({ name }) => name.length))
  const verdict = accepted || reason === undefined ? "accepted" : `refused: ${new TokenError(reason).code}`
  const isSigned = checks.some(({ name, status }) => name === "signature" && status === "pass")
  return [
    verdict,
    ...(isSigned ? [] : ["No key has verified this token: anybody may have written what it says."]),
    ...checks.map((check) => `${label[check.status].padEnd(4)}  ${check.name.padEnd(width)}  ${told(check)}`)
  ].join("\n")
}
