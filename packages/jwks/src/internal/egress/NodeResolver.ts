import * as Host from "@keelson/core/unstable/Host"
import * as Context from "effect/Context"
import * as NetAddress from "effect/net/NetAddress"
import * as Result from "effect/Result"
import { lookup, type LookupAddress } from "node:dns"
import type { LookupFunction } from "node:net"
import { isReachable } from "./addresses.ts"
import { Refusal } from "./refusal.ts"
import { reachOf, type ServiceRules } from "./rules.ts"

/** Resolves a name to all its addresses, in the order to try them. */
export type Resolve = (
  hostname: string,
  done: (error: Error | null, addresses: ReadonlyArray<LookupAddress>) => void
) => void

/** Resolves names. Default: the system's resolver; tests replace it. */
export const Resolver = Context.Reference<Resolve>("@keelson/jwks/internal/Resolver", {
  defaultValue: () => (hostname, done) => lookup(hostname, { all: true, order: "verbatim" }, done)
})

const familiesOf = (family: unknown): ReadonlyArray<number> =>
  family === 4 || family === "IPv4" ? [4] : family === 6 || family === "IPv6" ? [6] : [4, 6]

/**
 * Makes the socket's `lookup`, which returns only the allowed addresses. The socket connects to what this returns, so the
 * address that is checked is the one that is used, even if a second resolution returns another (DNS rebinding).
 */
export const guardedLookup = (resolve: Resolve, rules: ServiceRules): LookupFunction => (hostname, options, done) => {
  const reach = reachOf(Host.canonical(hostname) ?? hostname, rules)
  const isAllowed = ({ address }: LookupAddress): boolean => {
    const parsed = NetAddress.ipFromString(address)
    return Result.isSuccess(parsed) && isReachable(parsed.success, reach)
  }
  resolve(hostname, (error, addresses) => {
    if (error !== null) return done(error, [])
    const families = familiesOf(options.family)
    const allowed = addresses.filter(isAllowed)
    const [first, ...others] = allowed.filter(({ family }) => families.includes(family))
    if (addresses.length > 0 && allowed.length === 0) return done(new Refusal("address"), [])
    if (first === undefined) {
      return done(
        Object.assign(new Error("The host has no address of the requested family"), { code: "ENOTFOUND" }),
        []
      )
    }
    return options.all === true ? done(null, [first, ...others]) : done(null, first.address, first.family)
  })
}
