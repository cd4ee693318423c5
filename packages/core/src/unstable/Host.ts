/**
 * The canonical form of a host, and whether it is this machine.
 *
 * A decision by host (where keys may be fetched, where a token may be sent) must compare one form: names that differ in case,
 * in a trailing dot or in the notation of an address are the same host.
 */
import * as IpNetwork from "effect/net/IpNetwork"
import * as NetAddress from "effect/net/NetAddress"
import * as Result from "effect/Result"

const isIpv6 = (text: string): boolean => Result.isSuccess(NetAddress.ipv6FromString(text))

/** Characters that end a host in a URL, are removed from it, or are wildcards. */
const foreign = /[\s\p{Cc}/?#@\\%*]/u

/**
 * The canonical form of a host, as a URL has it, without a trailing dot: lower case, an international name as A-labels, an
 * address in its canonical notation. `undefined` for a pattern, a host with a port, or an empty label.
 */
export const canonical = (text: string): string | undefined => {
  if (foreign.test(text)) return undefined
  const host = isIpv6(text) ? `[${text}]` : text
  if (host.replace(/^\[.*\]$/, "").includes(":") || !URL.canParse(`https://${host}`)) return undefined
  return withoutDot(new URL(`https://${host}`).hostname)
}

/** The host name of a parsed URL without a trailing dot; `undefined` if a label is empty. */
export const withoutDot = (hostname: string): string | undefined => {
  const host = hostname.endsWith(".") ? hostname.slice(0, -1) : hostname
  return host === "" || host.startsWith(".") || host.endsWith(".") || host.includes("..") ? undefined : host
}

/** The address of a canonical host that is an address, else `undefined`. */
export const literal = (host: string): NetAddress.IpAddress | undefined =>
  Result.getOrUndefined(NetAddress.ipFromString(host.replace(/^\[(.*)\]$/, "$1")))

/** The third block is that of IPv4 mapped into IPv6 (RFC 4291, 2.5.5.2). */
const loopback = ["127.0.0.0/8", "::1/128", "::ffff:127.0.0.0/104"].map((cidr) => IpNetwork.fromStringUnsafe(cidr))

/**
 * Whether an address is a loopback address, also as IPv4 mapped into IPv6. Addresses that a gateway or tunnel translates are
 * not: such a connection leaves this machine.
 */
export const isLoopbackAddress = (address: NetAddress.IpAddress): boolean =>
  loopback.some((block) => IpNetwork.contains(block, address))

/** Whether a canonical host is `localhost` or a loopback address. */
export const isLocal = (host: string): boolean => {
  const address = literal(host)
  return address === undefined ? host === "localhost" : isLoopbackAddress(address)
}
