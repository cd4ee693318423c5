import type { Scheme } from "../dpop/confirmation.ts"
import type { BroaderScopes } from "./scopeHierarchy.ts"

/** The part of every challenge that describes the API: its protection space (RFC 9110, 11.5) and its metadata. */
export interface ProtectionSpace {
  /** The realm. */
  readonly realm: string
  /** The URL of its protected resource metadata (RFC 9728, 5.1). Default none. */
  readonly resourceMetadata?: string | undefined
  /** The scopes that challenges to callers without a valid token name (RFC 6750, 3). Default none. */
  readonly scopes?: ReadonlyArray<string> | undefined
  /** For each scope the broader ones that imply it. Default none. */
  readonly broader?: BroaderScopes | undefined
  /** The schemes that the API accepts, first the one that the caller used. Default Bearer. */
  readonly schemes?: ReadonlyArray<Scheme> | undefined
  /** The algorithms of DPoP proofs (RFC 9449, 7.1). Default none. */
  readonly algorithms?: ReadonlyArray<string> | undefined
}

/** RFC 6750 requires a parameter in every challenge, so that there is always a realm. */
export const defaultProtectionSpace: ProtectionSpace = { realm: "api" }

/** The error of a challenge: RFC 6750, 3.1 and RFC 9449, 12.2. */
export interface ChallengeError {
  readonly error: "invalid_request" | "invalid_token" | "insufficient_scope" | "invalid_dpop_proof" | "use_dpop_nonce"
  /** In the characters that RFC 6750, 3 allows. */
  readonly description: string
  readonly scopes?: ReadonlyArray<string> | undefined
}

/** A quoted string: RFC 9110, 5.6.4. The text has no control characters. */
const quoted = (text: string): string => `"${text.replaceAll(/["\\]/g, String.raw`\$&`)}"`

const challengeOf = (
  scheme: Scheme,
  { algorithms, realm, resourceMetadata }: ProtectionSpace,
  error: ChallengeError | undefined,
  scopes: ReadonlyArray<string> | undefined
): string =>
  Object.entries({
    realm,
    error: error?.error,
    error_description: error?.description,
    scope: scopes === undefined || scopes.length === 0 ? undefined : scopes.join(" "),
    algs: scheme === "DPoP" ? algorithms?.join(" ") : undefined,
    resource_metadata: resourceMetadata
  })
    .flatMap(([name, value]) => value === undefined ? [] : [`${name}=${quoted(value)}`])
    .join(", ")
    .replace(/^/, `${scheme} `)

/**
 * The value of `WWW-Authenticate`: a challenge for each scheme, of which the first has the error. It has no error for a request
 * without credentials. `scopes` are those of the error, or those that a caller without a valid token needs.
 *
 * @see RFC 6750, 3; RFC 9449, 7.1
 */
export const challenge = (space: ProtectionSpace, error?: ChallengeError, scopes = error?.scopes): string =>
  (space.schemes ?? (["Bearer"] as const))
    .map((scheme, index) => challengeOf(scheme, space, index === 0 ? error : undefined, scopes))
    .join(", ")
