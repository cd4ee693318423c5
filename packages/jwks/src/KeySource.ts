/**
 * The interface between keys and validation: finds the keys to try, in order, for an issuer and a token's header.
 *
 * A cache (`layerJwks`, `layerOidc`, `layerOauth2`), a registry (`JwksRegistry.layerKeySource`) and static keys
 * (`StaticKeys`) provide it.
 */
import type * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Egress } from "./Egress.ts"
import * as JwksCache from "./JwksCache.ts"
import { JwksNotRegistered } from "./JwksError.ts"
import type * as JwksOptions from "./JwksOptions.ts"
import { KeySource } from "./unstable/KeySourceTag.ts"

export {
  type Candidate,
  type JoseHeader,
  KeySource,
  type KeyTrust,
  type LookupError,
  maxCandidates
} from "./unstable/KeySourceTag.ts"

/** The errors of building a provider's key source. */
export type BuildError = KeelsonError.ConfigurationError | KeelsonError.NetworkError

/**
 * Serves the keys of one issuer from a URL, cached in a separate `JwksCache`. If a program has several such layers,
 * give each a name, so that metrics, logs and snapshots can distinguish them.
 *
 * Fails to build with `ConfigurationError` (`INVALID_CONFIG`), or with `NetworkError` (`EGRESS_REFUSED`) if the URL
 * may not be fetched. The layer builds even if the endpoint is down.
 */
export const layerJwks = (
  options: JwksOptions.Options & { readonly url: string },
  names?: JwksOptions.NamesOptions
): Layer.Layer<KeySource, BuildError, Egress> => Layer.provide(layerFromCache, JwksCache.layer(options, names))

/** Like `layerJwks`, but reads the URL of the key set from the issuer's OpenID Connect metadata. */
export const layerOidc = (
  options: Omit<JwksOptions.Options, "discovery" | "url">,
  names?: JwksOptions.NamesOptions
): Layer.Layer<KeySource, BuildError, Egress> =>
  Layer.provide(layerFromCache, JwksCache.layer({ ...options, discovery: "oidc" }, names))

/** Like `layerJwks`, but reads the URL of the key set from the issuer's RFC 8414 metadata. */
export const layerOauth2 = (
  options: Omit<JwksOptions.Options, "discovery" | "url">,
  names?: JwksOptions.NamesOptions
): Layer.Layer<KeySource, BuildError, Egress> =>
  Layer.provide(layerFromCache, JwksCache.layer({ ...options, discovery: "oauth2" }, names))

/** Reads the cache options from the environment, below a path; see `Configuration.fromEnvironment`. */
export const layerConfig = (
  path: Configuration.Path,
  names?: JwksOptions.NamesOptions
): Layer.Layer<KeySource, BuildError, Egress> => Layer.provide(layerFromCache, JwksCache.layerConfig(path, names))

/** Serves the keys of an existing `JwksCache`, for an application that also uses the cache directly. */
export const layerFromCache: Layer.Layer<KeySource, never, JwksCache.JwksCache> = Layer.effect(
  KeySource,
  Effect.map(JwksCache.JwksCache, (cache) => cache.keySource)
)

/**
 * Combines several sources, for example static keys and a cache. Only the first source that knows an issuer serves it.
 * For many issuers use a `JwksRegistry`, which looks an issuer up directly.
 *
 * **Example** (A static key beside an issuer's key set)
 *
 * ```ts import.meta.vitest
 * import { KeySource, StaticKeys } from "@keelson/jwks"
 * import { Effect, Redacted } from "effect"
 *
 * const sourceOf = (issuer: string, secret: string) =>
 *   StaticKeys.layer({ issuers: [issuer], keys: [{ algorithm: "HS256", secret: Redacted.make(secret.padEnd(32, ".")) }] })
 * const sources = KeySource.layerFirstOf(sourceOf("https://a.example", "a"), sourceOf("https://b.example", "b"))
 *
 * const find = Effect.flatMap(KeySource.KeySource, (keys) => keys.find("https://b.example", { alg: "HS256" }))
 * const candidates = await Effect.runPromise(Effect.provide(find, sources))
 * candidates.length // => 1
 * ```
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
