/**
 * The interface between keys and validation: finds the keys to try, in order, for an issuer and a token's header.
 *
 * A cache (`layerJwks`, `layerOidc`, `layerOauth2`), a registry (`JwksRegistry.layerKeySource`) and static keys
 * (`StaticKeys`) provide it.
 */
import type * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Egress } from "./Egress.ts"
import * as JwksCache from "./JwksCache.ts"
import { type JwksKeyNotFound, JwksNotRegistered, type JwksUnavailable } from "./JwksError.ts"
import type * as JwksOptions from "./JwksOptions.ts"

/** The members of a JOSE header that select a key (RFC 7515, 4.1). A key source reads no other header member. */
export interface JoseHeader {
  readonly alg: string
  readonly kid?: string | undefined
}

/** Why a key is trusted, and until when. All keys of a key set share one object. */
export interface KeyTrust {
  /**
   * Increases with each key set of a provider that replaces another. For display and logs only: a cache of verified
   * tokens binds to the identity of the `KeyTrust` object, which stays the same as long as the keys do.
   */
  readonly generation: number
  /**
   * Whether the trust still holds: the set has not been replaced or invalidated, and is not past its stale deadline.
   * The function reads the given clock and allocates nothing, so that a cache of verified tokens can call it on every
   * hit.
   */
  readonly holds: (clock: Clock.Clock) => boolean
  /**
   * The monotonic instant, in nanoseconds, at which the trust ends unless a refresh renews it. `undefined` if the
   * trust does not expire.
   */
  readonly staleDeadline: () => bigint | undefined
}

/** A key to try for a token's signature, imported for one algorithm. */
export interface Candidate {
  readonly kid: string | undefined
  /** The algorithm (RFC 7518, 3.1) that the key was imported for: the `alg` of the header passed to `find`. */
  readonly alg: string
  /** Not extractable. Symmetric only if the algorithm is symmetric. */
  readonly key: CryptoKey
  /** The `issuer` member of the key, which some multi-tenant providers publish. */
  readonly issuer: string | undefined
  readonly trust: KeyTrust
}

/** The errors of a lookup. */
export type LookupError = JwksKeyNotFound | JwksUnavailable | JwksNotRegistered

/** Finds the keys to try for a token's signature. */
export class KeySource extends Context.Service<KeySource, {
  /**
   * Returns one to four candidates for a header, in the order to try them.
   *
   * Fails with `JwksKeyNotFound` (`JWKS_KEY_NOT_FOUND`, a 401), with `JwksUnavailable` (`JWKS_UNAVAILABLE`, a 503) if
   * an endpoint of the issuer has no usable keys, and with `JwksNotRegistered` (`JWKS_NOT_REGISTERED`) if this source
   * does not serve the issuer.
   */
  readonly find: (issuer: string, header: JoseHeader) => Effect.Effect<ReadonlyArray<Candidate>, LookupError>
}>()("@keelson/jwks/KeySource") {}

/** Upper bound of the candidates a source returns. A hostile token can cost as many signature checks. */
export { maxCandidates } from "./internal/keys/keySelection.ts"

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
