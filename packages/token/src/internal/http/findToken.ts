import { inHeader } from "./authorizationHeader.ts"
import { type CookieSource, inCookie } from "./cookieToken.ts"
import { type Found, none, several } from "./found.ts"
import { inQuery } from "./queryToken.ts"
import type { RequestHead } from "./requestHead.ts"

/** Where a token may be beside the header. */
export interface Sources {
  readonly queryParameter?: string | undefined
  readonly cookie?: CookieSource | undefined
}

/** The one token of a request. Two of them are refused, whatever they are: nobody can tell which one is meant. */
export const findToken = (request: RequestHead, { cookie, queryParameter }: Sources): Found => {
  const inAuthorization = inHeader(request)
  if (queryParameter === undefined && cookie === undefined) return inAuthorization
  const [first = none, second] = [
    inAuthorization,
    queryParameter === undefined ? none : inQuery(request, queryParameter),
    cookie === undefined ? none : inCookie(request, cookie)
  ].filter(({ _tag }) => _tag !== "None")
  return second === undefined ? first : several
}
