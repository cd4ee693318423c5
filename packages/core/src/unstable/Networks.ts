/**
 * Networks of addresses, and the address of a client behind listed proxies.
 */
import * as IpNetwork from "effect/net/IpNetwork"
import * as NetAddress from "effect/net/NetAddress"
import * as Result from "effect/Result"

/** The network of a text: a network in CIDR notation, or one address. */
export const networkOf = (text: string): IpNetwork.IpNetwork | undefined => {
  const cidr = text.includes("/") ? text : `${text}/${text.includes(":") ? 128 : 32}`
  return Result.getOrUndefined(IpNetwork.fromString(cidr))
}

/** IPv4 mapped into IPv6, in the notation of sockets that accept both. */
const mapped = /^::ffff:(?=\d{1,3}(?:\.\d{1,3}){3}$)/i

/** Whether an address, as a socket has it, is in one of the networks. */
export const isWithin = (address: string, networks: ReadonlyArray<IpNetwork.IpNetwork>): boolean => {
  const parsed = Result.getOrUndefined(NetAddress.ipFromString(address.replace(mapped, "")))
  return parsed !== undefined && networks.some((network) => IpNetwork.contains(network, parsed))
}

/** The largest number of addresses in `X-Forwarded-For` that are read. */
const maxHops = 64

/** The address of an entry of `X-Forwarded-For`: without brackets and port, in canonical notation. */
const forwardedAddress = (entry: string): string | undefined => {
  const text = entry.trim()
  const [, bracketed] = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(text) ?? []
  const host = bracketed ?? (text.includes(".") ? text.replace(/(?<=^[\d.]+):\d{1,5}$/, "") : text)
  const parsed = Result.getOrUndefined(NetAddress.ipFromString(host.replace(mapped, "")))
  return parsed === undefined ? undefined : NetAddress.formatIp(NetAddress.toCanonical(parsed))
}

/**
 * The address of the client of a request. That is the peer of the connection, unless it is a proxy: then it is the last address
 * in `X-Forwarded-For` that is not a proxy's. Any client can write the addresses before that one. An entry that is not an
 * address ends the search at the last proxy.
 *
 * - `forwardedFor`: the values of `X-Forwarded-For` in their order, joined by commas.
 * - `read` returns the address of an entry; `undefined` if it is none.
 */
export const clientBehind = (
  peer: string,
  forwardedFor: string,
  isProxy: (address: string) => boolean,
  read: (entry: string) => string | undefined
): string => {
  let address = peer
  let end = forwardedFor.length
  for (let hops = 0; hops < maxHops && end >= 0 && isProxy(address); hops++) {
    const comma = end === 0 ? -1 : forwardedFor.lastIndexOf(",", end - 1)
    const next = read(forwardedFor.slice(comma + 1, end))
    if (next === undefined) return address
    address = next
    end = comma
  }
  return address
}

/** The same, with a list of networks; `undefined` where the server does not tell the peer. */
export const clientAddress = (
  peer: string | undefined,
  forwardedFor: string | undefined,
  proxies: ReadonlyArray<IpNetwork.IpNetwork>
): string | undefined => {
  if (peer === undefined) return undefined
  const address = forwardedAddress(peer) ?? peer
  if (forwardedFor === undefined || proxies.length === 0) return address
  return clientBehind(address, forwardedFor, (one) => isWithin(one, proxies), forwardedAddress)
}
