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
}

/** RFC 6750 requires a parameter in every challenge, so that there is always a realm. */
export const defaultProtectionSpace: ProtectionSpace = { realm: "api" }

/** The error of a challenge: RFC 6750, 3.1. */
export interface ChallengeError {
  readonly error: "invalid_request" | "invalid_token" | "insufficient_scope"
  /** In the characters that RFC 6750, 3 allows. */
  readonly description: string
  readonly scopes?: ReadonlyArray<string> | undefined
}

/** A quoted string: RFC 9110, 5.6.4. The text has no control characters. */
const quoted = (text: string): string => `"${text.replaceAll(/["\\]/g, String.raw`\$&`)}"`

/**
 * The value of `WWW-Authenticate` for a bearer token. It has no error for a request without credentials. `scopes` are those of
 * the error, or those that a caller without a valid token needs.
 *
 * @see RFC 6750, 3
 */
export const challenge = (
  { realm, resourceMetadata }: ProtectionSpace,
  error?: ChallengeError,
  scopes = error?.scopes
): string =>
  Object.entries({
    realm,
    error: error?.error,
    error_description: error?.description,
    scope: scopes === undefined || scopes.length === 0 ? undefined : scopes.join(" "),
    resource_metadata: resourceMetadata
  })
    .flatMap(([name, value]) => value === undefined ? [] : [`${name}=${quoted(value)}`])
    .join(", ")
    .replace(/^/, "Bearer ")
