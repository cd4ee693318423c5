import * as Duration from "effect/Duration"
import type { Profile, ValidationPolicy } from "../../ValidationPolicy.ts"
import { expandIssuer, templateFinder, trustDomainId } from "./issuers.ts"

/** A trusted issuer. */
export interface TrustedIssuer {
  /**
   * The issuer under which the key source has the keys: the issuer itself, or the template that it was expanded from. A key
   * that states its issuer may state this name.
   */
  readonly keysOf: string
  /** Whether it is still trusted; only for a tenant that a function trusts, whose answer may change. */
  readonly isTrusted?: () => boolean
}

/** A policy compiled for checking tokens. */
export interface Rules {
  readonly policy: ValidationPolicy
  /** Finds a trusted issuer by the value of `iss`. */
  readonly trustedIssuer: (iss: string) => TrustedIssuer | undefined
  /** Whether `tenants` is a function, whose result may change: an issuer that is not trusted now may be trusted later. */
  readonly asksForTenants: boolean
  readonly audiences: ReadonlySet<string>
  readonly authorizedParties: ReadonlySet<string> | undefined
  readonly algorithms: ReadonlySet<string>
  readonly types: ReadonlySet<string>
  readonly requireType: boolean
  readonly requiredClaims: ReadonlyArray<string>
  /**
   * The required claims, and `sid` with a revocation list. The types of `sid`, `scope`, `scp` and `client_id` are checked only if
   * they are among these.
   */
  readonly usedClaims: ReadonlySet<string>
  /** What kind of keys verifies the tokens, in addition to those for signatures in general. */
  readonly keyUse: "jwt-svid" | undefined
  /** The clock tolerance in milliseconds. */
  readonly tolerance: number
  /** The maximum age of a token in milliseconds. */
  readonly maxAge: number | undefined
}

/** What a profile requires in addition to `iss`, `aud` and `exp`, which every token must have. */
const profiles: Record<
  Profile,
  { readonly types: ReadonlyArray<string>; readonly requireType: boolean; readonly claims: ReadonlyArray<string> }
> = {
  jwt: { types: ["JWT"], requireType: false, claims: [] },
  accessToken: { types: ["at+jwt"], requireType: true, claims: ["sub", "client_id", "iat", "jti"] },
  idToken: { types: ["JWT"], requireType: false, claims: ["sub", "iat"] },
  spiffe: { types: ["JWT", "JOSE"], requireType: false, claims: ["sub"] }
}

/** Lowercases the ASCII letters of a media type and removes `application/`, which may be omitted (RFC 7515, 4.1.9). */
export const normalizedType = (type: string): string =>
  type.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase()).replace(/^application\/(?=[^/]*$)/, "")

const trustedIssuers = ({ issuers, trustDomain }: ValidationPolicy): Rules["trustedIssuer"] => {
  const domain = trustDomain === undefined ? undefined : trustDomainId(trustDomain)
  const names = new Map(issuers.flatMap((issuer) => {
    // The keys are those of the trust domain, whatever issuer a JWT-SVID states.
    const keysOf = domain ?? (typeof issuer === "string" ? issuer : issuer.template)
    return expandIssuer(issuer).map((name): readonly [string, TrustedIssuer] => [name, { keysOf }])
  }))
  const findTemplate = templateFinder(issuers)
  return (iss) => {
    const named = names.get(iss)
    if (named !== undefined) return named
    const keysOf = findTemplate(iss)
    return keysOf === undefined ? undefined : { keysOf, isTrusted: () => findTemplate(iss) !== undefined }
  }
}

/** Compiles a policy. Each validator does this once. `usesSession` is whether the validator has a list of revoked sessions. */
export const compileRules = (policy: ValidationPolicy, usesSession = false): Rules => {
  const profile = profiles[policy.profile]
  const requiredClaims = [...new Set([...profile.claims, ...policy.requiredClaims])]
  return {
    policy,
    trustedIssuer: trustedIssuers(policy),
    asksForTenants: policy.issuers.some((issuer) => typeof issuer !== "string" && typeof issuer.tenants === "function"),
    audiences: new Set(policy.audiences),
    authorizedParties: policy.authorizedParties === undefined ? undefined : new Set(policy.authorizedParties),
    algorithms: new Set(policy.algorithms),
    types: new Set((policy.types ?? profile.types).map(normalizedType)),
    requireType: policy.requireType ?? profile.requireType,
    requiredClaims,
    usedClaims: new Set([...requiredClaims, ...(usesSession ? ["sid"] : [])]),
    keyUse: policy.trustDomain === undefined ? undefined : "jwt-svid",
    tolerance: Duration.toMillis(policy.clockTolerance),
    maxAge: policy.maxAge === undefined ? undefined : Duration.toMillis(policy.maxAge)
  }
}
