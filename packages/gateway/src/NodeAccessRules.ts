/**
 * Which client a request comes from, and whether its address may reach a bucket, on Node.js.
 */
import { clientBehind } from "@keelson/core/unstable/Networks"
import { BlockList, isIPv4 } from "node:net"
import type { Access } from "./BucketOptions.ts"
import { network64, networkOf, unmapped } from "./internal/address/NodeAddress.ts"

/** Tells whether an address is one of a list. Text that is no address is none. */
type Contains = (address: string) => boolean

const listOf = (networks: ReadonlyArray<string>): Contains => {
  const list = new BlockList()
  for (const text of networks) {
    const { address, family, prefix } = networkOf(text)
    list.addSubnet(address, prefix, family)
  }
  return (address) => {
    const plain = unmapped(address)
    return plain !== undefined && list.check(plain, isIPv4(plain) ? "ipv4" : "ipv6")
  }
}

const everyone = (): boolean => true

/**
 * Makes the rule of a bucket from its option `access`: returns whether an address may reach it. `allow` comes first; what it does not
 * have may if `block` does not have it either and `allow` is empty. IPv4 addresses that are mapped into IPv6 are IPv4. Text that is no
 * address may not, unless there are no rules.
 *
 * **Example** (A network without one of its parts)
 *
 * ```ts import.meta.vitest
 * import * as NodeAccessRules from "@keelson/gateway/NodeAccessRules"
 *
 * const mayReach = NodeAccessRules.make({ allow: ["10.9.1.1"], block: ["10.9.0.0/16"] })
 * mayReach("::ffff:10.9.1.1") // => true
 * mayReach("10.9.1.2") // => false
 * ```
 */
export const make = ({ allow, block }: Access): (address: string) => boolean => {
  if (allow.length === 0 && block.length === 0) return everyone
  const allowed = listOf(allow)
  const blocked = listOf(block)
  if (allow.length > 0) return allowed
  return (address) => unmapped(address) !== undefined && !blocked(address)
}

/** An address in `X-Forwarded-For`, with the brackets and the port that some proxies add. */
const entry = /^(?:\[([^\]]*)\]|([^:]*))(?::\d{1,5})?$/

const addressIn = (text: string): string | undefined => {
  const trimmed = text.trim()
  const plain = unmapped(trimmed)
  if (plain !== undefined) return plain
  const found = entry.exec(trimmed)
  return found === null ? undefined : unmapped(found[1] ?? found[2] ?? "")
}

/**
 * Makes the rule for the client's address from the option `proxies`. It is the address of the socket; or, where that is a listed proxy,
 * the last address in `X-Forwarded-For` that is not, read from the right: what a client writes into the header stands left of what
 * the proxies append. If a proxy appended something that is no address, it is the address of that proxy.
 *
 * **Example** (A client that invents an address)
 *
 * ```ts import.meta.vitest
 * import * as NodeAccessRules from "@keelson/gateway/NodeAccessRules"
 *
 * const clientOf = NodeAccessRules.clientAddress(["10.0.0.0/8"])
 * clientOf("10.0.0.1", "1.1.1.1, 192.0.2.7, 10.0.0.2") // => "192.0.2.7"
 * clientOf("192.0.2.9", "1.1.1.1") // => "192.0.2.9"
 * ```
 *
 * @see RFC 7239, 7.4 and 8.1
 */
export const clientAddress = (
  proxies: ReadonlyArray<string>
): (socketAddress: string | undefined, forwardedFor: string | ReadonlyArray<string> | undefined) => string => {
  const isProxy: Contains = proxies.length === 0 ? () => false : listOf(proxies)
  return (socketAddress, forwardedFor) => {
    const peer = unmapped(socketAddress ?? "") ?? ""
    if (forwardedFor === undefined || !isProxy(peer)) return peer
    const header = typeof forwardedFor === "string" ? forwardedFor : forwardedFor.join(",")
    return clientBehind(peer, header, isProxy, addressIn)
  }
}

/**
 * The name under which requests of an address are counted: an IPv6 client has a whole /64, and would otherwise be a new client with
 * each request.
 *
 * **Example** (Two addresses of one client)
 *
 * ```ts import.meta.vitest
 * import * as NodeAccessRules from "@keelson/gateway/NodeAccessRules"
 *
 * NodeAccessRules.rateKey("2001:db8::1") // => "2001:db8:0:0"
 * NodeAccessRules.rateKey("2001:db8::1:2:3:4") // => "2001:db8:0:0"
 * NodeAccessRules.rateKey("::ffff:192.0.2.7") // => "192.0.2.7"
 * ```
 */
export const rateKey = (address: string): string => {
  const plain = unmapped(address)
  if (plain === undefined) return ""
  return isIPv4(plain) ? plain : network64(plain)
}
