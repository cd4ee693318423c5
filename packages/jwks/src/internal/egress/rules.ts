import * as Host from "@keelson/core/unstable/Host"
import * as SafeUrl from "@keelson/core/unstable/SafeUrl"
import * as Effect from "effect/Effect"
import * as IpNetwork from "effect/net/IpNetwork"
import * as Result from "effect/Result"
import type { RefusalReason, Rules } from "../../Egress.ts"
import type { EgressOptions } from "../../EgressOptions.ts"
import { isReachable, type Reach } from "./addresses.ts"

/** The rules of the service, with its networks parsed. */
export interface ServiceRules extends EgressOptions {
  readonly networks: ReadonlyArray<IpNetwork.IpNetwork>
}

export const serviceRules = (options: EgressOptions): ServiceRules => ({
  ...options,
  networks: options.allowedNetworks.map((cidr) => IpNetwork.fromStringUnsafe(cidr))
})

/** Logs the hosts that may be requested without TLS, and the names of the headers that they then receive in clear text. */
export const warnOfInsecureHosts = (
  { allowedHosts, headers, insecureHosts }: EgressOptions
): Effect.Effect<void> => {
  const hosts = insecureHosts.filter((host) => isListed(Host.canonical(host) ?? host, allowedHosts))
  const names = Object.keys(headers)
  if (insecureHosts.length === 0) return Effect.void
  return Effect.logWarning(
    `Key sets may be fetched over http, without TLS, from: ${insecureHosts.join(", ")}` +
      (names.length === 0 || hosts.length === 0
        ? ""
        : `. The network can read the configured headers that they are sent: ${names.join(", ")}`)
  )
}

/** Returns the smaller limit. A rule that is not a number is ignored, so that it cannot lift the limit. */
export const narrowed = (limit: number, rule: number | undefined): number =>
  rule !== undefined && rule < limit ? rule : limit

/** Whether a host equals the allowed one or is a subdomain of it. Both must be canonical. */
const isWithin = (host: string, allowed: string): boolean => host === allowed || host.endsWith(`.${allowed}`)

/** Whether a canonical host is on the list. An empty list allows every host; an invalid entry matches none. */
export const isListed = (host: string, list: ReadonlyArray<string>): boolean =>
  list.length === 0 || list.some((entry) => {
    const allowed = Host.canonical(entry)
    return allowed !== undefined && isWithin(host, allowed)
  })

/** Which addresses are allowed for a canonical host, by https or by http. */
export const reachOf = (host: string, { allowLocalhost, networks }: ServiceRules, isHttp: boolean): Reach => ({
  networks,
  loopback: allowLocalhost && Host.isLocal(host),
  isPlainHttp: isHttp && !(allowLocalhost && Host.isLocal(host))
})

/** Whether a host can have an allowed address. Does not resolve names: checks the name, or the address if the host is one. */
const isAddressable = ({ hostname: host, protocol }: URL, rules: ServiceRules): boolean => {
  const literal = Host.literal(host)
  const reach = reachOf(host, rules, protocol === "http:")
  if (literal !== undefined) return isReachable(literal, reach)
  // Subdomains of localhost resolve to loopback too (RFC 6761, 6.3), but are not covered by `allowLocalhost`.
  return host === "localhost" ? reach.loopback || reach.isPlainHttp === true : !host.endsWith(".localhost")
}

/** Returns the URL to request if the service and the rules of the request allow it. */
export const checkUrl = (
  input: string | URL,
  service: ServiceRules,
  rules: Rules | undefined
): Result.Result<URL, RefusalReason> =>
  Result.flatMap(SafeUrl.check(input, service), (url): Result.Result<URL, RefusalReason> => {
    if (!isListed(url.hostname, service.allowedHosts) || !isListed(url.hostname, rules?.allowedHosts ?? [])) {
      return Result.fail("host")
    }
    return isAddressable(url, service) ? Result.succeed(url) : Result.fail("address")
  })

/** The `Location` of a redirect response, unresolved; `undefined` for other responses. */
export const locationOf = (status: number, headers: { readonly get: (name: string) => string | null }) =>
  SafeUrl.isRedirect(status) ? headers.get("location") ?? undefined : undefined

/** The request headers that are allowed. Any other might contain credentials, whatever its name. */
const allowedHeaders: ReadonlySet<string> = new Set([
  "accept",
  "accept-language",
  "cache-control",
  "pragma",
  "user-agent",
  "if-modified-since",
  "if-none-match"
])

export const areSendable = (headers: Readonly<Record<string, string>>): boolean =>
  Object.keys(headers).every((name) => allowedHeaders.has(name.toLowerCase()))
