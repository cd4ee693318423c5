import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpEffect from "effect/http/HttpEffect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { Sources } from "./findToken.ts"
import type { Found } from "./found.ts"
import { hasParameter } from "./queryToken.ts"
import type { RequestHead } from "./requestHead.ts"

/** Headers that an answer has, by their names in lower case: those of Node's `getHeaders()` too. */
export type Answered = Readonly<Record<string, number | string | ReadonlyArray<string> | undefined>>

/** What an answer has to say, by what it says by itself. */
export type CacheHeaders = (answered: Answered) => Readonly<Record<string, string>>

/** A URL with a token is as good as the token: nobody may keep what it gives (RFC 6750, 2.3 and 5.3). */
const forQuery: CacheHeaders = () => ({ "cache-control": "private, no-store" })

const listed = (header: string | undefined, name: string): string =>
  header === undefined
    ? name
    : header.split(",").some((one) => ["*", name].includes(one.trim().toLowerCase()))
    ? header
    : `${header}, ${name}`

/** Several values are one list: RFC 9110, 5.3. */
const textOf = (value: Answered[string]): string | undefined =>
  Array.isArray(value) ? value.join(", ") : value?.toString()

/**
 * Shared caches keep away from answers to `Authorization` (RFC 9111, 3.5), and know nothing of cookies: they are told, where
 * the handler says nothing itself.
 */
const forCookie: CacheHeaders = (answered) => ({
  "cache-control": textOf(answered["cache-control"]) ?? "private",
  vary: listed(textOf(answered["vary"]), "cookie")
})

/** Who may keep the answer to a request, whatever it will be. `undefined` where that needs no saying. */
export const cacheHeadersFor = (
  request: RequestHead,
  { cookie, queryParameter }: Sources,
  found: Found
): CacheHeaders | undefined =>
  queryParameter !== undefined && hasParameter(request, queryParameter)
    ? forQuery
    : cookie !== undefined && found._tag === "Token" && found.source === "cookie"
    ? forCookie
    : undefined

/** Has the answer to a request say who may keep it. */
export const setCacheHeaders = (
  context: Context.Context<never>,
  request: HttpServerRequest.HttpServerRequest,
  sources: Sources,
  found: Found
): void => {
  const headersFor = cacheHeadersFor(request, sources, found)
  if (headersFor === undefined) return
  HttpEffect.appendPreResponseHandlerUnsafe(
    context,
    (_, response) => Effect.succeed(HttpServerResponse.setHeaders(response, headersFor(response.headers)))
  )
}
