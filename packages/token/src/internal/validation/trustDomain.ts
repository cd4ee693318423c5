import * as Schema from "effect/Schema"
import type { ValidationPolicy } from "../../ValidationPolicy.ts"
import { trustDomainId } from "./issuers.ts"

type Options = Pick<ValidationPolicy, "issuers" | "profile" | "trustDomain">

/** Checks that a policy of JWT-SVIDs names its trust domain, and that no other policy does. */
export const hasTrustDomain = Schema.makeFilter(({ issuers, profile, trustDomain }: Options) => {
  if (profile !== "spiffe") {
    return trustDomain === undefined || { path: ["trustDomain"], issue: "left out, unless profile is spiffe" }
  }
  if (trustDomain === undefined) return { path: ["trustDomain"], issue: "given, since profile is spiffe" }
  if (issuers[0] !== trustDomainId(trustDomain)) {
    return { path: ["issuers", 0], issue: `${trustDomainId(trustDomain)}, the SPIFFE ID of trustDomain` }
  }
  const index = issuers.findIndex((issuer) => typeof issuer !== "string")
  return index === -1 || { path: ["issuers", index], issue: "text, since profile is spiffe" }
})
