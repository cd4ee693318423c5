import { isIPv4, isIPv6 } from "node:net"

/** The eight groups of an IPv6 address, which is valid and has no zone. */
const groupsOf = (address: string): ReadonlyArray<number> => {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address)
  const text = dotted === null
    ? address
    : `${dotted[1]}${(Number(dotted[2]) * 256 + Number(dotted[3])).toString(16)}:${
      (Number(dotted[4]) * 256 + Number(dotted[5])).toString(16)
    }`
  const [head = "", tail] = text.split("::")
  const left = head === "" ? [] : head.split(":")
  const right = tail === undefined || tail === "" ? [] : tail.split(":")
  const zeros = tail === undefined ? [] : Array.from({ length: 8 - left.length - right.length }, () => "0")
  return [...left, ...zeros, ...right].map((group) => Number.parseInt(group, 16))
}

const isMapped = (groups: ReadonlyArray<number>): boolean =>
  groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0)

const dottedOf = (high: number, low: number): string => `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`

/**
 * An address in the one form that rules see: without zone, and as IPv4 if it is mapped into IPv6 (RFC 4291, 2.5.5.2) in any
 * notation. `undefined` for text that is no address.
 */
export const unmapped = (address: string): string | undefined => {
  if (isIPv4(address)) return address
  const zone = address.indexOf("%")
  const text = zone === -1 ? address : address.slice(0, zone)
  if (!isIPv6(text)) return undefined
  if (!/ffff/i.test(text)) return text
  const groups = groupsOf(text)
  return isMapped(groups) ? dottedOf(groups[6] ?? 0, groups[7] ?? 0) : text
}

/** The first 64 bits of an IPv6 address, as four groups without leading zeros. */
export const network64 = (address: string): string =>
  groupsOf(address).slice(0, 4).map((group) => group.toString(16)).join(":")

/** A network: its first address, its prefix length, and its family; IPv4 if it is mapped into IPv6. */
export interface Network {
  readonly address: string
  readonly prefix: number
  readonly family: "ipv4" | "ipv6"
}

/** Reads an address or a network in CIDR notation, which is valid. */
export const networkOf = (text: string): Network => {
  const [written = "", length] = text.split("/")
  const prefix = length === undefined ? undefined : Number(length)
  if (isIPv4(written)) return { address: written, prefix: prefix ?? 32, family: "ipv4" }
  const address = unmapped(written)
  if (address !== undefined && isIPv4(address) && (prefix ?? 128) >= 96) {
    return { address, prefix: (prefix ?? 128) - 96, family: "ipv4" }
  }
  return { address: written, prefix: prefix ?? 128, family: "ipv6" }
}
