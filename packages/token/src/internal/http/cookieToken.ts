import { isBearerToken } from "./authorizationHeader.ts"
import { type Found, malformed, none, otherOrigin, several } from "./found.ts"
import type { RequestHead } from "./requestHead.ts"

/** The cookie that has the token, and the pages that may send it. */
export interface CookieSource {
  readonly name: string
  readonly origins: ReadonlyArray<string>
}

/**
 * All values of a cookie: two of one name tell that somebody set one for a parent domain or another path, and which of
 * them is meant can't be told.
 */
const valuesOf = (header: string | undefined, name: string): ReadonlyArray<string> =>
  (header ?? "").split(";").flatMap((pair) => {
    const equals = pair.indexOf("=")
    return equals >= 0 && pair.slice(0, equals).trim() === name ? [pair.slice(equals + 1).trim()] : []
  })

const safe = new Set(["GET", "HEAD", "OPTIONS"])

/**
 * Browsers send cookies with requests of any page. One that may change something has to come from an origin of the
 * application's own; so has a WebSocket, which pages of any origin may open and read.
 */
const mayCome = ({ headers, method }: RequestHead, { origins }: CookieSource): boolean =>
  (safe.has(method) && headers["upgrade"] === undefined) || origins.includes(headers["origin"] ?? "")

/** The token in a cookie. */
export const inCookie = (request: RequestHead, source: CookieSource): Found => {
  const [text, second] = valuesOf(request.headers["cookie"], source.name)
  if (second !== undefined) return several
  if (text === undefined || text === "") return none
  if (!isBearerToken(text)) return malformed
  return mayCome(request, source) ? { _tag: "Token", source: "cookie", text } : otherOrigin
}
