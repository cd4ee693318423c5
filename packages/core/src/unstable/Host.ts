/**
 * The host of a URL in its one form, and whether it is this machine.
 *
 * Whatever decides by a host (where keys may be fetched, where a token may go) has to compare it in one form: names that
 * differ in case, in the dot at their end or in how an address is written are the same host.
 */
import * as IpNetwork from "effect/net/IpNetwork"
import * as NetAddress from "effect/net/NetAddress"
import * as Result from "effect/Result"

const isIpv6 = (text: string): boolean => Result.isSuccess(NetAddress.ipv6FromString(text))

/** Characters that would end a host in a URL, be dropped from it, or stand for several hosts. */
const foreign = /[\s\p{Cc}/?#@\\%*]/u

/**
 * A host as a URL has it, without the dot at its end: lower case, an international name as its A-label, an address in its
 * one form. `undefined` for what is no host: a pattern, a host with a port, an empty label.
 */
export const canonical = (text: string): string | undefined => {
  if (foreign.test(text)) return undefined
  const host = isIpv6(text) ? `[${text}]` : text
  if (host.replace(/^\[.*\]$/, "").includes(":") || !URL.canParse(`https://${host}`)) return undefined
  return withoutDot(new URL(`https://${host}`).hostname)
}

/** The host name of a parsed URL without the dot at its end. `undefined` where a label is empty. */
export const withoutDot = (hostname: string): string | undefined => {
  const host = hostname.endsWith(".") ? hostname.slice(0, -1) : hostname
  return host === "" || host.startsWith(".") || host.endsWith(".") || host.includes("..") ? undefined : host
}

/** The address that a canonical host is, where it is one. */
export const literal = (host: string): NetAddress.IpAddress | undefined =>
  Result.getOrUndefined(NetAddress.ipFromString(host.replace(/^\[(.*)\]$/, "$1")))

/** The last are those of IPv4, mapped into IPv6 (RFC 4291, 2.5.5.2). */
const loopback = ["127.0.0.0/8", "::1/128", "::ffff:127.0.0.0/104"].map((cidr) => IpNetwork.fromStringUnsafe(cidr))

/**
 * Whether an address is one of this machine's own, also as IPv4 mapped into IPv6. One that a gateway or a tunnel would
 * unpack is not: the connection leaves this machine.
 */
export const isLoopbackAddress = (address: NetAddress.IpAddress): boolean =>
  loopback.some((block) => IpNetwork.contains(block, address))

/** Whether a canonical host is this machine by its name, or by the address that it is. */
export const isLocal = (host: string): boolean => {
  const address = literal(host)
  return address === undefined ? host === "localhost" : isLoopbackAddress(address)
}
