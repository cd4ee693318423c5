import * as KeelsonError from "@keelson/core/KeelsonError"
import * as SafeUrl from "@keelson/core/unstable/SafeUrl"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Result from "effect/Result"
import * as UrlScope from "../../UrlScope.ts"

/** The scopes of a guard, and what a path alone is below: the first of them. */
export interface Scopes extends Required<UrlScope.Options> {
  readonly list: ReadonlyArray<UrlScope.UrlScope>
  readonly base: string
}

/** A request as it is to be sent, its URL checked. */
export interface Target {
  readonly request: HttpClientRequest.HttpClientRequest
  readonly url: URL
  /** Whether the token goes along. */
  readonly isOwn: boolean
}

/** Why a request is not sent: as a URL is refused, or for its `origin`, a `redirect` or the `address` that one leads to. */
export type Reason = UrlScope.Reason | SafeUrl.RedirectRefusal | "origin"

/** `hop` counts the redirects before it. Neither URL nor host: they may hold secrets. */
export const refused = (reason: Reason, hop: number): KeelsonError.NetworkError =>
  new KeelsonError.NetworkError({
    code: "EGRESS_REFUSED",
    message: `A guarded request is not sent, for its ${reason}`,
    details: { reason, hop }
  })

export const isIn = (url: URL, { list }: Scopes): boolean => list.some((scope) => UrlScope.contains(scope, url))

/** As RFC 3986, 3.1, has it: what begins otherwise is a path. */
const absolute = /^[a-z][a-z\d+.-]*:/i

/**
 * Where a request goes: a path alone is below the first scope. The request has the URL that was checked, so that what is
 * sent cannot be read in another way.
 */
export const targetOf = (
  request: HttpClientRequest.HttpClientRequest,
  scopes: Scopes
): Result.Result<Target, Reason> => {
  const whole = absolute.test(request.url)
    ? request
    : HttpClientRequest.prependUrl(request, scopes.base)
  return Result.flatMap(SafeUrl.check(whole.url, scopes), (url): Result.Result<Target, Reason> =>
    isIn(url, scopes)
      ? Result.succeed({ request: HttpClientRequest.setUrl(whole, url.href), url, isOwn: true })
      : Result.fail("origin"))
}
