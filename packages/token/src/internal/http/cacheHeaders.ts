import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpEffect from "effect/http/HttpEffect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { RequestHead } from "./requestHead.ts"
import { hasParameter, type RequestToken, type TokenSources } from "./requestToken.ts"

/** The headers of a response, by their names in lower case, such as Node's `getHeaders()`. */
export type ResponseHeaders = Readonly<Record<string, number | string | ReadonlyArray<string> | undefined>>

/** Computes the cache headers of a response from the headers that it has. */
export type CacheHeaders = (headers: ResponseHeaders) => Readonly<Record<string, string>>

/** A URL with a token is as secret as the token: no cache may store its response (RFC 6750, 2.3 and 5.3). */
const forQuery: CacheHeaders = () => ({ "cache-control": "private, no-store" })

const withListed = (header: string | undefined, name: string): string =>
  header === undefined
    ? name
    : header.split(",").some((one) => ["*", name].includes(one.trim().toLowerCase()))
    ? header
    : `${header}, ${name}`

/** Several values form one list: RFC 9110, 5.3. */
const joinValues = (value: ResponseHeaders[string]): string | undefined =>
  Array.isArray(value) ? value.join(", ") : value?.toString()

/**
 * Shared caches do not store responses to `Authorization` (RFC 9111, 3.5), but do store responses to cookies and other headers:
 * therefore these headers, unless the handler sets its own.
 */
const forHeader = (name: string): CacheHeaders => (headers) => ({
  "cache-control": joinValues(headers["cache-control"]) ?? "private",
  vary: withListed(joinValues(headers["vary"]), name)
})

const forCookie = forHeader("cookie")

/** The cache headers for the response to a request; `undefined` where it needs none. */
export const cacheHeadersFor = (
  request: RequestHead,
  { cookie, header, queryParameter }: TokenSources,
  token: RequestToken
): CacheHeaders | undefined => {
  if (queryParameter !== undefined && hasParameter(request, queryParameter)) return forQuery
  if (token._tag !== "Token") return undefined
  if (cookie !== undefined && token.source === "cookie") return forCookie
  return header !== undefined && token.source === "namedHeader" ? forHeader(header) : undefined
}

/**
 * The headers of a response with a nonce for the client's next proof. No cache may store it: it would hand out an old nonce
 * (RFC 9449, 8.2).
 */
export const nonceHeaders = (nonce: string) => ({ "dpop-nonce": nonce, "cache-control": "no-store" })

/** Adds a nonce to the response of a request. */
export const setNonceHeaders = (context: Context.Context<never>, nonce: string): void =>
  HttpEffect.appendPreResponseHandlerUnsafe(
    context,
    (_, response) => Effect.succeed(HttpServerResponse.setHeaders(response, nonceHeaders(nonce)))
  )

/** Adds the cache headers to the response of a request. */
export const setCacheHeaders = (
  context: Context.Context<never>,
  request: HttpServerRequest.HttpServerRequest,
  sources: TokenSources,
  token: RequestToken
): void => {
  const headersFor = cacheHeadersFor(request, sources, token)
  if (headersFor === undefined) return
  HttpEffect.appendPreResponseHandlerUnsafe(
    context,
    (_, response) => Effect.succeed(HttpServerResponse.setHeaders(response, headersFor(response.headers)))
  )
}
