/**
 * Finds the token of a request: in the header `Authorization`, in another header, in a query parameter or in a cookie.
 *
 * @see RFC 6750, 2
 */
import * as Predicate from "effect/Predicate"
import type { Mode } from "../../BindingOptions.ts"
import { modeOf } from "../dpop/modeOf.ts"
import type { RequestHead } from "./requestHead.ts"

/** How a request sends its token in a way that is not allowed. */
export interface RequestProblem {
  /** The name in metrics and logs. */
  readonly name: "TokenMalformed" | "TokenRepeated" | "TokenMisplaced"
  /** Shown to the caller, in characters that RFC 6750, 3 allows. */
  readonly description: string
}

/** Where a token was: `dpop` is the header `Authorization` with the scheme `DPoP`, and `header` the same with `Bearer`. */
type TokenSource = "header" | "dpop" | "namedHeader" | "query" | "cookie"

/** The token of a request, or why there is none to validate. */
export type RequestToken =
  | { readonly _tag: "None" }
  | { readonly _tag: "Token"; readonly source: TokenSource; readonly text: string }
  | { readonly _tag: "Invalid"; readonly problem: RequestProblem }
  | { readonly _tag: "OtherOrigin" }

const none: RequestToken = { _tag: "None" }
export const malformed: RequestToken = {
  _tag: "Invalid",
  problem: { name: "TokenMalformed", description: "The access token is malformed" }
}
export const several: RequestToken = {
  _tag: "Invalid",
  problem: { name: "TokenRepeated", description: "The request has more than one access token" }
}
export const notGet: RequestToken = {
  _tag: "Invalid",
  problem: { name: "TokenMisplaced", description: "An access token in the query is only allowed with GET" }
}
/** JavaScript may pass headers in a form that has none of them. */
export const unreadable: RequestToken = {
  _tag: "Invalid",
  problem: { name: "TokenMalformed", description: "The headers of the request cannot be read" }
}
const otherOrigin: RequestToken = { _tag: "OtherOrigin" }

const schemeName = /^[!#$%&'*+.^_`|~\w-]+$/
const b64token = /^[\w.~+/-]+=*$/

/** Whether a text has the syntax of a bearer token: RFC 6750, 2.1. */
const isBearerToken = (text: string): boolean => b64token.test(text)

/** Whether a header is repeated: Node keeps the first `Authorization`, and lists all headers in `rawHeaders`. */
export const isRepeated = (source: object, header: string): boolean => {
  if (!Predicate.hasProperty(source, "rawHeaders") || !Array.isArray(source.rawHeaders)) return false
  let times = 0
  for (let index = 0; index < source.rawHeaders.length; index += 2) {
    const name: unknown = source.rawHeaders[index]
    if (Predicate.isString(name) && name.length === header.length && name.toLowerCase() === header) times++
  }
  return times > 1
}

/** Scheme and credentials are separated by spaces: RFC 9110, 11.4. */
const fromCredentials = (value: string, acceptsDPoP: boolean): RequestToken => {
  const space = value.indexOf(" ")
  const scheme = space < 0 ? value : value.slice(0, space)
  if (!schemeName.test(scheme)) return malformed
  const name = scheme.toLowerCase()
  const isDPoP = acceptsDPoP && name === "dpop"
  // Another scheme is not a malformed token: the caller did not know which scheme to use (RFC 6750, 3.1).
  if (name !== "bearer" && !isDPoP) return none
  const text = space < 0 ? "" : value.slice(space).replace(/^ +/, "")
  return isBearerToken(text) ? { _tag: "Token", source: isDPoP ? "dpop" : "header", text } : malformed
}

/** The token in `Authorization`. Other servers than Node's join repeated headers with commas, which no token has. */
const fromHeader = ({ headers, source }: RequestHead, acceptsDPoP: boolean): RequestToken => {
  const value = headers["authorization"]
  if (value === undefined) return none
  if (isRepeated(source, "authorization")) return several
  return value === "" ? none : fromCredentials(value, acceptsDPoP)
}

/** The token in the named header, without a scheme. */
const fromNamedHeader = ({ headers, source }: RequestHead, name: string): RequestToken => {
  const text = headers[name]
  if (text === undefined || text === "") return none
  if (isRepeated(source, name)) return several
  return isBearerToken(text) ? { _tag: "Token", source: "namedHeader", text } : malformed
}

/** The fragment is cut first (RFC 3986, 3.5): a question mark in it begins no query. */
const parametersOf = (url: string, name: string): ReadonlyArray<string> => {
  const [target = ""] = url.split("#", 1)
  const start = target.indexOf("?")
  return start < 0 ? [] : new URLSearchParams(target.slice(start)).getAll(name)
}

/** Whether the URL has the parameter, with any value. */
export const hasParameter = ({ url }: RequestHead, name: string): boolean => parametersOf(url, name).length > 0

/**
 * The token in a parameter of the URL. Only with GET: requests with a body can send the token there.
 *
 * @see RFC 6750, 2.3
 */
const fromQuery = ({ method, url }: RequestHead, name: string): RequestToken => {
  const [text, second] = parametersOf(url, name)
  if (text === undefined) return none
  if (second !== undefined) return several
  if (method !== "GET") return notGet
  return isBearerToken(text) ? { _tag: "Token", source: "query", text } : malformed
}

/** The cookie that may contain the token, and the origins whose pages may send it. */
interface CookieSource {
  readonly name: string
  readonly origins: ReadonlyArray<string>
}

/**
 * Removes the white space around a name or value. No other character counts as such (RFC 6265bis, 5.6): browsers treat a name
 * with another one as a different cookie, which any site of the domain can set.
 */
const trimmed = (text: string): string => text.replace(/^[ \t]+/, "").replace(/[ \t]+$/, "")

/**
 * All values of a cookie. Two cookies with the same name mean that one was set for a parent domain or another path; which one
 * is meant is ambiguous.
 */
const cookiesOf = (header: string | undefined, name: string): ReadonlyArray<string> =>
  (header ?? "").split(";").flatMap((pair) => {
    const equals = pair.indexOf("=")
    return equals >= 0 && trimmed(pair.slice(0, equals)) === name ? [trimmed(pair.slice(equals + 1))] : []
  })

/** RFC 9110, 9.2.1, and RFC 10008 for `QUERY`. */
const safeMethods = new Set(["GET", "HEAD", "OPTIONS", "QUERY"])

/**
 * Browsers send cookies with requests of any page. A request with an unsafe method must come from one of the application's
 * origins; so must a WebSocket, which pages of any origin may open and read.
 */
const isAllowedOrigin = ({ headers, method }: RequestHead, { origins }: CookieSource): boolean =>
  (safeMethods.has(method) && headers["upgrade"] === undefined) || origins.includes(headers["origin"] ?? "")

const fromCookie = (request: RequestHead, source: CookieSource): RequestToken => {
  const [text, second] = cookiesOf(request.headers["cookie"], source.name)
  if (second !== undefined) return several
  if (text === undefined || text === "") return none
  if (!isBearerToken(text)) return malformed
  return isAllowedOrigin(request, source) ? { _tag: "Token", source: "cookie", text } : otherOrigin
}

/** Where a token may be, besides the header `Authorization`. */
export interface TokenSources {
  readonly header?: string | undefined
  readonly queryParameter?: string | undefined
  readonly cookie?: CookieSource | undefined
  /** The scheme `DPoP` is another scheme where this is off, as it is by default. */
  readonly dpop?: Mode | { readonly mode: Mode } | undefined
}

/** Finds the one token of a request. Two are rejected, even equal ones: which one is meant is ambiguous. */
export const findToken = (
  request: RequestHead,
  { cookie, dpop = "off", header, queryParameter }: TokenSources
): RequestToken => {
  const bearer = fromHeader(request, modeOf(dpop) !== "off")
  if (header === undefined && queryParameter === undefined && cookie === undefined) return bearer
  const [first = none, second] = [
    bearer,
    header === undefined ? none : fromNamedHeader(request, header),
    queryParameter === undefined ? none : fromQuery(request, queryParameter),
    cookie === undefined ? none : fromCookie(request, cookie)
  ].filter(({ _tag }) => _tag !== "None")
  return second === undefined ? first : several
}
