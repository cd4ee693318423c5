import * as Duration from "effect/Duration"
import { issuersOf, type Profile, type ValidationPolicy } from "../../ValidationPolicy.ts"

/** An issuer that is trusted: what the key source knows it as, and what a key may say of its own issuer. */
export interface TrustedIssuer {
  readonly keysOf: string
}

/** A policy in the form in which tokens are held against it. */
export interface Rules {
  readonly policy: ValidationPolicy
  readonly issuers: ReadonlyMap<string, TrustedIssuer>
  readonly audiences: ReadonlySet<string>
  readonly algorithms: ReadonlySet<string>
  readonly types: ReadonlySet<string>
  readonly requireType: boolean
  readonly requiredClaims: ReadonlyArray<string>
  /** Milliseconds. */
  readonly tolerance: number
  /** Milliseconds. */
  readonly maxAge: number | undefined
}

/** What a profile asks for beside `iss`, `aud` and `exp`, which every token has to have. */
const profiles: Record<
  Profile,
  { readonly type: string; readonly requireType: boolean; readonly claims: ReadonlyArray<string> }
> = {
  jwt: { type: "JWT", requireType: false, claims: [] },
  accessToken: { type: "at+jwt", requireType: true, claims: ["sub", "client_id", "iat", "jti"] },
  idToken: { type: "JWT", requireType: false, claims: ["sub", "iat"] }
}

/** Media types have no case, which is one of ASCII alone; and `application/` may be left out (RFC 7515, 4.1.9). */
export const normalizedType = (type: string): string =>
  type.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase()).replace(/^application\/(?=[^/]*$)/, "")

const trusted = ({ issuers }: ValidationPolicy): ReadonlyMap<string, TrustedIssuer> =>
  new Map(issuers.flatMap((issuer) => {
    const keysOf = typeof issuer === "string" ? issuer : issuer.template
    return issuersOf(issuer).map((name): readonly [string, TrustedIssuer] => [name, { keysOf }])
  }))

/** Made once for a validator. */
export const rulesOf = (policy: ValidationPolicy): Rules => {
  const profile = profiles[policy.profile]
  return {
    policy,
    issuers: trusted(policy),
    audiences: new Set(policy.audiences),
    algorithms: new Set(policy.algorithms),
    types: new Set((policy.types ?? [profile.type]).map(normalizedType)),
    requireType: policy.requireType ?? profile.requireType,
    requiredClaims: [...new Set([...profile.claims, ...policy.requiredClaims])],
    tolerance: Duration.toMillis(policy.clockTolerance),
    maxAge: policy.maxAge === undefined ? undefined : Duration.toMillis(policy.maxAge)
  }
}
