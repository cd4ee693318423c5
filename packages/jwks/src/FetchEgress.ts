/**
 * `Egress` over the platform's `fetch`, for any web platform.
 *
 * `fetch` does not show the address that it connects to, so addresses are checked only if the host is an address, and
 * `allowedHosts` or `unverifiedAddresses` is required. Pins, certificate authorities and proxies need `NodeEgress`.
 *
 * The platform's time limits apply too: `fetch` of Node fails after 300 seconds without headers or without a byte of the body.
 * Browsers hide the target of a redirect, so redirects are refused there.
 */
import type * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Decoders from "@keelson/core/unstable/Decoders"
import * as Field from "@keelson/core/unstable/Field"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { Egress } from "./Egress.ts"
import * as EgressOptions from "./EgressOptions.ts"
import { limitedContentCodings } from "./internal/egress/contentCodings.ts"
import { areHeadersLimited } from "./internal/egress/optionChecks.ts"
import { makeEgress, type Open, type Send } from "./internal/egress/redirects.ts"
import { refused } from "./internal/egress/refusal.ts"
import { serviceRules, warnOfInsecureHosts } from "./internal/egress/rules.ts"

/** The options of an egress over `fetch`. Needs `allowedHosts`, or `unverifiedAddresses` set to true. */
export interface Options extends EgressOptions.Options {
  /** Whether any host may be requested although its addresses cannot be checked. Default false. */
  readonly unverifiedAddresses?: boolean | undefined
}

const areInsecureHostsAccepted = Schema.makeFilter(
  (o: { readonly insecureHosts: ReadonlyArray<string>; readonly unverifiedAddresses: boolean }) =>
    o.unverifiedAddresses || o.insecureHosts.length === 0 ||
    { path: ["insecureHosts"], issue: "empty unless unverifiedAddresses is true, or used with NodeEgress" }
)
const areHostsKnown = Schema.makeFilter(
  (o: { readonly allowedHosts: ReadonlyArray<string>; readonly unverifiedAddresses: boolean }) =>
    o.unverifiedAddresses || o.allowedHosts.length > 0 ||
    { path: ["allowedHosts"], issue: "at least one host, unless unverifiedAddresses is true" }
)

/** Checked options of an egress over `fetch`. */
export const FetchEgressOptions = Schema.Struct({
  ...EgressOptions.EgressOptions.fields,
  unverifiedAddresses: Field.defaulted(Schema.Boolean, false)
}).check(areHostsKnown, areInsecureHostsAccepted, areHeadersLimited)
export type FetchEgressOptions = typeof FetchEgressOptions.Type

const decoders = Decoders.decoders<Options, typeof FetchEgressOptions>(FetchEgressOptions)

/** Request options without credentials, cache or referrer; only those that the platform has, since some throw at others. */
const privateOptions = (): RequestInit => ({
  ...("credentials" in Request.prototype ? { credentials: "omit" } : undefined),
  ...("cache" in Request.prototype ? { cache: "no-store" } : undefined),
  ...("referrerPolicy" in Request.prototype ? { referrerPolicy: "no-referrer" } : undefined)
})

const send: Send = (url, { headers, signal }) =>
  globalThis.fetch(url, {
    ...privateOptions(),
    ...limitedContentCodings(),
    method: "GET",
    headers,
    redirect: "manual",
    signal
  })

/** Refuses pins, since `fetch` does not show certificates. */
const open: Open = (pins) => pins.length > 0 ? Effect.fail(refused("pin")) : Effect.succeed(send)

const make = (options: FetchEgressOptions): Effect.Effect<Egress["Service"]> =>
  Effect.as(warnOfInsecureHosts(options), makeEgress(serviceRules(options), open))

/**
 * Provides an egress with options given in code.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`), also if neither `allowedHosts` nor `unverifiedAddresses` is given.
 *
 * **Example** (Keys of two hosts only)
 *
 * ```ts import.meta.vitest
 * import { FetchEgress, KeySource } from "@keelson/jwks"
 * import { Layer } from "effect"
 *
 * const egress = FetchEgress.layer({ allowedHosts: ["idp.example", "keys.example"] })
 * const keys = KeySource.layerOidc({ issuer: "https://idp.example" }).pipe(Layer.provide(egress))
 * Layer.isLayer(keys) // => true
 * ```
 */
export const layer = (options: Options): Layer.Layer<Egress, KeelsonError.ConfigurationError> =>
  Layer.effect(Egress, Effect.flatMap(decoders.decode(options), make))

/** Provides an egress with options from the environment, below a path; see `Configuration.fromEnvironment`. */
export const layerConfig = (path: Configuration.Path): Layer.Layer<Egress, KeelsonError.ConfigurationError> =>
  Layer.effect(Egress, Effect.flatMap(decoders.config(path), make))
