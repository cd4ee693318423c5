/**
 * Compares the URL of a request with the one in a proof.
 *
 * @see RFC 9449, 4.3; RFC 3986, 6.2.2 and 6.2.3
 */

/** The characters of a URL, and some that browsers send in paths although RFC 3986 has them encoded. */
const characters = /^[\x21\x23-\x5b\x5d-\x7e"]+$/
const badEscape = /%(?![\dA-Fa-f]{2})/
const absolute = /^https?:\/\/([^/?#@%]+)(\/[^?#]*)?(?:[?#]|$)/i
const unreserved = /^[\w\-.~]$/
/** Characters that a client may send either as they are or encoded. */
const optionalEscape = /["<>^`{|}[\]]/g

const encoded = (character: string): string => `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`

/** Decodes unreserved characters, and writes all other escapes in upper case. */
const normalizedPath = (path: string): string =>
  path.replaceAll(optionalEscape, encoded).replaceAll(/%[\dA-Fa-f]{2}/g, (escape) => {
    const character = String.fromCharCode(Number.parseInt(escape.slice(1), 16))
    return unreserved.test(character) ? character : escape.toUpperCase()
  })

/**
 * The normal form of an http or https URL without query and fragment: scheme and host in lower case, without the default port,
 * without dot segments, and with one spelling of escapes. `undefined` for any other text, and for a URL with user information.
 */
export const normalizeUri = (text: string): string | undefined => {
  if (!characters.test(text)) return undefined
  const [, authority, path = "/"] = absolute.exec(text) ?? []
  if (authority === undefined || badEscape.test(path)) return undefined
  const url = URL.parse(`${text.slice(0, text.indexOf(":"))}://${authority}${normalizedPath(path)}`)
  return url === null ? undefined : `${url.protocol}//${url.host}${url.pathname}`
}

const endOfPath = (target: string): number => {
  const [query, fragment] = [target.indexOf("?"), target.indexOf("#")]
  return Math.min(query < 0 ? target.length : query, fragment < 0 ? target.length : fragment)
}

/** The path of a request target, without query and fragment; `undefined` for `*`, and for text that is no target. */
export const pathOf = (target: string): string | undefined => {
  if (target.startsWith("/")) return target.slice(0, endOfPath(target))
  const [, , ofUrl = "/"] = absolute.exec(target) ?? []
  return absolute.test(target) ? ofUrl : undefined
}

/**
 * Whether a proof is for a request: its `htu` is a URL of the API, followed by the path of the request. The host of the request
 * itself is not compared, since the client chooses the header `Host`.
 *
 * - `baseUrls`: without a slash at the end.
 */
export const isTarget = (htu: string, target: string, baseUrls: ReadonlyArray<string>): boolean => {
  const path = pathOf(target)
  if (path === undefined) return false
  if (baseUrls.some((base) => htu.length === base.length + path.length && htu.startsWith(base) && htu.endsWith(path))) {
    return true
  }
  const normalized = normalizeUri(htu)
  return normalized !== undefined && baseUrls.some((base) => normalizeUri(base + path) === normalized)
}
