/**
 * `Egress` on Node: the address that is checked is the address that is connected to.
 *
 * Names are resolved inside the socket, which gets the allowed addresses only. Each `get` has connections of its own, over
 * HTTP/1.1, which end with it. Certificates are always verified; `caFile` adds authorities, `Rules.pins` demands keys.
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Field from "@keelson/core/unstable/Field"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { fetch } from "undici"
import { Egress } from "./Egress.ts"
import * as EgressOptions from "./EgressOptions.ts"
import { trust } from "./internal/egress/NodeAuthorities.ts"
import { type Connections, openConnections, type Settings } from "./internal/egress/NodeConnections.ts"
import { isProxyUrl, proxyOf, proxyUrl } from "./internal/egress/NodeProxy.ts"
import { guardedLookup, Resolver } from "./internal/egress/NodeResolver.ts"
import { makeEgress, type Open, type Send } from "./internal/egress/redirects.ts"
import { serviceRules } from "./internal/egress/rules.ts"

const Proxy = Schema.String.check(
  Schema.makeFilter((text: string) => text === "environment" || text === "none" || isProxyUrl(text), {
    expected: `environment, none, or ${proxyUrl}`
  })
)

/** The fields of `NodeEgressOptions`. */
export const fields = {
  ...EgressOptions.EgressOptions.fields,
  /** A PEM file of certificate authorities that are trusted besides those of Node. It is read once. Default none. */
  caFile: Schema.optionalKey(Schema.NonEmptyString),
  /**
   * By which proxy: `environment` takes `HTTPS_PROXY`, else `HTTP_PROXY`, and leaves out what `NO_PROXY` lists, each in
   * lower case first; `none`; or a URL with http or https. Behind a proxy names are not resolved here, so that only hosts
   * that are addresses are checked. `localhost` and loopback addresses are asked without it. Default environment.
   */
  proxy: Field.defaulted(Proxy, "environment")
}

/** Checked options of this egress. */
export const NodeEgressOptions = Schema.Struct(fields)
export type NodeEgressOptions = typeof NodeEgressOptions.Type

/** What `layer` takes. */
export type Options = EgressOptions.Partially<NodeEgressOptions>

/** Connections for each `get`, closed when it ends, or with the layer that is in scope here. */
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
        fetch(url, {
          method: "GET",
          headers,
          redirect: "manual",
          signal,
          dispatcher: dispatcherOf(url),
          // There is no cache here. The default mode would add `Cache-Control: no-cache` to conditional requests (Fetch,
          // HTTP-network-or-cache fetch), so that no cache on the way could answer them.
          cache: "force-cache"
        })
    )
  return open
})

const make = Effect.fnUntraced(function*(options: NodeEgressOptions) {
  const rules = serviceRules(options)
  const resolve = yield* Resolver
  const authorities = yield* trust(options.caFile)
  const proxy = yield* proxyOf(options.proxy)
  if (proxy !== undefined) {
    yield* Effect.logWarning("Key sets are fetched by a proxy, so the addresses behind host names are not checked")
  }
  return makeEgress(rules, yield* opener({ lookup: guardedLookup(resolve, rules), trust: authorities, proxy }))
})

const decode = Configuration.decode(NodeEgressOptions)

/**
 * An egress with options given in code.
 *
 * Fails with `ConfigurationError`: `INVALID_CONFIG` for an invalid option, a file without certificates or a malformed proxy
 * URL in the environment; `KEY_FILE_UNREADABLE` with the `path` of a file that cannot be read.
 */
export const layer = (options: Options = {}): Layer.Layer<Egress, KeelsonError.ConfigurationError> =>
  Layer.effect(Egress, Effect.flatMap(decode(options), make))

/** An egress with options from the environment, below a path; see `Configuration.fromEnvironment` and `layer`. */
export const layerConfig = (path: Configuration.Path): Layer.Layer<Egress, KeelsonError.ConfigurationError> =>
  Layer.effect(Egress, Effect.flatMap(Configuration.fromEnvironment(NodeEgressOptions, path), make))
