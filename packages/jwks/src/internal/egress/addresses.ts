import * as Host from "@keelson/core/unstable/Host"
import * as IpNetwork from "effect/net/IpNetwork"
import * as NetAddress from "effect/net/NetAddress"

const blocks = (...cidrs: ReadonlyArray<string>) => cidrs.map((cidr) => IpNetwork.fromStringUnsafe(cidr))
const isIn = (address: NetAddress.IpAddress, list: ReadonlyArray<IpNetwork.IpNetwork>): boolean =>
  list.some((block) => IpNetwork.contains(block, address))

/** Not the address of any one host elsewhere; connecting to the unspecified one reaches this machine. */
const never = blocks("0.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32", "::/128", "ff00::/8")

/** Special purposes (RFC 6890 and IANA's registries): private, shared, link-local, documentation, benchmarks, reserved. */
const special = [
  ...blocks("10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24"),
  ...blocks("192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4"),
  ...blocks("2001::/23", "2001:db8::/32", "3fff::/20")
]

/** All that is given out of IPv6 (RFC 4291, 2.4). What is outside, as fc00::/7 and fe80::/10, is special. */
const globalUnicast = blocks("2000::/3")

type Octets = ReadonlyArray<number>

const ipv4 = (octets: Octets) => NetAddress.ipv4FromBytesUnsafe(Uint8Array.from(octets))
const last = (octets: Octets) => [ipv4(octets.slice(12))]

/**
 * IPv6 that carries IPv4, and where: mapped (RFC 4291, 2.5.5.2), NAT64 (RFC 6052; RFC 8215, only with the prefix's own
 * zeros, so that the other layouts of RFC 6052 have nothing to carry), 6to4 (RFC 3056), Teredo's server and client (RFC 4380, 4).
 */
const carriers: ReadonlyArray<
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

/** The addresses that decide about one: those that it carries, else itself. */
const deciding = (address: NetAddress.IpAddress): ReadonlyArray<NetAddress.IpAddress> => {
  if (NetAddress.isIpv4Address(address)) return [address]
  const carrier = carriers.find(([block]) => IpNetwork.contains(block, address))
  return carrier === undefined ? [address] : carrier[1](NetAddress.ipv6ToOctets(address))
}

const isPublic = (address: NetAddress.IpAddress): boolean =>
  !Host.isLoopbackAddress(address) && !isIn(address, special) &&
  (NetAddress.isIpv4Address(address) || isIn(address, globalUnicast))

/** What may be reached besides public addresses. */
export interface Reach {
  readonly networks: ReadonlyArray<IpNetwork.IpNetwork>
  /** Whether the host is localhost, or a loopback address, and that is allowed. */
  readonly loopback: boolean
}

/** Whether an address may be connected to. */
export const isReachable = (address: NetAddress.IpAddress, reach: Reach): boolean =>
  deciding(address).every((one) =>
    !isIn(one, never) &&
    (isPublic(one) || (reach.loopback && Host.isLoopbackAddress(address)) || isIn(one, reach.networks))
  )
