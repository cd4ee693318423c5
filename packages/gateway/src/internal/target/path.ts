/** What a request target may consist of: visible ASCII without `#`, which begins a fragment (RFC 9112, 3.2; RFC 3986, 2). */
const visible = /^[\x21\x22\x24-\x7e]*$/

/** A text with its percent-encoded bytes decoded once; `undefined` if it has a malformed escape, NUL, or bytes that are not UTF-8. */
export const decodeOnce = (text: string): string | undefined => {
  if (!visible.test(text)) return undefined
  if (!text.includes("%")) return text
  try {
    // It decodes each escape strictly as UTF-8 (ECMA-262, 19.2.6.5), with no other change.
    const decoded = decodeURIComponent(text)
    return decoded.includes("\0") ? undefined : decoded
  } catch {
    return undefined
  }
}

const absolute = /^https?:\/\/[^/?#]*/i

/** The path and the query of a request target in origin-form or absolute-form (RFC 9112, 3.2); `undefined` for other forms. */
export const originForm = (target: string): string | undefined => {
  if (target.startsWith("/")) return target
  const authority = absolute.exec(target)
  if (authority === null) return undefined
  const rest = target.slice(authority[0].length)
  return rest.startsWith("/") ? rest : `/${rest}`
}

/**
 * Whether a key would leave its bucket at a server that resolves dot segments (RFC 3986, 5.2.4), also one that merges slashes first.
 */
export const climbsOut = (key: string): boolean => {
  if (!key.includes("..")) return false
  let depth = 0
  for (const segment of key.split("/")) {
    if (segment === "..") depth--
    else if (segment !== "" && segment !== ".") depth++
    if (depth < 0) return true
  }
  return false
}

const encoder = new TextEncoder()

/** Whether a key is at most 1024 bytes long, as S3 allows. */
export const fits = (key: string): boolean =>
  key.length <= 341 || (key.length <= 1024 && encoder.encode(key).length <= 1024)
