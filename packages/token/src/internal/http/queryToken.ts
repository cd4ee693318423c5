import { isBearerToken } from "./authorizationHeader.ts"
import { type Found, malformed, none, notGet, several } from "./found.ts"
import type { RequestHead } from "./requestHead.ts"

const valuesOf = (url: string, name: string): ReadonlyArray<string> => {
  const start = url.indexOf("?")
  return start < 0 ? [] : new URLSearchParams(url.slice(start).replace(/#.*$/s, "")).getAll(name)
}

/** Whether the URL has a token at all, in whatever form. */
export const hasParameter = ({ url }: RequestHead, name: string): boolean => valuesOf(url, name).length > 0

/**
 * The token in a parameter of the URL: of GET only, since others would leave it where bodies and forms go.
 *
 * @see RFC 6750, 2.3
 */
export const inQuery = ({ method, url }: RequestHead, name: string): Found => {
  const [text, second] = valuesOf(url, name)
  if (text === undefined) return none
  if (second !== undefined) return several
  if (method !== "GET") return notGet
  return isBearerToken(text) ? { _tag: "Token", source: "query", text } : malformed
}
