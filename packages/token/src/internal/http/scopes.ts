import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"

/** One or more scopes. */
export type Scopes = readonly [string, ...ReadonlyArray<string>]

/** A scope token: RFC 6749, 3.3. */
export const scopeToken = /^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/

const expected = "1 to 64 scopes, each without spaces, quotes and backslashes (RFC 6749, 3.3)"

/**
 * Returns scopes that a token can have. Throws `ConfigurationError` (`INVALID_CONFIG`) for others, with which a check would
 * reject every caller.
 */
export const checkScopes = (scopes: Scopes): Scopes => {
  if (scopes.length <= 64 && scopes.every((scope) => scopeToken.test(scope))) return scopes
  throw InvalidConfig.option("scopes", expected)
}
