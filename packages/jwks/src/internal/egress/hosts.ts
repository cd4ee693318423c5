import { Result } from "effect"
import { NetAddress } from "effect/net"

const isIpv6 = (text: string): boolean => Result.isSuccess(NetAddress.ipv6FromString(text))

/** Characters that would end a host in a URL, be dropped from it, or stand for several hosts. */
const foreign = /[\s\p{Cc}/?#@\\%*]/u

/**
 * A host as a URL has it, without the dot at its end: lower case, an international name as its A-label, an address in its
 * one form. `undefined` for what is no host: a pattern, a host with a port, an empty label.
 */
export const canonicalHost = (text: string): string | undefined => {
  if (foreign.test(text)) return undefined
  const host = isIpv6(text) ? `[${text}]` : text
  if (host.replace(/^\[.*\]$/, "").includes(":") || !URL.canParse(`https://${host}`)) return undefined
  return withoutDot(new URL(`https://${host}`).hostname)
}

/** `undefined` where a label is empty. */
export const withoutDot = (hostname: string): string | undefined => {
  const host = hostname.replace(/\.$/, "")
  return host.split(".").includes("") ? undefined : host
}

/** Equal, or below it at a dot. Both are canonical. */
const isWithin = (host: string, allowed: string): boolean => host === allowed || host.endsWith(`.${allowed}`)

/** Whether a canonical host is on the list; an empty list has them all, and an entry that is no host has none. */
export const isListed = (host: string, list: ReadonlyArray<string>): boolean =>
  list.length === 0 || list.some((entry) => {
    const allowed = canonicalHost(entry)
    return allowed !== undefined && isWithin(host, allowed)
  })

/** The address that a canonical host is, where it is one. */
export const literalOf = (host: string): NetAddress.IpAddress | undefined =>
  Result.getOrUndefined(NetAddress.ipFromString(host.replace(/^\[(.*)\]$/, "$1")))
