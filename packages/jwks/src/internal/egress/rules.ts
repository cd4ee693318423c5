import * as Host from "@keelson/core/unstable/Host"
import * as IpNetwork from "effect/net/IpNetwork"
import * as Result from "effect/Result"
import type { RefusalReason, Rules } from "../../Egress.ts"
import type { EgressOptions } from "../../EgressOptions.ts"
import { isReachable, type Reach } from "./addresses.ts"
import { isListed } from "./hosts.ts"

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

/** A URL in the form that is requested: without fragment, and without the dot at the end of its host. */
export const checkUrl = (
  input: string | URL,
  service: ServiceRules,
  rules: Rules | undefined
): Result.Result<URL, RefusalReason> => {
  if (!URL.canParse(String(input))) return Result.fail("url")
  const url = new URL(input)
  const host = Host.withoutDot(url.hostname)
  const isLocalHttp = url.protocol === "http:" && host !== undefined && service.allowLocalhost && Host.isLocal(host)
  if (url.protocol !== "https:" && !isLocalHttp) return Result.fail("scheme")
  if (url.username !== "" || url.password !== "") return Result.fail("credentials")
  if (host === undefined || !isListed(host, service.allowedHosts) || !isListed(host, rules?.allowedHosts ?? [])) {
    return Result.fail("host")
  }
  if (!isAddressable(host, service)) return Result.fail("address")
  url.hostname = host
  url.hash = ""
  return Result.succeed(url)
}

const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

/** Where an answer redirects to, as it is written; `undefined` for an answer that is one. */
export const locationOf = (status: number, headers: { readonly get: (name: string) => string | null }) =>
  redirects.has(status) ? headers.get("location") ?? undefined : undefined

/** The target of a redirect. It leads neither from https to http, nor from elsewhere to this machine. */
export const checkRedirect = (
  from: URL,
  location: string,
  service: ServiceRules,
  rules: Rules | undefined
): Result.Result<URL, RefusalReason> => {
  if (!URL.canParse(location, from.href)) return Result.fail("redirect")
  return Result.flatMap(checkUrl(new URL(location, from), service, rules), (to) => {
    if (from.protocol === "https:" && to.protocol !== "https:") return Result.fail("scheme" as const)
    return Host.isLocal(to.hostname) && !Host.isLocal(from.hostname)
      ? Result.fail("address" as const)
      : Result.succeed(to)
  })
}

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
