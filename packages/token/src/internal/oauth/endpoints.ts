import * as SafeUrl from "@keelson/core/unstable/SafeUrl"
import * as Result from "effect/Result"

/** Checks the URL of an endpoint that receives credentials, and returns the URL to request (RFC 6749, 3.2). */
export const checkEndpoint = (
  text: string,
  options: SafeUrl.Options
): Result.Result<URL, SafeUrl.UrlRefusal | "fragment"> =>
  SafeUrl.hasFragment(text) ? Result.fail("fragment") : SafeUrl.check(text, options)

/** Whether an issuer's metadata may be requested. Unlike an endpoint, an issuer has no query (RFC 8414, 2). */
export const isIssuer = (text: string, options: SafeUrl.Options): boolean =>
  !text.includes("?") && Result.isSuccess(checkEndpoint(text, options))
