import { type Context, Effect } from "effect"
import { HttpEffect, type HttpServerRequest, HttpServerResponse } from "effect/http"
import type { Sources } from "./findToken.ts"
import type { Found } from "./found.ts"
import { hasParameter } from "./queryToken.ts"

type Change = (response: HttpServerResponse.HttpServerResponse) => HttpServerResponse.HttpServerResponse

/** A URL with a token is as good as the token: nobody may keep what it gives (RFC 6750, 2.3 and 5.3). */
const forQuery: Change = HttpServerResponse.setHeader("cache-control", "private, no-store")

const listed = (header: string | undefined, name: string): string =>
  header === undefined
    ? name
    : header.split(",").some((one) => ["*", name].includes(one.trim().toLowerCase()))
    ? header
    : `${header}, ${name}`

/**
 * Shared caches keep away from answers to `Authorization` (RFC 9111, 3.5), and know nothing of cookies: they are told, where
 * the handler says nothing itself.
 */
const forCookie: Change = (response) =>
  HttpServerResponse.setHeaders(response, {
    "cache-control": response.headers["cache-control"] ?? "private",
    vary: listed(response.headers["vary"], "cookie")
  })

/** Has the answer to a request say who may keep it, whatever it will be. */
export const setCacheHeaders = (
  context: Context.Context<never>,
  request: HttpServerRequest.HttpServerRequest,
  { cookie, queryParameter }: Sources,
  found: Found
): void => {
  const change = queryParameter !== undefined && hasParameter(request, queryParameter)
    ? forQuery
    : cookie !== undefined && found._tag === "Token" && found.source === "cookie"
    ? forCookie
    : undefined
  if (change === undefined) return
  HttpEffect.appendPreResponseHandlerUnsafe(context, (_, response) => Effect.succeed(change(response)))
}
