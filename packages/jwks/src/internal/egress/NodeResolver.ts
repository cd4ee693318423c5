import * as Host from "@keelson/core/unstable/Host"
import * as Context from "effect/Context"
import * as NetAddress from "effect/net/NetAddress"
import * as Result from "effect/Result"
import type { LookupAddress } from "node:dns"
import type { LookupFunction } from "node:net"
import { isReachable } from "./addresses.ts"
import { Refusal } from "./refusal.ts"
import { reachOf, type ServiceRules } from "./rules.ts"

/** Called once, with all addresses of a name in the order to try them, or with the error. */
export type Done = (error: Error | null, addresses: ReadonlyArray<LookupAddress>) => void

/** Resolves a name. Returns a function that ends the resolution, after which `done` need not be called. */
export type Resolve = (hostname: string, done: Done) => (() => void) | void

/** Replaces the resolver of the options in tests. */
export const Resolver = Context.Reference<Resolve | undefined>("@keelson/jwks/internal/Resolver", {
  defaultValue: () => undefined
})

const familiesOf = (family: unknown): ReadonlyArray<number> =>
  family === 4 || family === "IPv4" ? [4] : family === 6 || family === "IPv6" ? [6] : [4, 6]

/** Makes the socket's `lookup`. `choose` returns the addresses to connect to, or refuses them all. */
const lookupBy = (
  resolve: Resolve,
  choose: (host: string, addresses: ReadonlyArray<LookupAddress>) => ReadonlyArray<LookupAddress> | Refusal
): LookupFunction =>
(hostname, options, done) => {
  const host = Host.canonical(hostname) ?? hostname
  resolve(host, (error, addresses) => {
    if (error !== null) return done(error, [])
    const chosen = choose(host, addresses)
    if (chosen instanceof Refusal) return done(chosen, [])
    const families = familiesOf(options.family)
    const [first, ...others] = chosen.filter(({ family }) => families.includes(family))
    if (first === undefined) {
      return done(
        Object.assign(new Error("The host has no address of the requested family"), { code: "ENOTFOUND" }),
        []
      )
    }
    return options.all === true ? done(null, [first, ...others]) : done(null, first.address, first.family)
  })
}

/** Makes a `lookup` that returns all addresses: for a proxy, which the operator has named. */
export const lookupOf = (resolve: Resolve): LookupFunction => lookupBy(resolve, (_, addresses) => addresses)

/**
 * Makes the socket's `lookup`, which returns only the allowed addresses. The socket connects to what this returns, so the
 * address that is checked is the one that is used, even if a second resolution returns another (DNS rebinding).
 */
export const guardedLookup = (resolve: Resolve, rules: ServiceRules, isHttp = false): LookupFunction =>
  lookupBy(resolve, (host, addresses) => {
    const reach = reachOf(host, rules, isHttp)
    const allowed = addresses.filter(({ address }) => {
      const parsed = NetAddress.ipFromString(address)
      return Result.isSuccess(parsed) && isReachable(parsed.success, reach)
    })
    return addresses.length > 0 && allowed.length === 0 ? new Refusal("address") : allowed
  })
