import * as HttpRetry from "@keelson/core/HttpRetry"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as HttpReplay from "@keelson/core/unstable/HttpReplay"
import * as SafeUrl from "@keelson/core/unstable/SafeUrl"
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as UrlParams from "effect/http/UrlParams"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { type GuardScopes, isInScopes, refused, type RequestRefusal, type RequestTarget } from "./target.ts"

type Response = HttpClientResponse.HttpClientResponse

/** Whether a redirect changes the method to GET and drops the body (RFC 9110, 15.4). */
const becomesGet = (status: number, method: string): boolean =>
  status === 303 ? method !== "GET" && method !== "HEAD" : (status === 301 || status === 302) && method === "POST"

const asGet = (request: HttpClientRequest.HttpClientRequest) =>
  ["content-encoding", "content-language", "content-location"].reduce(
    HttpClientRequest.removeHeader,
    HttpClientRequest.setBody(HttpClientRequest.setMethod(request, "GET"), HttpBody.empty)
  )

/** Removes the credentials for the previous origin. */
const withoutCredentials = (request: HttpClientRequest.HttpClientRequest) =>
  ["authorization", "proxy-authorization", "cookie"].reduce(HttpClientRequest.removeHeader, request)

/** The request after a redirect. Outside the scopes it has no credentials, and only GET and HEAD are allowed. */
const redirected = (
  { request, url: from }: RequestTarget,
  status: number,
  location: string,
  scopes: GuardScopes
): Result.Result<RequestTarget, RequestRefusal> =>
  Result.flatMap(
    SafeUrl.checkRedirect(from, location, (to) => SafeUrl.check(to, scopes)),
    (url): Result.Result<RequestTarget, RequestRefusal> => {
      const isOwn = isInScopes(url, scopes)
      const repeated = becomesGet(status, request.method) ? asGet(request) : request
      if (!HttpReplay.isReplayable(repeated)) return Result.fail("redirect")
      if (!isOwn && repeated.method !== "GET" && repeated.method !== "HEAD") return Result.fail("redirect")
      const { body, headers } = url.origin === from.origin && isOwn ? repeated : withoutCredentials(repeated)
      return Result.succeed({
        request: HttpClientRequest.makeWith(repeated.method, url.href, UrlParams.empty, Option.none(), headers, body),
        url,
        isOwn
      })
    }
  )

/**
 * Sends a request with `sendOne` and follows redirects, also with `sendOne`. If `maxRedirects` is 0, the caller gets the redirect
 * response.
 */
export const followRedirects = <E>(
  first: RequestTarget,
  scopes: GuardScopes,
  maxRedirects: number,
  sendOne: (target: RequestTarget) => Effect.Effect<Response, E>
): Effect.Effect<Response, E | KeelsonError.NetworkError> => {
  const send = (target: RequestTarget, hop: number): Effect.Effect<Response, E | KeelsonError.NetworkError> =>
    Effect.flatMap(sendOne(target), (response) => {
      const { location } = response.headers
      if (maxRedirects === 0 || location === undefined || !SafeUrl.isRedirect(response.status)) {
        return Effect.succeed(response)
      }
      const next = hop === maxRedirects
        ? Result.fail("redirect" as const)
        : redirected(target, response.status, location, scopes)
      return Effect.andThen(
        HttpRetry.discard(response),
        Result.isFailure(next) ? Effect.fail(refused(next.failure, hop + 1)) : send(next.success, hop + 1)
      )
    })
  return send(first, 0)
}
