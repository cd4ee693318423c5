/**
 * Whether a request may be sent to a URL, and whether a redirect may be followed. Key sets, guarded requests and token
 * requests all use these two checks and add only their own lists (allowed hosts, addresses, scopes).
 */
import * as Result from "effect/Result"
import * as Host from "./Host.ts"

/**
 * Why a URL is refused.
 *
 * - `url`: malformed.
 * - `scheme`: neither https, nor http to this machine with `allowLocalhost`, nor http to one of `insecureHosts`.
 * - `credentials`: a user name or password in the URL.
 * - `host`: an empty label in the host.
 */
export type UrlRefusal = "url" | "scheme" | "credentials" | "host"

/**
 * Why a redirect is refused.
 *
 * - `redirect`: the `Location` is malformed.
 * - `scheme`: from https to http.
 * - `address`: from another host to this machine.
 */
export type RedirectRefusal = "redirect" | "scheme" | "address"

/** The part of an error about http that explains how to allow http for a server on this machine. */
export const localHint = "http is for this machine only, with LocalDevelopment.layer or allowLocalhost"

/** The options of `check`. */
export interface Options {
  /** Whether http is allowed for this machine: `localhost`, 127.0.0.0/8 and ::1. Default false. */
  readonly allowLocalhost?: boolean | undefined
  /** Hosts for which http is allowed, without their subdomains. Default none. */
  readonly insecureHosts?: ReadonlyArray<string> | undefined
}

const isHttpAllowed = (host: string, { allowLocalhost, insecureHosts = [] }: Options): boolean =>
  (allowLocalhost === true && Host.isLocal(host)) || insecureHosts.some((entry) => Host.canonical(entry) === host)

/**
 * Returns the URL to request: without fragment, and without the dot at the end of its host. The first check that fails
 * gives the reason, in the order of `UrlRefusal`.
 */
export const check = (input: string | URL, options?: Options): Result.Result<URL, UrlRefusal> => {
  const url = URL.parse(String(input))
  if (url === null) return Result.fail("url")
  const host = Host.withoutDot(url.hostname)
  const isHttp = url.protocol === "http:" && host !== undefined && options !== undefined && isHttpAllowed(host, options)
  if (url.protocol !== "https:" && !isHttp) return Result.fail("scheme")
  if (url.username !== "" || url.password !== "") return Result.fail("credentials")
  if (host === undefined) return Result.fail("host")
  // Setting a part parses the URL again.
  if (host !== url.hostname) url.hostname = host
  if (url.hash !== "" || url.href.endsWith("#")) url.hash = ""
  return Result.succeed(url)
}

/**
 * Whether a URL or an issuer, as written, has a fragment. `check` drops a fragment, which is never sent; a configured
 * endpoint must not have one, not even an empty one (RFC 6749, 3.2).
 */
export const hasFragment = (text: string): boolean => text.includes("#")

const redirectStatuses: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

/** Whether a status redirects to the `Location` of its response (RFC 9110, 15.4). */
export const isRedirect = (status: number): boolean => redirectStatuses.has(status)

/**
 * Returns the URL that a redirect leads to. `checkTarget` is `check` together with the caller's own lists. A redirect is
 * followed neither from https to http, nor from another host to this machine.
 *
 * `from` is a URL that `check` returned.
 */
export const checkRedirect = <R>(
  from: URL,
  location: string,
  checkTarget: (url: URL) => Result.Result<URL, R>
): Result.Result<URL, R | RedirectRefusal> => {
  const target = URL.parse(location, from)
  if (target === null) return Result.fail("redirect")
  return Result.flatMap(checkTarget(target), (to): Result.Result<URL, R | RedirectRefusal> => {
    if (from.protocol === "https:" && to.protocol !== "https:") return Result.fail("scheme")
    return Host.isLocal(to.hostname) && !Host.isLocal(from.hostname) ? Result.fail("address") : Result.succeed(to)
  })
}
