import * as HttpRetry from "@keelson/core/HttpRetry"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as SafeUrl from "@keelson/core/unstable/SafeUrl"
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as UrlParams from "effect/http/UrlParams"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { isIn, type Reason, refused, type Scopes, type Target } from "./target.ts"

type Response = HttpClientResponse.HttpClientResponse

/** Whether a redirect turns the method into GET and drops the body (RFC 9110, 15.4). */
const becomesGet = (status: number, method: string): boolean =>
  status === 303 ? method !== "GET" && method !== "HEAD" : (status === 301 || status === 302) && method === "POST"

const asGet = (request: HttpClientRequest.HttpClientRequest) =>
  ["content-encoding", "content-language", "content-location"].reduce(
    HttpClientRequest.removeHeader,
    HttpClientRequest.setBody(HttpClientRequest.setMethod(request, "GET"), HttpBody.empty)
  )

/** What was meant for one origin: its credentials stay there. */
const withoutCredentials = (request: HttpClientRequest.HttpClientRequest) =>
  ["authorization", "proxy-authorization", "cookie"].reduce(HttpClientRequest.removeHeader, request)

/** The request after a redirect. One to another place goes without credentials, and only if it changes nothing there. */
const next = (
  { request, url: from }: Target,
  status: number,
  location: string,
  scopes: Scopes
): Result.Result<Target, Reason> =>
  Result.flatMap(
    SafeUrl.checkRedirect(from, location, (to) => SafeUrl.check(to, scopes)),
    (url): Result.Result<Target, Reason> => {
      const isOwn = isIn(url, scopes)
      const method = becomesGet(status, request.method) ? asGet(request) : request
      if (!HttpRetry.isReplayable(method)) return Result.fail("redirect")
      if (!isOwn && method.method !== "GET" && method.method !== "HEAD") return Result.fail("redirect")
      const { body, headers } = url.origin === from.origin && isOwn ? method : withoutCredentials(method)
      return Result.succeed({
        request: HttpClientRequest.makeWith(method.method, url.href, UrlParams.empty, Option.none(), headers, body),
        url,
        isOwn
      })
    }
  )

/**
 * Sends a request, and follows the redirects of its answers, each hop by `exchange`. With no redirects allowed, their answers
 * are the caller's.
 */
export const follow = <E>(
  first: Target,
  scopes: Scopes,
  maxRedirects: number,
  exchange: (target: Target) => Effect.Effect<Response, E>
): Effect.Effect<Response, E | KeelsonError.NetworkError> => {
  const send = (target: Target, hop: number): Effect.Effect<Response, E | KeelsonError.NetworkError> =>
    Effect.flatMap(exchange(target), (response) => {
      const { location } = response.headers
      if (maxRedirects === 0 || location === undefined || !SafeUrl.isRedirect(response.status)) {
        return Effect.succeed(response)
      }
      const to = hop === maxRedirects
        ? Result.fail("redirect" as const)
        : next(target, response.status, location, scopes)
      return Effect.andThen(
        HttpRetry.discard(response),
        Result.isFailure(to) ? Effect.fail(refused(to.failure, hop + 1)) : send(to.success, hop + 1)
      )
    })
  return send(first, 0)
}
