/**
 * `Egress` on Node. It connects only to addresses that it has checked.
 *
 * The socket resolves names with a lookup that returns only allowed addresses. A name server that does not answer delays neither
 * other names nor lookups of the application: the resolution ends with its `get`. Each `get` opens its own HTTP/1.1 connections
 * and closes them when it ends. Certificates are always verified; `caFile` adds authorities, `Rules.pins` requires keys.
 */
import type * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Decoders from "@keelson/core/unstable/Decoders"
import * as Field from "@keelson/core/unstable/Field"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as OptionalSection from "@keelson/core/unstable/OptionalSection"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { versions } from "node:process"
import { Egress } from "./Egress.ts"
import * as EgressOptions from "./EgressOptions.ts"
import { trust } from "./internal/egress/NodeAuthorities.ts"
import { bearerToken } from "./internal/egress/NodeBearerToken.ts"
import { type Connections, openConnections, type Settings } from "./internal/egress/NodeConnections.ts"
import { dnsResolve } from "./internal/egress/NodeDns.ts"
import { isProxyUrl, proxyOf, proxyUrl } from "./internal/egress/NodeProxy.ts"
import { Resolver } from "./internal/egress/NodeResolver.ts"
import { systemResolve } from "./internal/egress/NodeSystemLookup.ts"
import { areHeadersLimited } from "./internal/egress/optionChecks.ts"
import { makeEgress, type Open, type Send } from "./internal/egress/redirects.ts"
import { serviceRules, warnOfInsecureHosts } from "./internal/egress/rules.ts"

const Proxy = Schema.String.check(
  Schema.makeFilter((text: string) => text === "environment" || text === "none" || isProxyUrl(text), {
    expected: `environment, none, or ${proxyUrl}`
  })
)

/** The options of an egress on Node. Each may be left out. */
export interface Options extends EgressOptions.Options {
  /**
   * The path of a PEM file of certificate authorities to trust in addition to those of Node. It is read once. At least 1
   * character. Default none.
   */
  readonly caFile?: string | undefined
  /**
   * The path of a file with a token, which is sent as `Authorization: Bearer`, as for the key set of Kubernetes. It is read
   * for each request, so that the token may rotate. Sent as `headers` are: it needs `allowedHosts`. At least 1 character.
   * Default none.
   */
  readonly bearerTokenFile?: string | undefined
  /**
   * The proxy: `environment` takes `HTTPS_PROXY`, else `HTTP_PROXY`, and bypasses it for the hosts in `NO_PROXY` (each
   * variable in lower case first); `none`; or the URL of an http or https proxy. The proxy resolves names, so addresses are
   * checked only if the host is an address. `localhost` and loopback addresses bypass the proxy. Default environment.
   */
  readonly proxy?: string | undefined
  /**
   * How names are resolved. `dns` reads the hosts file and asks the name servers of the system, with its search domains, and
   * can be cancelled; names that these do not have are resolved as with `system`. `system` calls `getaddrinfo`, which cannot
   * be cancelled, with few calls at once: for a system whose names are not those of its name servers. Default dns.
   */
  readonly resolver?: "dns" | "system" | undefined
}

const isTokenLimited = Schema.makeFilter(
  (o: { readonly allowedHosts: ReadonlyArray<string>; readonly bearerTokenFile?: string }) =>
    o.bearerTokenFile === undefined || o.allowedHosts.length > 0 ||
    { path: ["allowedHosts"], issue: "at least one host beside bearerTokenFile, since each of these hosts receives it" }
)

/** Checked options of an egress on Node. */
export const NodeEgressOptions = Schema.Struct({
  ...EgressOptions.EgressOptions.fields,
  caFile: Schema.optionalKey(Schema.NonEmptyString),
  bearerTokenFile: Schema.optionalKey(Schema.NonEmptyString),
  proxy: Field.defaulted(Proxy, "environment"),
  resolver: Field.defaulted(Schema.Literals(["dns", "system"]), "dns")
}).check(areHeadersLimited, isTokenLimited)
export type NodeEgressOptions = typeof NodeEgressOptions.Type

const decoders = Decoders.decoders<Options, typeof NodeEgressOptions>(NodeEgressOptions)

/** Opens the connections of each `get`, and closes them when it ends or with the scope. */
const opener = Effect.fnUntraced(function*(settings: Settings) {
  const live = new Set<Connections>()
  yield* Effect.addFinalizer(() => Effect.sync(() => live.forEach(({ close }) => close())))
  const acquire = (pins: ReadonlyArray<string>) =>
    Effect.sync(() => {
      const connections = openConnections(settings, pins)
      live.add(connections)
      return connections
    })
  const release = (connections: Connections) =>
    Effect.sync(() => {
      live.delete(connections)
      connections.close()
    })
  const open: Open = (pins) =>
    Effect.map(
      Effect.acquireRelease(acquire(pins), release),
      ({ dispatcherOf }): Send => (url, { headers, signal }) =>
        settings.undici.fetch(url, {
          method: "GET",
          headers,
          redirect: "manual",
          signal,
          dispatcher: dispatcherOf(url),
          // undici has no cache. The default mode would add `Cache-Control: no-cache` to conditional requests (Fetch,
          // HTTP-network-or-cache fetch), so that intermediate caches could not answer them.
          cache: "force-cache"
        })
    )
  return open
})

/** Bun replaces `undici` with its own implementation, which ignores the lookup and the checks of certificates. */
const unsupported = () =>
  InvalidConfig.option("egress", "FetchEgress on Bun", {
    message: "NodeEgress cannot check addresses and pins on Bun: use FetchEgress with allowedHosts"
  })

const make = Effect.fnUntraced(function*(options: NodeEgressOptions) {
  if ("bun" in versions) return yield* unsupported()
  const rules = serviceRules(options)
  const resolve = (yield* Resolver) ?? (options.resolver === "dns" ? dnsResolve : systemResolve)
  const authorities = yield* trust(options.caFile)
  const proxy = yield* proxyOf(options.proxy)
  if (proxy !== undefined) {
    yield* Effect.logWarning(
      "Key sets are fetched through a proxy, which resolves host names: their addresses are not checked"
    )
  }
  const undici = yield* Effect.promise(() => import("undici"))
  const bearer = yield* bearerToken(options.bearerTokenFile)
  yield* warnOfInsecureHosts(options)
  return makeEgress(rules, yield* opener({ undici, resolve, rules, trust: authorities, proxy }), bearer)
})

/**
 * Provides an egress with options given in code.
 *
 * Fails with `ConfigurationError`: `INVALID_CONFIG` on Bun, which cannot enforce the rules, and for an invalid option, a file
 * without certificates or token, or a malformed proxy URL in the environment; `KEY_FILE_UNREADABLE` with the `path` of a file
 * that cannot be read.
 *
 * **Example** (Keys over a proxy and a company's own authority)
 *
 * ```ts import.meta.vitest
 * import { KeySource } from "@keelson/jwks"
 * import * as NodeEgress from "@keelson/jwks/NodeEgress"
 * import { Layer } from "effect"
 *
 * const egress = NodeEgress.layer({ caFile: "/etc/ssl/company.pem", proxy: "http://proxy.company.example:3128" })
 * const keys = KeySource.layerOidc({ issuer: "https://idp.example" }).pipe(Layer.provide(egress))
 * Layer.isLayer(keys) // => true
 * ```
 */
export const layer = (options: Options = {}): Layer.Layer<Egress, KeelsonError.ConfigurationError> =>
  Layer.effect(Egress, Effect.flatMap(decoders.decode(options), make))

/**
 * Provides an egress with options from the environment, below a path; see `Configuration.fromEnvironment` and `layer`. If none
 * is set, all have their defaults.
 */
export const layerConfig = (path: Configuration.Path): Layer.Layer<Egress, KeelsonError.ConfigurationError> =>
  Layer.effect(Egress, Effect.flatMap(OptionalSection.config(decoders)(path), make))
