import * as Predicate from "effect/Predicate"
import type { Registered } from "../../Claims.ts"
import type { Reason } from "../../TokenError.ts"
import { audienceMismatch, missingMember } from "./reasons.ts"
import type { Rules } from "./rules.ts"
import { type JsonObject, own } from "./strictJson.ts"

const azpRejected: Reason = { _tag: "ClaimRejected", claim: "azp" }

/** Whether a `typ`, as `normalizedType` gives it, is one that is expected (RFC 8725, 3.11). */
export const isExpectedType = (typ: string | undefined, { requireType, types }: Rules): boolean =>
  typ === undefined ? !requireType : types.has(typ)

/** Who a token is for: `aud`, or `client_id` where the policy says so. */
export const audiencesOf = (
  { aud, client_id }: Registered,
  { policy }: Pick<Rules, "policy">
): ReadonlyArray<string> => policy.audienceClaim === "aud" ? aud : [client_id ?? ""]

/** One audience of the token has to be one of the policy's (RFC 7519, 4.1.3). */
export const audienceProblem = (registered: Registered, rules: Rules): Reason | undefined =>
  audiencesOf(registered, rules).some((audience) => rules.audiences.has(audience)) ? undefined : audienceMismatch

/** The first claim that has to be there and is not. */
export const missingClaim = (members: JsonObject, names: ReadonlyArray<string>): Reason | undefined => {
  const claim = names.find((name) => Predicate.isNullish(own(members, name)))
  return claim === undefined ? undefined : missingMember(claim)
}

/** The party that an ID token was issued to has to be this client (OpenID Connect Core 1.0, 3.1.3.7, 3 to 5). */
export const partyProblem = (members: JsonObject, { aud }: Registered, rules: Rules): Reason | undefined => {
  if (rules.policy.profile !== "idToken") return undefined
  const azp = own(members, "azp")
  if (azp === undefined) return aud.length > 1 ? missingMember("azp") : undefined
  return typeof azp === "string" && rules.audiences.has(azp) ? undefined : azpRejected
}
