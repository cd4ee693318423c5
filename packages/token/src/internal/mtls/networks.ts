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
