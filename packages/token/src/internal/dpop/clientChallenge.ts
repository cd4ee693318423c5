/** Challenges of a longer header are not read. */
const maxLength = 8192

/** A scheme, or a parameter with its value (RFC 9110, 11.3). */
const parts = /([!#$%&'*+.^_`|~\w-]+)(?:[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([!#$%&'*+.^_`|~\w-]+)))?/g

/**
 * The `error` of the `DPoP` challenge in a `WWW-Authenticate` header, which may have challenges of other schemes too.
 *
 * @see RFC 9449, 7.1
 */
export const dpopError = (header: string | undefined): string | undefined => {
  if (header === undefined || header.length > maxLength) return undefined
  let isDpop = false
  for (const [, name = "", quoted, plain] of header.matchAll(parts)) {
    const value = quoted ?? plain
    if (value === undefined) isDpop = name.toLowerCase() === "dpop"
    else if (isDpop && name.toLowerCase() === "error") return value
  }
  return undefined
}
