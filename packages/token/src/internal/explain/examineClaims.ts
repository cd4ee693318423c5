import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Registered } from "../../Claims.ts"
import type { Options } from "../../Explain.ts"
import {
  accessTokenProblem,
  callAudienceProblem,
  callIssuerProblem,
  isNonceAsked,
  nonceProblem
} from "../validation/callChecks.ts"
import { audienceProblem, missingClaim, partyProblem } from "../validation/claimChecks.ts"
import { revocationUnavailable, revoked } from "../validation/reasons.ts"
import type { JsonObject } from "../validation/strictJson.ts"
import { ageProblem, expiryProblem, issuedAtProblem, notBeforeProblem } from "../validation/timeChecks.ts"
import type { Parts } from "../validation/validation.ts"
import type { Findings } from "./findings.ts"

/** The claims of a token, as it says. */
export interface Claimed {
  readonly members: JsonObject
  readonly registered: Registered
}

const needs = ["payload", "registeredClaims"] as const

/** What a token's claims are held against that no call can change, and their shape. */
export const examineClaims = (
  { decodeClaims, rules }: Parts<unknown>,
  claimed: Claimed | undefined,
  { skipExpiry }: Options,
  findings: Findings,
  now: number
): void => {
  const registered = claimed?.registered
  findings.hold("audience", needs, registered, (claims) => audienceProblem(claims, rules))
  if (skipExpiry !== true) findings.hold("expiry", needs, registered, (claims) => expiryProblem(claims, rules, now))
  findings.hold("notBefore", needs, registered, (claims) => notBeforeProblem(claims, rules, now))
  findings.hold("issuedAt", needs, registered, (claims) => issuedAtProblem(claims, rules, now))
  if (rules.maxAge !== undefined) findings.hold("age", needs, registered, (claims) => ageProblem(claims, rules, now))
  findings.hold("requiredClaims", needs, claimed, ({ members }) => missingClaim(members, rules.requiredClaims))
  if (rules.policy.profile === "idToken") {
    findings.hold("authorizedParty", needs, claimed, (token) => partyProblem(token.members, token.registered, rules))
  }
  findings.read("schema", needs, claimed, ({ members }) => decodeClaims(members))
}

/** What one call asks for. */
export const examineCall = Effect.fnUntraced(function*(
  { rules }: Parts<unknown>,
  claimed: Claimed | undefined,
  alg: string | undefined,
  options: Options,
  findings: Findings
) {
  const { accessToken, audience, issuer, requiredClaims = [] } = options
  if (audience !== undefined) {
    findings.hold("callAudience", needs, claimed, (token) => callAudienceProblem(token, options, rules))
  }
  if (issuer !== undefined) {
    findings.hold("callIssuer", needs, claimed, (token) => callIssuerProblem(token, options))
  }
  if (requiredClaims.length > 0) {
    findings.hold("callClaims", needs, claimed, ({ members }) => missingClaim(members, requiredClaims))
  }
  if (isNonceAsked(options, rules)) {
    findings.hold("nonce", needs, claimed, (token) => nonceProblem(token, options, rules))
  }
  if (accessToken === undefined) return
  // The algorithm says which hash it is: one that is not supported names none.
  if (claimed === undefined || alg === undefined || !findings.passed("algorithm")) {
    findings.skip("accessTokenHash", ["header", "algorithm", ...needs])
  } else findings.add("accessTokenHash", yield* accessTokenProblem({ alg, members: claimed.members }, accessToken))
})

/** Whether a token was revoked, where its signature is good: a list is not asked about what anybody may have written. */
export const examineRevocation = Effect.fnUntraced(function*(
  { revocation }: Parts<unknown>,
  claimed: Claimed | undefined,
  findings: Findings
) {
  if (revocation === undefined) return
  if (claimed === undefined || !findings.passed("signature")) {
    findings.skip("revocation", ["signature"])
    return
  }
  const answer = yield* Effect.result(revocation.isRevoked(claimed.registered))
  if (Result.isFailure(answer)) findings.add("revocation", revocationUnavailable)
  else findings.add("revocation", answer.success ? revoked : undefined)
})
