/**
 * What a policy expects, in words: for explanations and for the debug line of a rejected request. The values of a policy are no
 * secret. Nothing of a token is in these texts.
 */
import * as Duration from "effect/Duration"
import type { CheckName } from "../../Explain.ts"
import type * as TokenError from "../../TokenError.ts"
import type { ValidateOptions } from "../../TokenValidator.ts"
import type { Rules } from "./rules.ts"

const maxLength = 200

/** A value as JSON in ASCII, truncated: control characters and characters that change the direction of text are escaped. */
export const quoted = (value: unknown): string => {
  const text = JSON.stringify(value).replaceAll(
    /[^\u0020-\u007e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`
  )
  return text.length <= maxLength ? text : `${text.slice(0, maxLength)}... (${text.length} characters)`
}

/** More values are only counted. */
const maxListed = 10

const listed = (values: Iterable<string>): string => {
  const all = [...values].map(quoted)
  const more = all.length - maxListed
  return all.slice(0, maxListed).join(", ") + (more > 0 ? ` and ${more} more` : "")
}

const issuersOf = ({ policy: { issuers } }: Rules): ReadonlyArray<string> =>
  issuers.map((issuer) => {
    if (typeof issuer === "string") return issuer
    const { template, tenants } = issuer
    return `${template} (${typeof tenants === "function" ? "tenants by a function" : `${tenants.length} tenants`})`
  })

const within = ({ tolerance }: Rules): string => `with a tolerance of ${Duration.format(Duration.millis(tolerance))}`

type Describe = (rules: Rules, options: ValidateOptions) => string | undefined

/** The checks whose outcome depends on the policy or on the options of a call. */
const descriptions: Partial<Record<CheckName, Describe>> = {
  form: ({ policy }) => `a signed token of three parts, with at most ${policy.maxLength} characters`,
  algorithm: ({ algorithms }) => `alg is one of ${listed(algorithms)}`,
  type: ({ requireType, types }) => `typ is one of ${listed(types)}${requireType ? "" : ", or absent"}`,
  payload: ({ policy }) => `a JSON object with at most ${policy.maxDepth} levels and ${policy.maxMembers} members`,
  introspection: () => "the authorization server says that the token is active",
  tokenType: () => "token_type is Bearer or DPoP; with DPoP there is cnf.jkt",
  registeredClaims: ({ policy }) =>
    `${
      policy.trustDomain === undefined ? "iss, " : ""
    }exp and ${policy.audienceClaim}, with at most ${policy.maxAudiences} audiences`,
  issuer: (rules) => `iss is one of ${listed(issuersOf(rules))}`,
  audience: ({ audiences, policy }) => `${policy.audienceClaim} contains one of ${listed(audiences)}`,
  expiry: (rules) => `exp is in the future, ${within(rules)}`,
  notBefore: (rules) => `nbf is in the past, ${within(rules)}`,
  issuedAt: (rules) => `iat is in the past, ${within(rules)}`,
  age: (rules) =>
    rules.maxAge === undefined
      ? undefined
      : `iat is at most ${Duration.format(Duration.millis(rules.maxAge))} ago, ${within(rules)}`,
  requiredClaims: ({ requiredClaims }) => `the claims ${listed(requiredClaims)}`,
  authorizedParty: ({ authorizedParties = [] }) => `azp is one of ${listed(authorizedParties)}`,
  spiffeId: ({ policy: { trustDomain } }) => `sub is the SPIFFE ID of a workload of ${quoted(trustDomain)}`,
  callAudience: ({ policy }, { audience = "" }) => `${policy.audienceClaim} contains ${quoted(audience)}`,
  callIssuer: (_, { issuer = "" }) => `iss is ${quoted(issuer)}`,
  callClaims: (_, { requiredClaims = [] }) => `the claims ${listed(requiredClaims)}`,
  nonce: () => "nonce is the one in the call's options",
  accessTokenHash: () => "at_hash is the hash of the access token in the call's options",
  codeHash: () => "c_hash is the hash of the code in the call's options"
}

/** What a check expects; `undefined` for one that depends on neither the policy nor the call. */
export const expectedBy = (check: CheckName, rules: Rules, options: ValidateOptions = {}): string | undefined =>
  descriptions[check]?.(rules, options)

const parts: Record<TokenError.Part, CheckName> = {
  token: "form",
  header: "header",
  payload: "payload",
  signature: "signatureEncoding"
}

const rejectedClaims: Record<string, CheckName> = {
  iss: "callIssuer",
  nonce: "nonce",
  azp: "authorizedParty",
  at_hash: "accessTokenHash",
  c_hash: "codeHash",
  sub: "spiffeId"
}

/** The check that fails with a reason, where that is always the same one. */
const checkOf = (reason: TokenError.Reason, { policy, requiredClaims }: Rules): CheckName | undefined => {
  switch (reason._tag) {
    case "TokenMalformed":
      return parts[reason.part]
    case "TokenInactive":
      return "introspection"
    case "AlgorithmUnsupported":
      return "algorithm"
    case "TypeMismatch":
      return "type"
    case "IssuerUntrusted":
      return "issuer"
    case "TokenExpired":
      return "expiry"
    case "TokenNotYetValid":
      return reason.claim === "nbf" ? "notBefore" : "issuedAt"
    case "TokenTooOld":
      return "age"
    case "AudienceMismatch":
      return "audience"
    case "ClaimMissing":
      if (["iss", "exp", policy.audienceClaim].includes(reason.claim)) return "registeredClaims"
      return requiredClaims.includes(reason.claim) ? "requiredClaims" : rejectedClaims[reason.claim]
    case "ClaimRejected":
      return rejectedClaims[reason.claim]
    default:
      return undefined
  }
}

/** What the policy expected of a token that was rejected for a reason. */
export const expectedInstead = (reason: TokenError.Reason, rules: Rules): string | undefined => {
  if (reason._tag === "ClaimInvalid" && reason.expected !== undefined) return reason.expected
  const check = checkOf(reason, rules)
  return check === undefined ? undefined : expectedBy(check, rules)
}
