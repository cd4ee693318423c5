import type * as KeelsonError from "@keelson/core/KeelsonError"
import { earlier, hasCome, type Instant, later, now } from "@keelson/core/unstable/Instant"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { Egress } from "../../Egress.ts"
import type { JwksOptions, Names } from "../../JwksOptions.ts"
import type { Health, JwksStatus } from "../../JwksStatus.ts"
import { retryPolicyOf, rulesOf } from "../http/fetchKeySet.ts"
import { makeKeySetLocation } from "../http/keySetLocation.ts"
import { KeyImport } from "../keys/importKey.ts"
import { JwksSnapshots } from "../snapshot/jwksSnapshots.ts"
import type { Saver } from "../snapshot/saver.ts"
import { acceptSeed } from "./applyKeySet.ts"
import { FetchPermits } from "./fetchPermits.ts"
import { KeyLookup, patience } from "./keyLookup.ts"
import type { CachedKeySet } from "./lifecycle.ts"
import { attachHealth, removeSeries } from "./providerMetrics.ts"
import { removeSnapshot, saveInBackground, withoutDefects } from "./providerSnapshots.ts"
import { type ProviderServices, ProviderState } from "./providerState.ts"
import { healthOf, statusOf } from "./providerStatus.ts"
import { invalidate, refresh, type RefreshResult } from "./refresh.ts"
import { Schedule } from "./schedule.ts"
import { type FetchError, type Fetches, SharedFetch } from "./sharedFetch.ts"

/** How many events are kept for a slow subscriber before it loses the oldest. */
export const eventCapacity = 1024

/** The fetches of all providers. */
const fetches: Fetches<ProviderState> = {
  run: refresh,
  ended: (state) => {
    state.turn = undefined
    state.reschedule()
  },
  joined: ({ services, turn }) => turn && services.permits.await(turn),
  limit: ({ options }) => Duration.sum(options.deadline, patience),
  context: ({ services }) => services.context
}

/** Writes the snapshots of one provider, until its scope is closed. */
interface Snapshots {
  readonly saver: Saver<CachedKeySet>
  readonly scope: Scope.Closeable
}

/** The keys of one provider: its state, lookups, schedule and the one fetch that may be running. */
export class Provider {
  readonly lookup: KeyLookup
  readonly schedule: Schedule
  readonly #state: ProviderState
  readonly #sharedFetch: SharedFetch<ProviderState>
  readonly #snapshots: Snapshots | undefined

  constructor(state: ProviderState, snapshots: Snapshots | undefined) {
    this.#state = state
    this.#sharedFetch = new SharedFetch(fetches, state)
    this.#snapshots = snapshots
    this.lookup = new KeyLookup(state, this.#sharedFetch)
    this.schedule = new Schedule(state, this.#sharedFetch)
    state.scheduled = this.schedule
    state.onAccepted = snapshots?.saver.save
  }

  get options(): JwksOptions {
    return this.#state.options
  }
  get issuer(): string {
    return this.#state.options.issuer
  }

  /** Schedules fetches from now on. If it replaces another provider, it takes over that one's keys and limits. */
  start(clock: Clock.Clock, old?: Provider): void {
    const at = now(clock)
    if (old !== undefined) this.#takeOver(old, at, clock)
    this.schedule.start(at)
  }
  /** Runs synchronously, so that no change of the other provider is lost. */
  #takeOver(old: Provider, at: Instant, clock: Clock.Clock): void {
    const state = this.#state
    // Keys past their stale deadline are not taken over.
    old.#state.expire(clock)
    const { begunAt, current, generation, isRestored, location, options } = old.#state
    // Keys that were fetched under other egress rules might not be fetched under these.
    const isSame = location.configured === state.location.configured &&
      Equal.equals(rulesOf(options), rulesOf(state.options))
    const restUntil = old.schedule.restUntil(at)
    this.schedule.rest(restUntil)
    state.generation = generation
    state.deviations = old.#state.deviations
    state.fetchCounts = old.#state.fetchCounts
    state.isRestored ||= !isSame || isRestored || current.cached !== undefined
    if (isSame) {
      const { cached, failures, lastFailure, lastRefresh, retryAt } = current
      const due = retryAt === undefined ? restUntil : later(restUntil, retryAt)
      if (cached !== undefined) {
        state.begunAt = begunAt ?? at
        const seed = acceptSeed(state, cached, earlier(due, cached.staleUntil))
        // Saves the keys again, since the old provider discards its pending snapshot.
        state.onAccepted?.(seed)
      }
      // A running fetch of the old provider is interrupted, so its cooldown for unknown keys does not apply.
      const unknownAt = old.#sharedFetch.isRunning() ? undefined : current.unknownAt
      const limits = { failures, lastFailure, lastRefresh, retryAt, unknownAt }
      state.apply({ state: { ...state.current, ...limits }, transitions: [] })
    }
    old.#replaced()
  }
  /** Called when another provider replaces this one: it stops publishing events and saving snapshots. */
  #replaced(): void {
    this.#state.isReplaced = true
    this.#state.onAccepted = undefined
    this.#snapshots?.saver.discard()
  }

  /** Fetches now, or joins the running fetch. */
  get refresh(): Effect.Effect<RefreshResult, FetchError> {
    const join = this.#sharedFetch.join({ cause: "forced", noCache: true })
    // The running fetch may have restored a snapshot, which is not a response of the provider.
    return Effect.flatMap(join, (result) => result === "restored" ? join : Effect.succeed(result))
  }
  /** Ends the trust in the keys at once, and then removes their snapshot, so that no restart brings them back. */
  get invalidate(): Effect.Effect<void> {
    return Effect.suspend(() => {
      invalidate(this.#state)
      return this.forget
    })
  }
  get status(): Effect.Effect<JwksStatus> {
    return Effect.clockWith((clock) => Effect.sync(() => statusOf(this.#state, clock)))
  }
  get health(): Effect.Effect<Health> {
    return Effect.clockWith((clock) => Effect.sync(() => healthOf(this.#state, clock)))
  }
  /** Writes the pending snapshot. */
  get persist(): Effect.Effect<void> {
    return this.#snapshots?.saver.flush ?? Effect.void
  }
  /** Removes the snapshot from the store, and drops a pending one. Waits for the store up to its time limit. */
  get forget(): Effect.Effect<void> {
    return this.#snapshots === undefined
      ? Effect.void
      : Effect.uninterruptible(this.#snapshots.saver.remove(removeSnapshot(this.#state)))
  }
  /** The keys that are trusted now. */
  cached(clock: Clock.Clock): CachedKeySet | undefined {
    const { cached } = this.#state.current
    return cached !== undefined && !hasCome(cached.staleUntil, clock) ? cached : undefined
  }

  /**
   * Ends the trust in the keys, fails waiters at once, stops a running fetch, and writes the pending snapshot. The second call
   * has no effect.
   */
  get close(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#state.services.scheduler.remove(this.schedule)
      invalidate(this.#state)
      const saved = this.#snapshots === undefined ? Effect.void : Scope.close(this.#snapshots.scope, Exit.void)
      // Series are removed last, after everything that may still count.
      return this.#sharedFetch.close.pipe(Effect.ensuring(saved), Effect.ensuring(removeSeries(this.#state)))
    })
  }
}

/** Reads from the context what providers share. */
export const providerServices = Effect.fnUntraced(function*(
  own: Pick<ProviderServices, "publish" | "scheduler">
): Effect.fn.Return<ProviderServices, never, Egress> {
  const store = Option.getOrUndefined(yield* Effect.serviceOption(JwksSnapshots))
  return {
    ...own,
    egress: yield* Egress,
    importKey: yield* KeyImport,
    permits: yield* FetchPermits,
    snapshots: store && withoutDefects(store),
    store,
    context: yield* Effect.context()
  }
})

/**
 * Makes a provider, which must be closed. Nothing is scheduled before `start`.
 *
 * Fails with `NetworkError` (`EGRESS_REFUSED`, `DISCOVERY_INVALID`) for a URL or issuer that can never be fetched.
 */
export const makeProvider = Effect.fnUntraced(function*(
  options: JwksOptions,
  { providerId, tenantId }: Names,
  services: ProviderServices
): Effect.fn.Return<Provider, KeelsonError.NetworkError> {
  const { egress } = services
  const location = yield* Effect.fromResult(makeKeySetLocation(options, egress))
  yield* egress.check(location.configured, rulesOf(options))
  const state = new ProviderState({
    services,
    labels: { tenant: tenantId, provider: providerId },
    options,
    retryPolicy: retryPolicyOf(options),
    location
  })
  const provider = new Provider(state, yield* snapshotsOf(state))
  attachHealth(state)
  return provider
})

const snapshotsOf = Effect.fnUntraced(function*(state: ProviderState): Effect.fn.Return<Snapshots | undefined> {
  const { snapshots, store } = state.services
  if (snapshots === undefined || store === undefined) return undefined
  const scope = yield* Scope.make()
  return { saver: yield* Scope.provide(saveInBackground(state, snapshots, store), scope), scope }
})
