import type * as KeelsonError from "@keelson/core/KeelsonError"
import { earlier, hasCome, type Instant, later, now } from "@keelson/core/unstable/Instant"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { Egress } from "../../Egress.ts"
import type { JwksOptions } from "../../JwksOptions.ts"
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
import { registerHealth, removeSeries } from "./providerMetrics.ts"
import { removeSnapshot, saveInBackground, withoutDefects } from "./providerSnapshots.ts"
import { type ProviderContext, ProviderState } from "./providerState.ts"
import { healthOf, statusOf } from "./providerStatus.ts"
import { invalidate, refresh, type RefreshResult } from "./refresh.ts"
import { Schedule } from "./schedule.ts"
import { type FetchError, makeSharedFetch, type SharedFetch } from "./sharedFetch.ts"

/** How many events are kept for a slow subscriber before it loses the oldest. */
export const eventCapacity = 1024

/** The keys of one provider: its state, lookups, schedule and the one fetch that may be running. */
export class Provider {
  readonly lookup: KeyLookup
  readonly schedule: Schedule
  readonly #state: ProviderState
  readonly #sharedFetch: SharedFetch
  readonly #saver: Saver<CachedKeySet> | undefined

  constructor(state: ProviderState, sharedFetch: SharedFetch, saver: Saver<CachedKeySet> | undefined) {
    this.#state = state
    this.#sharedFetch = sharedFetch
    this.#saver = saver
    this.lookup = new KeyLookup(state, sharedFetch)
    this.schedule = new Schedule(state, sharedFetch)
    state.scheduled = this.schedule
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
    const { begunAt, current, generation, isRestored, parts } = old.#state
    // Keys that were fetched under other egress rules might not be fetched under these.
    const isSame = parts.location.configured === state.parts.location.configured &&
      Equal.equals(rulesOf(parts.options), rulesOf(state.parts.options))
    const restUntil = old.schedule.restUntil(at)
    this.schedule.rest(restUntil)
    state.generation = generation
    state.deviations = old.#state.deviations
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
    this.#saver?.discard()
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
    return this.#saver?.flush ?? Effect.void
  }
  /** Removes the snapshot from the store, and drops a pending one. Waits for the store up to its time limit. */
  get forget(): Effect.Effect<void> {
    return this.#saver === undefined
      ? Effect.void
      : Effect.uninterruptible(this.#saver.remove(removeSnapshot(this.#state)))
  }
  /** The keys that are trusted now. */
  cached(clock: Clock.Clock): CachedKeySet | undefined {
    const { cached } = this.#state.current
    return cached !== undefined && !hasCome(cached.staleUntil, clock) ? cached : undefined
  }
}

/**
 * Makes a provider in a scope. The end of the scope stops a running fetch, fails its waiters at once, and ends the trust in the
 * keys. Nothing is scheduled before `start`.
 *
 * Fails with `NetworkError` (`EGRESS_REFUSED`, `DISCOVERY_INVALID`) for a URL or issuer that can never be fetched.
 */
export const makeProvider = Effect.fnUntraced(function*(
  options: JwksOptions,
  context: ProviderContext
): Effect.fn.Return<Provider, KeelsonError.NetworkError, Egress | Scope.Scope> {
  const egress = yield* Egress
  const store = Option.getOrUndefined(yield* Effect.serviceOption(JwksSnapshots))
  const snapshots = store && withoutDefects(store)
  const location = yield* Effect.fromResult(makeKeySetLocation(options, egress))
  yield* egress.check(location.configured, rulesOf(options))

  const state = new ProviderState({
    context,
    options,
    retryPolicy: retryPolicyOf(options),
    egress,
    importKey: yield* KeyImport,
    permits: yield* FetchPermits,
    snapshots,
    location
  })
  state.scopeContext = yield* Effect.context<Scope.Scope>()
  // Runs last, after every finalizer that may still count.
  yield* Effect.addFinalizer(() => Effect.suspend(() => removeSeries(state)))
  yield* registerHealth(state)
  const saver = snapshots && store && (yield* saveInBackground(state, snapshots, store))
  state.onAccepted = saver?.save
  const sharedFetch = yield* makeSharedFetch(
    (request) => refresh(state, request),
    () => state.reschedule(),
    () => state.turn && state.parts.permits.await(state.turn),
    Duration.sum(options.deadline, patience)
  )
  const provider = new Provider(state, sharedFetch, saver)
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      context.scheduler.remove(provider.schedule)
      invalidate(state)
    })
  )
  return provider
})
