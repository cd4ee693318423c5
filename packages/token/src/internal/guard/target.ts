import * as KeelsonError from "@keelson/core/KeelsonError"
import * as SafeUrl from "@keelson/core/unstable/SafeUrl"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Result from "effect/Result"
import * as UrlScope from "./urlScope.ts"

/** The scopes of a guard, and the base URL of requests with a path alone: the first scope. */
export interface GuardScopes extends Required<UrlScope.Options> {
  readonly list: ReadonlyArray<UrlScope.UrlScope>
  readonly base: string
}

/** A request that may be sent, with its checked URL. */
export interface RequestTarget {
  readonly request: HttpClientRequest.HttpClientRequest
  readonly url: URL
  /** Whether the request carries the token. */
  readonly isOwn: boolean
}

/** Why a request is not sent: its URL or a redirect is refused, or the URL is outside the scopes (`origin`). */
export type RequestRefusal = SafeUrl.UrlRefusal | SafeUrl.RedirectRefusal | "origin"

/** `hop` is the number of redirects before the request. The error names neither URL nor host, which may contain secrets. */
export const refused = (reason: RequestRefusal, hop: number): KeelsonError.NetworkError =>
  new KeelsonError.NetworkError({
    code: "EGRESS_REFUSED",
    message: `The guard did not send the request because of its ${reason}`,
    details: { reason, hop }
  })

export const isInScopes = (url: URL, { list }: GuardScopes): boolean =>
  list.some((scope) => UrlScope.contains(scope, url))

/** The scheme of an absolute URL (RFC 3986, 3.1); anything else is a path. */
const absolute = /^[a-z][a-z\d+.-]*:/i

/**
 * Checks where a request goes; a path alone is below the first scope. The resulting request has the checked URL, so that the client
 * cannot read it differently.
 */
export const targetOf = (
  request: HttpClientRequest.HttpClientRequest,
  scopes: GuardScopes
): Result.Result<RequestTarget, RequestRefusal> => {
  const whole = absolute.test(request.url)
    ? request
    : HttpClientRequest.prependUrl(request, scopes.base)
  return Result.flatMap(
    SafeUrl.check(whole.url, scopes),
    (url): Result.Result<RequestTarget, RequestRefusal> =>
      isInScopes(url, scopes)
        ? Result.succeed({ request: HttpClientRequest.setUrl(whole, url.href), url, isOwn: true })
        : Result.fail("origin")
  )
}
