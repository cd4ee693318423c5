import * as Host from "@keelson/core/unstable/Host"
import * as SafeUrl from "@keelson/core/unstable/SafeUrl"
import * as IpNetwork from "effect/net/IpNetwork"
import * as Result from "effect/Result"
import type { RefusalReason, Rules } from "../../Egress.ts"
import type { EgressOptions } from "../../EgressOptions.ts"
import { isReachable, type Reach } from "./addresses.ts"

/** The rules of the service, ready for use. */
export interface ServiceRules extends EgressOptions {
  readonly networks: ReadonlyArray<IpNetwork.IpNetwork>
}

export const serviceRules = (options: EgressOptions): ServiceRules => ({
  ...options,
  networks: options.allowedNetworks.map((cidr) => IpNetwork.fromStringUnsafe(cidr))
})

/** The smaller limit. What is no number narrows nothing, rather than lift the limit. */
export const narrowed = (limit: number, rule: number | undefined): number =>
  rule !== undefined && rule < limit ? rule : limit

/** Equal, or below it at a dot. Both are canonical. */
const isWithin = (host: string, allowed: string): boolean => host === allowed || host.endsWith(`.${allowed}`)

/** Whether a canonical host is on the list; an empty list has them all, and an entry that is no host has none. */
export const isListed = (host: string, list: ReadonlyArray<string>): boolean =>
  list.length === 0 || list.some((entry) => {
    const allowed = Host.canonical(entry)
    return allowed !== undefined && isWithin(host, allowed)
  })

/** What a canonical host's addresses may be. */
export const reachOf = (host: string, { allowLocalhost, networks }: ServiceRules): Reach => ({
  networks,
  loopback: allowLocalhost && Host.isLocal(host)
})

/** Whether the addresses of a host can be accepted at all, by its name alone or by the address that it is. */
const isAddressable = (host: string, rules: ServiceRules): boolean => {
  const literal = Host.literal(host)
  const reach = reachOf(host, rules)
  if (literal !== undefined) return isReachable(literal, reach)
  // Names below localhost are loopback addresses too (RFC 6761, 6.3), and none of those that are allowed.
  return host === "localhost" ? reach.loopback : !host.endsWith(".localhost")
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
    return isAddressable(url.hostname, service) ? Result.succeed(url) : Result.fail("address")
  })

/** The `Location` of a response that redirects, as written. */
export const locationOf = (status: number, headers: { readonly get: (name: string) => string | null }) =>
  SafeUrl.isRedirect(status) ? headers.get("location") ?? undefined : undefined

/** What key material is asked for with. Anything else may carry credentials, by a name that nobody thought of. */
const sent: ReadonlySet<string> = new Set([
  "accept",
  "accept-language",
  "cache-control",
  "pragma",
  "user-agent",
  "if-modified-since",
  "if-none-match"
])

export const areSendable = (headers: Readonly<Record<string, string>>): boolean =>
  Object.keys(headers).every((name) => sent.has(name.toLowerCase()))
