import * as SafeUrl from "@keelson/core/unstable/SafeUrl"
import * as Result from "effect/Result"

/** Checks the URL of an endpoint that gets credentials, and returns the URL to request (RFC 6749, 3.2). */
export const checkEndpoint = (
  text: string,
  options: SafeUrl.Options
): Result.Result<URL, SafeUrl.UrlRefusal | "fragment"> =>
  SafeUrl.hasFragment(text) ? Result.fail("fragment") : SafeUrl.check(text, options)

/** Whether metadata may be requested for an issuer, which has no query either (RFC 8414, 2). */
export const isIssuer = (text: string, options: SafeUrl.Options): boolean =>
  !text.includes("?") && Result.isSuccess(checkEndpoint(text, options))
