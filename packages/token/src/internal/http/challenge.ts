/** What an API says of itself in every challenge. */
export interface Protection {
  readonly realm: string
  /** Where its metadata are (RFC 9728, 5.1). */
  readonly resourceMetadata?: string | undefined
}

/** Where nothing else was said. RFC 6750 wants a parameter in every challenge, so there is always a realm. */
export const defaultProtection: Protection = { realm: "api" }

/** Why a request was refused, in the words of RFC 6750, 3.1. */
export interface Refusal {
  readonly error: "invalid_request" | "invalid_token" | "insufficient_scope"
  /** Of the characters that RFC 6750, 3 allows. */
  readonly description: string
  readonly scopes?: ReadonlyArray<string> | undefined
}

/** As in RFC 9110, 5.6.4. What it is given has no control characters. */
const quoted = (text: string): string => `"${text.replaceAll(/["\\]/g, String.raw`\$&`)}"`

/** One scope: RFC 6749, 3.3. */
const scopeToken = /^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/

/** Whether a text can be a scope: no token could ever have one that can't. */
export const isScope = (text: string): boolean => scopeToken.test(text)

/**
 * The value of `WWW-Authenticate` for a bearer token. Without a refusal it tells no error, as for a request that had no
 * credentials.
 *
 * @see RFC 6750, 3
 */
export const challengeOf = ({ realm, resourceMetadata }: Protection, refusal?: Refusal): string =>
  Object.entries({
    realm,
    error: refusal?.error,
    error_description: refusal?.description,
    scope: refusal?.scopes === undefined || refusal.scopes.length === 0 ? undefined : refusal.scopes.join(" "),
    resource_metadata: resourceMetadata
  })
    .flatMap(([name, value]) => value === undefined ? [] : [`${name}=${quoted(value)}`])
    .join(", ")
    .replace(/^/, "Bearer ")
