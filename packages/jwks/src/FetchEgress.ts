/**
 * `Egress` over the platform's own `fetch`, for any web platform.
 *
 * It cannot see the addresses that are connected to: only hosts that are addresses themselves are checked. So it wants a
 * list of hosts, or to be told that unverified addresses are meant. Pins, own authorities and proxies are `NodeEgress`'s.
 *
 * The platform's own limits hold beside the caller's: `fetch` of Node gives up after 300 seconds without a header or
 * without a byte of the body. In browsers a redirect is hidden, and therefore refused.
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Field from "@keelson/core/unstable/Field"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { Egress } from "./Egress.ts"
import * as EgressOptions from "./EgressOptions.ts"
import { limitedContentCodings } from "./internal/egress/contentCodings.ts"
import { makeEgress, type Open, type Send } from "./internal/egress/redirects.ts"
import { refused } from "./internal/egress/refusal.ts"
import { serviceRules } from "./internal/egress/rules.ts"

/** The fields of `FetchEgressOptions`. */
export const fields = {
  ...EgressOptions.EgressOptions.fields,
  /**
   * Whether any host may be asked though its addresses cannot be checked: needed where `allowedHosts` is empty. Default
   * false.
   */
  unverifiedAddresses: Field.defaulted(Schema.Boolean, false)
}

const areHostsKnown = Schema.makeFilter(
  (o: { readonly allowedHosts: ReadonlyArray<string>; readonly unverifiedAddresses: boolean }) =>
    o.unverifiedAddresses || o.allowedHosts.length > 0 ||
    { path: ["allowedHosts"], issue: "at least one host, unless unverifiedAddresses is true" }
)

/** Checked options of this egress. */
export const FetchEgressOptions = Schema.Struct(fields).check(areHostsKnown)
export type FetchEgressOptions = typeof FetchEgressOptions.Type

/** What `layer` takes. */
export type Options = EgressOptions.Partially<FetchEgressOptions>

/** Not every platform has all of a request's options, and some throw at one that they lack. */
const quiet = (): RequestInit => ({
  ...("credentials" in Request.prototype ? { credentials: "omit" } : undefined),
  ...("cache" in Request.prototype ? { cache: "no-store" } : undefined),
  ...("referrerPolicy" in Request.prototype ? { referrerPolicy: "no-referrer" } : undefined)
})

const send: Send = (url, { headers, signal }) =>
  globalThis.fetch(url, { ...quiet(), ...limitedContentCodings(), method: "GET", headers, redirect: "manual", signal })

/** Nothing here sees a certificate. */
const open: Open = (pins) => pins.length > 0 ? Effect.fail(refused("pin")) : Effect.succeed(send)

const make = (options: FetchEgressOptions): Egress["Service"] => makeEgress(serviceRules(options), open)

/**
 * An egress with options from code.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`), also where neither `allowedHosts` nor `unverifiedAddresses` is given.
 */
export const layer = (options: Options): Layer.Layer<Egress, KeelsonError.ConfigurationError> =>
  Layer.effect(Egress, Effect.map(Configuration.decode(FetchEgressOptions)(options), make))

/** An egress with options from the environment, below a path; see `Configuration.fromEnvironment`. */
export const layerConfig = (path: Configuration.Path): Layer.Layer<Egress, KeelsonError.ConfigurationError> =>
  Layer.effect(Egress, Effect.map(Configuration.fromEnvironment(FetchEgressOptions, path), make))
