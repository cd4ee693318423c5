/**
 * The one seam between keys and validation: an issuer and a token's header give the keys to try, in order.
 *
 * A cache (`layerJwks`, `layerOidc`, `layerOauth2`), a registry (`JwksRegistry.layerKeySource`) and static keys (`StaticKeys`) provide it.
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

/** The members of a JOSE header that select a key (RFC 7515, 4.1). Nothing else of a header is ever looked at. */
export interface JoseHeader {
  readonly alg: string
  readonly kid?: string | undefined
}

/** Why a key is trusted, and until when. It is one object for all keys of a key set. */
export interface KeyTrust {
  /**
   * For people and logs: it grows with each key set of one provider that replaces another. What a cache of verified tokens
   * binds to is this object itself, which is one and the same as long as the keys are.
   */
  readonly generation: number
  /**
   * Whether the trust still holds: the set has not been replaced or invalidated, and is not past its stale deadline. It
   * reads the clock by itself and allocates nothing, so that a cache of verified tokens can ask on every hit.
   */
  readonly holds: (clock: Clock.Clock) => boolean
  /**
   * The monotonic instant, in nanoseconds, at which the trust ends unless a refresh renews it; `undefined` where it does
   * not end by itself.
   */
  readonly staleDeadline: () => bigint | undefined
}

/** A key that may verify a token, imported for one algorithm. */
export interface Candidate {
  readonly kid: string | undefined
  /** The algorithm (RFC 7518, 3.1) that the key was imported for: the one of the header asked with. */
  readonly alg: string
  /** Not extractable; a symmetric one only where the algorithm is. */
  readonly key: CryptoKey
  /** The key's own `issuer` member, which some providers with many tenants publish. */
  readonly issuer: string | undefined
  readonly trust: KeyTrust
}

/** What a lookup may fail with. */
export type LookupError = JwksKeyNotFound | JwksUnavailable | JwksNotRegistered

/** Finds the keys that may verify a token. */
export class KeySource extends Context.Service<KeySource, {
  /**
   * The candidates for a header, from one to four and in the order to try them.
   *
   * Fails with `JwksKeyNotFound` (`JWKS_KEY_NOT_FOUND`, a 401), with `JwksUnavailable` (`JWKS_UNAVAILABLE`, a 503) where
   * an endpoint of the issuer has no usable keys, and with `JwksNotRegistered` (`JWKS_NOT_REGISTERED`) for an issuer that
   * this source does not serve.
   */
  readonly find: (issuer: string, header: JoseHeader) => Effect.Effect<ReadonlyArray<Candidate>, LookupError>
}>()("@keelson/jwks/KeySource") {}

/** How many candidates a source returns at most: each hostile token may cost as many signature checks. */
export { maxCandidates } from "./internal/keys/keySelection.ts"

/** What a key source of a provider may fail with when it is built. */
export type BuildError = KeelsonError.ConfigurationError | KeelsonError.NetworkError

/**
 * The keys of one issuer at a URL, held by a separate `JwksCache`. If a program has several of them, give each a name, so that
 * metrics, logs and snapshots can distinguish them.
 *
 * Fails to build with `ConfigurationError` (`INVALID_CONFIG`), or `NetworkError` (`EGRESS_REFUSED`) for a URL that may not
 * be fetched. An endpoint that is down is no failure.
 */
export const layerJwks = (
  options: JwksOptions.Options & { readonly url: string },
  names?: JwksOptions.NamesOptions
): Layer.Layer<KeySource, BuildError, Egress> => Layer.provide(layerFromCache, JwksCache.layer(options, names))

/** The keys of one issuer, found by its OpenID Connect metadata; otherwise as `layerJwks`. */
export const layerOidc = (
  options: Omit<JwksOptions.Options, "discovery" | "url">,
  names?: JwksOptions.NamesOptions
): Layer.Layer<KeySource, BuildError, Egress> =>
  Layer.provide(layerFromCache, JwksCache.layer({ ...options, discovery: "oidc" }, names))

/** The keys of one issuer, found by its RFC 8414 metadata; otherwise as `layerJwks`. */
export const layerOauth2 = (
  options: Omit<JwksOptions.Options, "discovery" | "url">,
  names?: JwksOptions.NamesOptions
): Layer.Layer<KeySource, BuildError, Egress> =>
  Layer.provide(layerFromCache, JwksCache.layer({ ...options, discovery: "oauth2" }, names))

/** With the options of a cache from the environment, below a path; see `Configuration.fromEnvironment`. */
export const layerConfig = (
  path: Configuration.Path,
  names?: JwksOptions.NamesOptions
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
