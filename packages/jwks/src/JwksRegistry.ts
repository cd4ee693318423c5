/**
 * Key sets of many tenants and issuers, which are added, changed and removed while the program runs.
 *
 * All providers share one fiber and one stream of events; registering a provider forks no fiber. Keys and providers of one
 * tenant are never visible to another.
 */
import type * as KeelsonError from "@keelson/core/KeelsonError"
import type * as SingleFlight from "@keelson/core/SingleFlight"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { Egress } from "./Egress.ts"
import type { RefreshResult } from "./internal/cache/refresh.ts"
import { makeRegistry } from "./internal/registry/registry.ts"
import type { JwksNotRegistered, JwksUnavailable } from "./JwksError.ts"
import type { JwksEvent } from "./JwksEvent.ts"
import type * as JwksOptions from "./JwksOptions.ts"
import type { JwksStatus } from "./JwksStatus.ts"
import type { KeySet } from "./KeySet.ts"
import { type Candidate, type JoseHeader, KeySource, type LookupError } from "./unstable/KeySourceTag.ts"

/** Errors of `put`. */
export type PutError = KeelsonError.ConfigurationError | KeelsonError.NetworkError

/** A provider of a tenant, with its status. */
export interface ProviderStatus extends JwksOptions.Names {
  readonly issuer: string
  readonly status: JwksStatus
}

/** Trusted keys from memory. */
export interface CachedKeys {
  readonly keySet: KeySet
  /** The remaining lifetime; zero after expiry, while stale keys still verify. */
  readonly expiresIn: Duration.Duration
}

/** The conditions of `put`. Each may be left out. */
export interface PutOptions {
  /** Adds only: fails with `JWKS_CONFLICT` if the ids are taken. Default false. */
  readonly ifAbsent?: boolean | undefined
  /** Replaces only: fails with `JwksNotRegistered` if the ids are not taken. Default false. */
  readonly ifPresent?: boolean | undefined
  /**
   * Keeps the provider's operator options (its egress rules, retries, delays and limits) unless the new options set them. For
   * callers that must not change them, such as `JwksRegistryApi`. Default false.
   */
  readonly keepOperatorOptions?: boolean | undefined
  /**
   * Adds only while the tenant has fewer providers than this, and fails with `JWKS_CONFLICT` otherwise. Replacing is always
   * possible. `JwksRegistryApi` sets it to 100. Default none.
   */
  readonly mostOfTenant?: number | undefined
}

/** The key sets of many tenants. */
export class JwksRegistry extends Context.Service<JwksRegistry, {
  /**
   * Adds a provider, or replaces the options of the provider with these ids. Keys are fetched in the background.
   *
   * If the URL and the egress rules stay the same, the keys stay in use and are confirmed within ten seconds; otherwise they
   * are dropped and new ones are fetched. Fetches begin at least ten seconds apart, however often options are replaced.
   * Options that equal the present ones change nothing. A failed call leaves the provider unchanged.
   *
   * Fails with `ConfigurationError`: `INVALID_CONFIG` naming the id or option, `JWKS_CONFLICT` if the issuer differs from
   * the provider's, or if `ifAbsent` is set and the ids are taken; with `JwksNotRegistered` if `ifPresent` is set and they
   * are not; and with `NetworkError` (`EGRESS_REFUSED`) for a URL that is not allowed.
   */
  readonly put: {
    (
      provider: JwksOptions.Names,
      options: JwksOptions.Options,
      conditions?: PutOptions & { readonly ifPresent?: false | undefined }
    ): Effect.Effect<void, PutError>
    (
      provider: JwksOptions.Names,
      options: JwksOptions.Options,
      conditions: PutOptions
    ): Effect.Effect<void, JwksNotRegistered | PutError>
  }
  /** Removes a provider and its snapshot: its keys stop verifying at once. Fails with `JwksNotRegistered`. */
  readonly remove: (provider: JwksOptions.Names) => Effect.Effect<void, JwksNotRegistered>
  /** Returns the keys of one provider for a token's header; see `JwksCache`. */
  readonly resolve: (
    provider: JwksOptions.Names,
    header: JoseHeader
  ) => Effect.Effect<ReadonlyArray<Candidate>, LookupError>
  /** Returns all keys of one provider, and fetches them if there are none. */
  readonly keySet: (provider: JwksOptions.Names) => Effect.Effect<KeySet, JwksNotRegistered | JwksUnavailable>
  /** Returns the trusted keys of one provider from memory, or `undefined`. It never causes a fetch. */
  readonly cached: (provider: JwksOptions.Names) => Effect.Effect<CachedKeys | undefined, JwksNotRegistered>
  /** Fetches now, or joins the running fetch; see `JwksCache`. */
  readonly refresh: (
    provider: JwksOptions.Names
  ) => Effect.Effect<RefreshResult, JwksNotRegistered | KeelsonError.NetworkError | SingleFlight.Closed>
  /** Ends the trust in the keys of one provider, and removes its snapshot from the store; see `JwksCache`. */
  readonly invalidate: (provider: JwksOptions.Names) => Effect.Effect<void, JwksNotRegistered>
  /** Returns state, times, counts and health of one provider. */
  readonly status: (provider: JwksOptions.Names) => Effect.Effect<JwksStatus, JwksNotRegistered>
  /** Returns the status of all providers of a tenant, or of all tenants. */
  readonly statuses: (tenantId?: string) => Effect.Effect<ReadonlyArray<ProviderStatus>>
  /** Whether code set operator options of the provider, which the control plane must not remove. */
  readonly hasOperatorOptions: (provider: JwksOptions.Names) => boolean
  /** Whether the provider was registered and then removed. The last 1,000 removals are remembered. */
  readonly wasRemoved: (provider: JwksOptions.Names) => boolean
  /** Writes pending snapshots to the store; does nothing without one. Snapshots are restored automatically. */
  readonly persistAll: Effect.Effect<void>
  /**
   * Events of all providers from now on, until the registry is closed. A slow subscriber loses the oldest events and delays
   * nothing.
   */
  readonly events: Stream.Stream<JwksEvent>
  /**
   * Returns the `KeySource` of one tenant. It searches all the tenant's providers of an issuer, in the order of registration.
   * A key of any provider is a candidate; a key is unknown only if all providers have keys and none has it.
   */
  readonly keySource: (tenantId: string) => KeySource["Service"]
}>()("@keelson/jwks/JwksRegistry") {}

/** Makes a registry in a scope. The end of the scope closes all providers. */
export const make: Effect.Effect<JwksRegistry["Service"], never, Egress | Scope.Scope> = makeRegistry

/**
 * `make` as a layer. Snapshots of key sets are stored in `JwksSnapshots` if it is provided.
 *
 * **Example** (One tenant does not see another's provider)
 *
 * ```ts import.meta.vitest
 * import { FetchEgress, JwksRegistry } from "@keelson/jwks"
 * import { Effect, Layer } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const registry = yield* JwksRegistry.JwksRegistry
 *   const options = { issuer: "https://idp.example", prefetch: false }
 *   yield* registry.put({ tenantId: "acme", providerId: "main" }, options)
 *   return yield* Effect.flip(registry.keySource("globex").find("https://idp.example", { alg: "RS256" }))
 * })
 * const egress = FetchEgress.layer({ allowedHosts: ["idp.example"] })
 * const live = Layer.provide(JwksRegistry.layer, egress)
 * const error = await Effect.runPromise(Effect.provide(program, live))
 * error.code // => "JWKS_NOT_REGISTERED"
 * ```
 */
export const layer: Layer.Layer<JwksRegistry, never, Egress> = Layer.effect(JwksRegistry, make)

/** Provides the `KeySource` of one tenant from the registry in context, for token validation. */
export const layerKeySource = (tenantId: string): Layer.Layer<KeySource, never, JwksRegistry> =>
  Layer.effect(KeySource, Effect.map(JwksRegistry, (registry) => registry.keySource(tenantId)))
