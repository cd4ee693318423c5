import * as Host from "@keelson/core/unstable/Host"
import * as IpNetwork from "effect/net/IpNetwork"
import * as NetAddress from "effect/net/NetAddress"

const blocks = (...cidrs: ReadonlyArray<string>) => cidrs.map((cidr) => IpNetwork.fromStringUnsafe(cidr))
const isIn = (address: NetAddress.IpAddress, list: ReadonlyArray<IpNetwork.IpNetwork>): boolean =>
  list.some((block) => IpNetwork.contains(block, address))

/** Never reachable: unspecified (connecting to it reaches this machine), multicast and broadcast addresses. */
const never = blocks("0.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32", "::/128", "ff00::/8")

/** Special-purpose blocks (RFC 6890, IANA's registries): private, shared, link-local, documentation, benchmark, reserved. */
const special = [
  ...blocks("10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24"),
  ...blocks("192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4"),
  ...blocks("2001::/23", "2001:db8::/32", "3fff::/20")
]

/** The allocated unicast block of IPv6 (RFC 4291, 2.4). Addresses outside it, as fc00::/7 and fe80::/10, are special. */
const globalUnicast = blocks("2000::/3")

type Octets = ReadonlyArray<number>

const ipv4 = (octets: Octets) => NetAddress.ipv4FromBytesUnsafe(Uint8Array.from(octets))
const last = (octets: Octets) => [ipv4(octets.slice(12))]

/**
 * IPv6 blocks that embed IPv4 addresses, with the functions that extract them: mapped (RFC 4291, 2.5.5.2), NAT64 (RFC 6052;
 * RFC 8215 only as a /96 with zeros after the prefix, which excludes the other layouts of RFC 6052), 6to4 (RFC 3056), and
 * Teredo's server and client (RFC 4380, 4).
 */
const embedding: ReadonlyArray<
  readonly [IpNetwork.IpNetwork, (octets: Octets) => ReadonlyArray<NetAddress.Ipv4Address>]
> = [
  [IpNetwork.fromStringUnsafe("::ffff:0:0/96"), last],
  [IpNetwork.fromStringUnsafe("64:ff9b::/96"), last],
  [IpNetwork.fromStringUnsafe("64:ff9b:1::/96"), last],
  [IpNetwork.fromStringUnsafe("2002::/16"), (octets) => [ipv4(octets.slice(2, 6))]],
  [
    IpNetwork.fromStringUnsafe("2001::/32"),
    (octets) => [ipv4(octets.slice(4, 8)), ipv4(octets.slice(12).map((octet) => octet ^ 0xff))]
  ]
]

/** The addresses to check for an address: the embedded IPv4 addresses, or the address itself if it embeds none. */
const checkedAddresses = (address: NetAddress.IpAddress): ReadonlyArray<NetAddress.IpAddress> => {
  if (NetAddress.isIpv4Address(address)) return [address]
  const match = embedding.find(([block]) => IpNetwork.contains(block, address))
  return match === undefined ? [address] : match[1](NetAddress.ipv6ToOctets(address))
}

/** Whether an address is reachable on the internet. */
export const isPublic = (address: NetAddress.IpAddress): boolean =>
  !Host.isLoopbackAddress(address) && !isIn(address, special) &&
  (NetAddress.isIpv4Address(address) || isIn(address, globalUnicast))

/** Which addresses are allowed besides public ones. */
export interface Reach {
  readonly networks: ReadonlyArray<IpNetwork.IpNetwork>
  /** Whether loopback addresses are allowed: the host is local, and `allowLocalhost` is set. */
  readonly loopback: boolean
  /** Whether the request is sent without TLS to another machine: then private and loopback addresses only are allowed. */
  readonly isPlainHttp?: boolean | undefined
}

/** Addresses for private use (RFC 1918, RFC 6598, RFC 4193), which need no TLS if the operator allows http. */
const privateUse = blocks("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")

/** Whether an address is allowed that is not in `never`. */
const isWithinReach = (one: NetAddress.IpAddress, address: NetAddress.IpAddress, reach: Reach): boolean => {
  const isLoopback = Host.isLoopbackAddress(address)
  if (reach.isPlainHttp === true) {
    return isLoopback || isIn(one, privateUse) || (!isPublic(one) && isIn(one, reach.networks))
  }
  return isPublic(one) || (reach.loopback && isLoopback) || isIn(one, reach.networks)
}

/** Whether connecting to an address is allowed. */
export const isReachable = (address: NetAddress.IpAddress, reach: Reach): boolean =>
  checkedAddresses(address).every((one) => !isIn(one, never) && isWithinReach(one, address, reach))
