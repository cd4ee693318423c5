/**
 * The one seam between keys and validation: an issuer and a token's header give the keys to try, in order.
 *
 * A cache (`layerJwks`, `layerOidc`, `layerOauth2`), a registry (`JwksRegistry.layerKeySource`) and static keys (`StaticKeys`) provide it.
 */
import type * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Egress } from "./Egress.ts"
import { KeySource } from "./internal/keys/candidate.ts"
import * as JwksCache from "./JwksCache.ts"
import { JwksNotRegistered } from "./JwksError.ts"
import type * as JwksOptions from "./JwksOptions.ts"

export {
  type Candidate,
  type JoseHeader,
  KeySource,
  type KeyTrust,
  type LookupError
} from "./internal/keys/candidate.ts"

/** How many candidates a source gives at most: with more to try, each hostile token would cost as many signature checks. */
export { maxCandidates } from "./internal/keys/keySelection.ts"

/** What a key source of a provider may fail with when it is built. */
export type BuildError = KeelsonError.ConfigurationError | KeelsonError.NetworkError

/**
 * The keys of one issuer at a URL, kept by a `JwksCache` of its own. A program with several of them names each, so that
 * metrics, logs and snapshots tell them apart.
 *
 * Fails to build with `ConfigurationError` (`INVALID_CONFIG`), or `NetworkError` (`EGRESS_REFUSED`) for a URL that may not
 * be fetched. An endpoint that is down is no failure.
 */
export const layerJwks = (
  options: JwksOptions.Options & { readonly url: string },
  names?: Partial<JwksOptions.Names>
): Layer.Layer<KeySource, BuildError, Egress> => Layer.provide(layerFromCache, JwksCache.layer(options, names))

/** The keys of one issuer, found by its OpenID Connect metadata; otherwise as `layerJwks`. */
export const layerOidc = (
  options: Omit<JwksOptions.Options, "discovery" | "url">,
  names?: Partial<JwksOptions.Names>
): Layer.Layer<KeySource, BuildError, Egress> =>
  Layer.provide(layerFromCache, JwksCache.layer({ ...options, discovery: "oidc" }, names))

/** The keys of one issuer, found by its RFC 8414 metadata; otherwise as `layerJwks`. */
export const layerOauth2 = (
  options: Omit<JwksOptions.Options, "discovery" | "url">,
  names?: Partial<JwksOptions.Names>
): Layer.Layer<KeySource, BuildError, Egress> =>
  Layer.provide(layerFromCache, JwksCache.layer({ ...options, discovery: "oauth2" }, names))

/** With the options of a cache from the environment, below a path; see `Configuration.fromEnvironment`. */
export const layerConfig = (
  path: Configuration.Path,
  names?: Partial<JwksOptions.Names>
): Layer.Layer<KeySource, BuildError, Egress> => Layer.provide(layerFromCache, JwksCache.layerConfig(path, names))

/** The keys of a `JwksCache` that an application also uses otherwise. */
export const layerFromCache: Layer.Layer<KeySource, never, JwksCache.JwksCache> = Layer.effect(
  KeySource,
  Effect.map(JwksCache.JwksCache, (cache) => cache.keySource)
)

/**
 * One source of several, as of static keys and a cache: each issuer is served by the first that knows it, and by that one
 * alone. For many issuers use a `JwksRegistry`, which finds them at once.
 */
export const layerFirstOf = <E = never, R = never>(
  ...sources: readonly [Layer.Layer<KeySource, E, R>, ...ReadonlyArray<Layer.Layer<KeySource, E, R>>]
): Layer.Layer<KeySource, E, R> =>
  Layer.effect(
    KeySource,
    Effect.map(Effect.forEach(sources, Layer.build), (contexts): KeySource["Service"] => {
      const [first, ...rest] = contexts.map((context) => Context.get(context, KeySource))
      return {
        find: (issuer, header) =>
          rest.reduce(
            (found, next) => Effect.catchTag(found, "JwksNotRegistered", () => next.find(issuer, header)),
            first === undefined ? Effect.fail(new JwksNotRegistered()) : first.find(issuer, header)
          )
      }
    })
  )
