/**
 * Caches the keys of one issuer and refreshes them: a state machine, and one refresh fiber in the layer's
 * scope.
 *
 * A lookup whose key is in the set never waits for the network. At most one fetch runs at a time, in the layer's
 * scope: interrupting one waiter affects neither the fetch nor other waiters. Separate limits apply to fetches for
 * unknown keys, after failures and on schedule.
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import type * as SingleFlight from "@keelson/core/SingleFlight"
import * as Decoders from "@keelson/core/unstable/Decoders"
import * as Field from "@keelson/core/unstable/Field"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Egress } from "./Egress.ts"
import { FetchPermits, Permits } from "./internal/cache/fetchPermits.ts"
import { findIn } from "./internal/cache/keyLookup.ts"
import { eventCapacity, makeProvider, providerServices } from "./internal/cache/provider.ts"
import type { RefreshResult } from "./internal/cache/refresh.ts"
import { makeScheduler } from "./internal/cache/scheduler.ts"
import { type JwksKeyNotFound, JwksNotRegistered, type JwksUnavailable } from "./JwksError.ts"
import type { JwksEvent } from "./JwksEvent.ts"
import * as JwksOptions from "./JwksOptions.ts"
import type { Health, JwksStatus } from "./JwksStatus.ts"
import type { KeySet } from "./KeySet.ts"
import type { Candidate, JoseHeader, KeySource } from "./unstable/KeySourceTag.ts"

export type { RefreshResult } from "./internal/cache/refresh.ts"

/**
 * Limits concurrent key set fetches across all caches and registries that receive this layer. Without this layer the
 * process has 16 permits, so that thousands of providers that are due simultaneously, for example after a suspension, do
 * not open thousands of connections.
 *
 * Fetches that a lookup waits for run first, then those whose keys lose their trust first. Tenants take turns. One host
 * has at most three quarters of the permits, a host whose last fetch hung an eighth, and all such hosts together half.
 *
 * - `permits`: from 1 to 10000. Another number fails with `ConfigurationError` (`INVALID_CONFIG`).
 */
export const layerFetchLimit = (permits: number): Layer.Layer<never, KeelsonError.ConfigurationError> =>
  Layer.effect(
    FetchPermits,
    Effect.map(decodePermits(permits), (checked) => new Permits(checked))
  )
const decodePermits = Configuration.decode(Field.int(1, 10_000), ["permits"])

/** Caches the keys of one issuer. */
export class JwksCache extends Context.Service<JwksCache, {
  /** The issuer whose tokens the keys verify. */
  readonly issuer: string
  /**
   * Returns one to four keys to try for a token's header, in order. Answers from memory if the set has the key.
   *
   * Fails with `JwksKeyNotFound` (`JWKS_KEY_NOT_FOUND`, a 401) and `JwksUnavailable` (`JWKS_UNAVAILABLE`, a 503).
   */
  readonly find: (header: JoseHeader) => Effect.Effect<ReadonlyArray<Candidate>, JwksKeyNotFound | JwksUnavailable>
  /** Returns the whole set: the same object until its keys change. Fails with `JwksUnavailable`. */
  readonly keySet: Effect.Effect<KeySet, JwksUnavailable>
  /**
   * Fetches immediately and bypasses HTTP caches, or joins the fetch that is already running. It does not wait for the
   * delay after an earlier failure. The current keys stay in use until new keys are received.
   *
   * Fails with the `NetworkError` of the last attempt, and with `SingleFlight.Closed` (`SHUTTING_DOWN`).
   */
  readonly refresh: Effect.Effect<RefreshResult, KeelsonError.NetworkError | SingleFlight.Closed>
  /**
   * Stops trusting all keys immediately. The next lookup fetches; the result of a fetch that is already running is not
   * used. Waits until the snapshot is removed from the store. A failure to remove it is logged and counted.
   */
  readonly invalidate: Effect.Effect<void>
  readonly status: Effect.Effect<JwksStatus>
  readonly health: Effect.Effect<Health>
  /**
   * All events after the subscription. The cache never waits for a subscriber: a slow subscriber loses the oldest
   * events.
   */
  readonly events: Stream.Stream<JwksEvent>
  /** A `KeySource` for validators that serves the keys of this issuer only. */
  readonly keySource: KeySource["Service"]
}>()("@keelson/jwks/JwksCache") {}

const { decode: decodeNames } = Decoders.decoders<JwksOptions.NamesOptions, typeof JwksOptions.Names>(JwksOptions.Names)

const makeFrom = Effect.fnUntraced(function*(
  options: JwksOptions.JwksOptions,
  names: JwksOptions.Names
): Effect.fn.Return<JwksCache["Service"], KeelsonError.NetworkError, Egress | Scope.Scope> {
  const events = yield* Effect.acquireRelease(PubSub.sliding<JwksEvent>(eventCapacity), PubSub.shutdown)
  const services = yield* providerServices({
    scheduler: yield* makeScheduler,
    publish: (event) => void PubSub.publishUnsafe(events, event)
  })
  const provider = yield* Effect.acquireRelease(makeProvider(options, names, services), (made) => made.close)
  provider.start(yield* Clock.Clock)
  const find: JwksCache["Service"]["find"] = (header) => findIn(provider.lookup, header)
  return {
    issuer: options.issuer,
    find,
    keySet: provider.lookup.keySet,
    refresh: provider.refresh,
    invalidate: provider.invalidate,
    status: provider.status,
    health: provider.health,
    events: Stream.fromPubSub(events),
    keySource: {
      find: (issuer, header) => issuer === options.issuer ? find(header) : Effect.fail(new JwksNotRegistered())
    }
  }
})

/**
 * Makes a cache. `names` distinguish it from other caches in metrics, spans and snapshots. Key sets are saved in
 * `JwksSnapshots` if that service is provided.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound, and with `NetworkError`
 * (`EGRESS_REFUSED`) if the URL may not be fetched. `make` does not wait for a fetch, so it succeeds even if the
 * provider is down.
 *
 * **Example** (The state before the first fetch)
 *
 * ```ts import.meta.vitest
 * import { FetchEgress, JwksCache } from "@keelson/jwks"
 * import { Effect } from "effect"
 *
 * const state = Effect.gen(function*() {
 *   const cache = yield* JwksCache.make({ issuer: "https://idp.example", prefetch: false })
 *   const { health, state } = yield* cache.status
 *   return [state, health]
 * })
 * const egress = FetchEgress.layer({ allowedHosts: ["idp.example"] })
 * await Effect.runPromise(Effect.scoped(Effect.provide(state, egress))) // => ["Empty", "ok"]
 * ```
 */
export const make = Effect.fnUntraced(function*(
  options: JwksOptions.Options,
  names: JwksOptions.NamesOptions = {}
): Effect.fn.Return<
  JwksCache["Service"],
  KeelsonError.ConfigurationError | KeelsonError.NetworkError,
  Egress | Scope.Scope
> {
  return yield* makeFrom(
    yield* Configuration.decode(JwksOptions.JwksOptions)(options),
    yield* decodeNames(names)
  )
})

/** `make` as a layer. */
export const layer = (
  options: JwksOptions.Options,
  names?: JwksOptions.NamesOptions
): Layer.Layer<JwksCache, KeelsonError.ConfigurationError | KeelsonError.NetworkError, Egress> =>
  Layer.effect(JwksCache, make(options, names))

/** Reads the cache options from the environment, below a path; see `Configuration.fromEnvironment`. */
export const layerConfig = (
  path: Configuration.Path,
  names: JwksOptions.NamesOptions = {}
): Layer.Layer<JwksCache, KeelsonError.ConfigurationError | KeelsonError.NetworkError, Egress> =>
  Layer.effect(
    JwksCache,
    Effect.gen(function*() {
      return yield* makeFrom(
        yield* Configuration.fromEnvironment(JwksOptions.JwksOptions, path),
        yield* decodeNames(names)
      )
    })
  )
