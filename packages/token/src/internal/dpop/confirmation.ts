import type { Mode } from "../../BindingOptions.ts"
import type { Confirmation } from "../../Claims.ts"
import type * as TokenError from "../../TokenError.ts"
import { bindingUnsupported, proofMissing, tokenUnbound } from "./reasons.ts"

/** In which ways the tokens of an API may be bound, and have to be. */
export interface BindingRules {
  readonly dpop: Mode
  readonly mtls: Mode
  /** Whether a token has to be bound in one of the ways. */
  readonly requireBinding: boolean
  /** Whether a token that is bound in another way counts as not bound. */
  readonly ignoresUnsupported: boolean
}

/** The scheme with which a token was sent. Tokens in cookies, URLs and named headers are sent like bearer tokens. */
export type Scheme = "Bearer" | "DPoP"

/** The key that the caller has to prove; `undefined` for a token that is not bound to one, or where the API does not check it. */
export const proofKeyOf = (cnf: Confirmation | undefined, { dpop }: BindingRules): string | undefined =>
  dpop === "off" ? undefined : cnf?.jkt

/** The certificate that the caller has to have; `undefined` as for `proofKeyOf`. */
export const certificateOf = (cnf: Confirmation | undefined, { mtls }: BindingRules): string | undefined =>
  mtls === "off" ? undefined : cnf?.["x5t#S256"]

/** Whether a bound token names a key in a way that the API does not check, or in none that is known. */
const isUnsupported = (cnf: Confirmation, { dpop, mtls }: BindingRules): boolean => {
  const { jkt, "x5t#S256": certificate } = cnf
  return jkt === undefined && certificate === undefined
    ? true
    : (jkt !== undefined && dpop === "off") || (certificate !== undefined && mtls === "off")
}

/** Whether the token is bound as the API requires, and sent with the scheme for that. */
export const checkConfirmation = (
  cnf: Confirmation | undefined,
  scheme: Scheme,
  rules: BindingRules
): TokenError.BindingReason | undefined => {
  if (cnf !== undefined && !rules.ignoresUnsupported && isUnsupported(cnf, rules)) return bindingUnsupported
  const hasKey = proofKeyOf(cnf, rules) !== undefined
  const hasCertificate = certificateOf(cnf, rules) !== undefined
  if (!hasKey && (scheme === "DPoP" || rules.dpop === "required")) return tokenUnbound
  if (!hasCertificate && rules.mtls === "required") return tokenUnbound
  if (rules.requireBinding && !hasKey && !hasCertificate) return tokenUnbound
  // A bound token must not be accepted as a bearer token: RFC 9449, 7.2.
  return hasKey && scheme !== "DPoP" ? proofMissing : undefined
}
