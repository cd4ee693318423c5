import * as Host from "@keelson/core/unstable/Host"
import * as Result from "effect/Result"
import type * as UrlScope from "../../UrlScope.ts"

/**
 * Checks the URL of a request and normalizes it: no fragment, no dot at the end of the host. The URL must use https, or http to this
 * machine if that is allowed, and have no user name or password.
 */
export const checkUrl = (input: string | URL, options?: UrlScope.Options): Result.Result<URL, UrlScope.UrlReason> => {
  const url = URL.parse(String(input))
  if (url === null) return Result.fail("url")
  if (url.protocol !== "https:" && url.protocol !== "http:") return Result.fail("scheme")
  const host = Host.withoutDot(url.hostname)
  if (host === undefined) return Result.fail("host")
  const isLocalHttp = options?.allowLocalhost === true && Host.isLocal(host)
  if (url.protocol === "http:" && !isLocalHttp) return Result.fail("scheme")
  if (url.username !== "" || url.password !== "") return Result.fail("credentials")
  // Each of these assignments parses the URL again.
  if (host !== url.hostname) url.hostname = host
  if (url.hash !== "" || url.href.endsWith("#")) url.hash = ""
  return Result.succeed(url)
}
