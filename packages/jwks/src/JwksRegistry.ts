/**
 * Key sets of many tenants and issuers, which are added, changed and removed while the program runs.
 *
 * All of them share one fiber, and one stream of events: registering forks nothing. What belongs to one tenant is never
 * seen under another.
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
import type { Refreshed } from "./internal/cache/refresh.ts"
import { type Candidate, type JoseHeader, KeySource, type LookupError } from "./internal/keys/candidate.ts"
import { makeRegistry } from "./internal/registry/registry.ts"
import type { JwksNotRegistered, JwksUnavailable } from "./JwksError.ts"
import type { JwksEvent } from "./JwksEvent.ts"
import type * as JwksOptions from "./JwksOptions.ts"
import type { JwksStatus } from "./JwksStatus.ts"
import type { KeySet } from "./KeySet.ts"

/** Why a registration is refused. */
export type RegisterError = KeelsonError.ConfigurationError | KeelsonError.NetworkError

/** A provider of a tenant, with how it is. */
export interface ProviderStatus extends JwksOptions.Names {
  readonly issuer: string
  readonly status: JwksStatus
}

/** Keys that are held, and how long their lifetime goes on: zero past its end, while they still verify. */
export interface HeldKeys {
  readonly set: KeySet
  readonly expiresIn: Duration.Duration
}

/** The key sets of many tenants. */
export class JwksRegistry extends Context.Service<JwksRegistry, {
  /**
   * Adds a provider, whose keys are fetched in the background.
   *
   * Fails with `ConfigurationError`: `INVALID_CONFIG` naming the id or option, `JWKS_CONFLICT` where the ids are taken;
   * and with `NetworkError` (`EGRESS_REFUSED`) for a URL that may not be fetched.
   */
  readonly register: (
    tenantId: string,
    providerId: string,
    options: JwksOptions.Options
  ) => Effect.Effect<void, RegisterError>
  /**
   * Replaces a provider's options. While URL, hosts and pins stay the same its keys stay in use, and are confirmed
   * within ten seconds; others end, and new ones are fetched. However often it is done, fetches begin ten seconds apart. A change that is refused leaves the provider as it was.
   *
   * Fails as `register` does, with `JWKS_CONFLICT` for another issuer; and with `JwksNotRegistered`.
   */
  readonly update: (
    tenantId: string,
    providerId: string,
    options: JwksOptions.Options
  ) => Effect.Effect<void, JwksNotRegistered | RegisterError>
  /**
   * Adds a provider, or replaces the options of the one that has the ids, whose own egress rules (`allowedHosts`, `pins`,
   * `maxBytes`, `maxRedirects`) stay where the new options have none. Options that are the same change nothing. With
   * `isNew`, ids that are taken are refused.
   *
   * Fails as `register` does, with `JWKS_CONFLICT` for another issuer.
   */
  readonly put: (
    tenantId: string,
    providerId: string,
    options: JwksOptions.Options,
    isNew?: boolean
  ) => Effect.Effect<void, RegisterError>
  /** Removes a provider: its keys stop verifying at once, and its snapshot goes. Fails with `JwksNotRegistered`. */
  readonly unregister: (tenantId: string, providerId: string) => Effect.Effect<void, JwksNotRegistered>
  /** The keys of one provider for a token's header; see `JwksCache`. */
  readonly resolve: (
    tenantId: string,
    providerId: string,
    header: JoseHeader
  ) => Effect.Effect<ReadonlyArray<Candidate>, LookupError>
  /** All keys of one provider. */
  readonly keySet: (
    tenantId: string,
    providerId: string
  ) => Effect.Effect<KeySet, JwksNotRegistered | JwksUnavailable>
  /** The keys of one provider that are trusted now; `undefined` without any. It waits for no fetch, and causes none. */
  readonly held: (tenantId: string, providerId: string) => Effect.Effect<HeldKeys | undefined, JwksNotRegistered>
  /** Fetches now, or joins the fetch that is under way; see `JwksCache`. */
  readonly refresh: (
    tenantId: string,
    providerId: string
  ) => Effect.Effect<Refreshed, JwksNotRegistered | KeelsonError.NetworkError | SingleFlight.Closed>
  /** Ends the trust in the keys of one provider, and takes its snapshot out of the store; see `JwksCache`. */
  readonly invalidate: (tenantId: string, providerId: string) => Effect.Effect<void, JwksNotRegistered>
  readonly status: (tenantId: string, providerId: string) => Effect.Effect<JwksStatus, JwksNotRegistered>
  /** How all providers of a tenant are, or all there are. */
  readonly statuses: (tenantId?: string) => Effect.Effect<ReadonlyArray<ProviderStatus>>
  /** Whether code gave a provider options that are the operator's, which are not the control plane's to take away. */
  readonly hasOperatorOptions: (tenantId: string, providerId: string) => boolean
  /** Whether a provider was registered and has been removed, as far as that is remembered: the last 1,000. */
  readonly wasRemoved: (tenantId: string, providerId: string) => boolean
  /** Writes what is not written yet to the store of snapshots; nothing without one. Snapshots are restored by themselves. */
  readonly persistAll: Effect.Effect<void>
  /**
   * What happens from now on, in all of them, until the registry is closed. Nothing waits for a subscriber: a slow one
   * loses the oldest events.
   */
  readonly events: Stream.Stream<JwksEvent>
  /**
   * The seam to validation, for one tenant: the keys of all its providers of an issuer, in the order of registration. A
   * key of any of them will do; that none has it is only known where all of them have keys.
   */
  readonly keySource: (tenantId: string) => KeySource["Service"]
}>()("@keelson/jwks/JwksRegistry") {}

/** A registry in a scope, whose end ends all that was registered. */
export const make: Effect.Effect<JwksRegistry["Service"], never, Egress | Scope.Scope> = makeRegistry

/** `make` as a layer. Key sets are kept in `JwksSnapshots` where that is provided. */
export const layer: Layer.Layer<JwksRegistry, never, Egress> = Layer.effect(JwksRegistry, make)

/** The seam to validation for one tenant of the registry in context. */
export const keySource = (tenantId: string): Layer.Layer<KeySource, never, JwksRegistry> =>
  Layer.effect(KeySource, Effect.map(JwksRegistry, (registry) => registry.keySource(tenantId)))
