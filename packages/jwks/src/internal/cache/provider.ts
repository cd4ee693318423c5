import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Metrics from "@keelson/core/Metrics"
import { after, earlier, hasCome, type Instant, later, now } from "@keelson/core/unstable/Instant"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { Egress } from "../../Egress.ts"
import type { JwksOptions } from "../../JwksOptions.ts"
import { type Identity, JwksSnapshots, type SnapshotUnavailable } from "../../JwksSnapshots.ts"
import type { Health, JwksStatus } from "../../JwksStatus.ts"
import { rulesOf } from "../http/fetchKeySet.ts"
import { makeKeySetLocation } from "../http/keySetLocation.ts"
import { merged } from "../http/validators.ts"
import { KeyImport } from "../keys/importKey.ts"
import { guarded } from "../snapshot/guarded.ts"
import { makeSaver, type Saver } from "../snapshot/saver.ts"
import { lockOf } from "../snapshot/storeLocks.ts"
import { acceptSeed } from "./applyKeySet.ts"
import type { CachedKeySet } from "./lifecycle.ts"
import { Lookups } from "./lookup.ts"
import { registerHealth, removeSeries } from "./providerMetrics.ts"
import { FetchPermits, type Parts, type ProviderContext, ProviderState } from "./providerState.ts"
import { healthOf, statusOf } from "./providerStatus.ts"
import { invalidate, refresh, type RefreshResult } from "./refresh.ts"
import type { Scheduled } from "./scheduler.ts"
import { type FetchError, makeSharedFetch, type SharedFetch } from "./sharedFetch.ts"

/** How many events are kept for a subscriber that is slow, before it loses the oldest. */
export const eventCapacity = 1024

/** How soon after a fetch was begun another provider in its place begins one by itself, however often it is replaced. */
const restMillis = 10_000

/** The keys of one provider. */
export class Provider extends Lookups implements Scheduled {
  readonly #saver: Saver<CachedKeySet> | undefined
  /** When the first fetch is due by itself, which the scheduler's fiber starts. */
  #startAt: Instant | undefined
  /** Until when nothing is fetched by itself, since the one before it was begun a moment ago. */
  #restUntil: Instant | undefined

  constructor(engine: ProviderState, flight: SharedFetch, saver: Saver<CachedKeySet> | undefined) {
    super(engine, flight)
    this.#saver = saver
  }

  /** Has what is due by itself done from now on. It takes the place of another provider, whose keys and limits go on. */
  start(clock: Clock.Clock, old?: Provider): void {
    const at = now(clock)
    // Keys past their stale deadline are not handed on.
    old?.engine.expire(clock)
    const soonest = old === undefined ? at : this.#takeOver(old, at)
    if (this.engine.parts.options.prefetch) this.#startAt = soonest
    this.engine.parts.around.scheduler.add(this)
  }
  /** In one step, so that nothing that happens to the other is lost. Returns when a fetch may begin by itself. */
  #takeOver(old: Provider, at: Instant): Instant {
    const { begunAt, generation, isRestored, parts, state } = old.engine
    // Keys that came by other rules of egress might not have come by these.
    const isSame = parts.origin.configured === this.engine.parts.origin.configured &&
      Equal.equals(rulesOf(parts.options), rulesOf(this.engine.parts.options))
    const rested = begunAt === undefined ? at : after(begunAt, restMillis)
    const soonest = later(later(rested, old.#restUntil ?? at), at)
    this.#restUntil = soonest
    this.engine.generation = generation
    this.engine.isRestored ||= !isSame || isRestored || state.held !== undefined
    if (isSame) {
      const { failures, held, lastFailure, lastRefresh, retryAt } = state
      const due = retryAt === undefined ? soonest : later(soonest, retryAt)
      if (held !== undefined) {
        this.engine.begunAt = begunAt ?? at
        const seed = acceptSeed(this.engine, held, earlier(due, held.staleUntil))
        // What the other had not written yet is lost with it.
        this.engine.onAccepted?.(seed)
      }
      // A fetch that the end of the other stops has told nobody anything.
      const unknownAt = old.flight.isUnderWay() ? undefined : state.unknownAt
      const limits = { failures, lastFailure, lastRefresh, retryAt, unknownAt }
      this.engine.apply({ state: { ...this.engine.state, ...limits }, transitions: [] })
    }
    old.replaced()
    return soonest
  }

  dueAt(): Instant | undefined {
    const staleUntil = this.engine.state.held?.staleUntil
    const next = this.flight.isUnderWay() ? undefined : this.#nextFetch()
    if (next === undefined || staleUntil === undefined) return next ?? staleUntil
    return earlier(next, staleUntil)
  }
  tick(clock: Clock.Clock): void {
    const next = this.#nextFetch()
    this.engine.expire(clock)
    if (this.flight.isUnderWay() || next === undefined || !hasCome(next, clock)) return
    const first = this.engine.isStarted ? "retry" : "start"
    this.flight.start({ cause: this.engine.state.held === undefined ? first : "due", noCache: false })
  }
  /** When a fetch is made by itself. */
  #nextFetch(): Instant | undefined {
    const { held, phase, retryAt } = this.engine.state
    if (phase === "Ready") return held.refreshAt
    if (phase === "Refreshing") return retryAt ?? held.refreshAt
    return retryAt ?? (this.engine.isStarted ? undefined : this.#startAt)
  }

  /** Fetches now, or joins the fetch that is under way. */
  get refresh(): Effect.Effect<RefreshResult, FetchError> {
    const ask = this.flight.join({ cause: "forced", noCache: true })
    // A snapshot that was being restored is no answer of the provider.
    return Effect.flatMap(ask, (how) => how === "restored" ? ask : Effect.succeed(how))
  }
  /** Ends the trust in the keys at once, and then takes them out of the store, so that no restart brings them back. */
  get invalidate(): Effect.Effect<void> {
    return Effect.suspend(() => {
      invalidate(this.engine)
      return this.forget
    })
  }
  get status(): Effect.Effect<JwksStatus> {
    return Effect.clockWith((clock) => Effect.sync(() => statusOf(this.engine, clock)))
  }
  get health(): Effect.Effect<Health> {
    return Effect.clockWith((clock) => Effect.sync(() => healthOf(this.engine, clock)))
  }
  /** Writes what is not written yet to the store of snapshots. */
  get persist(): Effect.Effect<void> {
    return this.#saver?.flush ?? Effect.void
  }
  /** Takes its snapshot out of the store, and what is not written yet with it. It takes as long as the store may. */
  get forget(): Effect.Effect<void> {
    return this.#saver === undefined ? Effect.void : Effect.uninterruptible(this.#saver.remove(removal(this.engine)))
  }
  /** The keys that are trusted now. */
  cached(clock: Clock.Clock): CachedKeySet | undefined {
    const { held } = this.engine.state
    return held !== undefined && !hasCome(held.staleUntil, clock) ? held : undefined
  }
  /** Another one takes its place: it tells of nothing any more, and stores nothing. */
  replaced(): void {
    this.engine.isReplaced = true
    this.engine.onAccepted = undefined
    this.#saver?.discard()
  }
}

const identityOf = ({ around: { providerId, tenantId }, options: { issuer }, origin }: Parts): Identity => ({
  tenantId,
  providerId,
  issuer,
  url: origin.configured
})

const save = ({ parts }: ProviderState, snapshots: JwksSnapshots["Service"], held: CachedKeySet) =>
  snapshots.save({
    ...identityOf(parts),
    documentUrl: held.url,
    body: held.body,
    // What a 304 that says nothing would leave of them.
    headers: merged(held.headers, {}),
    receivedAt: held.since.wall,
    expiresAt: held.expiresAt.wall,
    staleUntil: held.staleUntil.wall
  })

/** Counts a failure of the store of snapshots, and warns of it where `message` is given. */
const storeFailed = ({ labels }: ProviderState, error: SnapshotUnavailable, message?: string): Effect.Effect<void> => {
  const count = Metrics.increment("jwksSnapshotErrors", labels)
  return message === undefined
    ? count
    : Effect.andThen(count, Effect.annotateLogs(Effect.logWarning(message, error), labels))
}

/** Takes a provider's snapshot out of the store. It is told where that fails: what was to be forgotten is still there. */
const removal = (engine: ProviderState): Effect.Effect<void> => {
  const { parts } = engine
  return parts.snapshots === undefined
    ? Effect.void
    : Effect.catch(
      parts.snapshots.remove(identityOf(parts)),
      (error) => storeFailed(engine, error, "The snapshot of a key set could not be removed")
    )
}

/**
 * The keys of one provider, which live in the scope: its end stops a fetch that is under way, fails who waits for it at
 * once, and ends the trust in the keys. Nothing happens by itself before `start`.
 *
 * Fails with `NetworkError` (`EGRESS_REFUSED`, `DISCOVERY_INVALID`) for a URL or issuer that could never be fetched.
 */
export const makeProvider = Effect.fnUntraced(function*(
  options: JwksOptions,
  around: ProviderContext
): Effect.fn.Return<Provider, KeelsonError.NetworkError, Egress | Scope.Scope> {
  const egress = yield* Egress
  const store = Option.getOrUndefined(yield* Effect.serviceOption(JwksSnapshots))
  const snapshots = store && guarded(store)
  const origin = yield* Effect.fromResult(makeKeySetLocation(options, egress))
  yield* egress.check(origin.configured, rulesOf(options))

  const permits = yield* FetchPermits
  const engine = new ProviderState({ around, options, egress, importKey: yield* KeyImport, permits, snapshots, origin })
  engine.context = yield* Effect.context<Scope.Scope>()
  // The last to run, after all that may count.
  yield* Effect.addFinalizer(() => Effect.suspend(() => removeSeries(engine)))
  yield* registerHealth(engine)
  const saver = snapshots === undefined ? undefined : yield* makeSaver(
    (held: CachedKeySet) => save(engine, snapshots, held),
    // Once for each outage; the metrics tell of the rest.
    (error, isFirst) => storeFailed(engine, error, isFirst ? "The snapshot of a key set was not written" : undefined),
    (self) => lockOf(store ?? snapshots)(`${around.tenantId}:${around.providerId}`, self)
  )
  engine.onAccepted = saver?.save
  const flight = yield* makeSharedFetch((request) => refresh(engine, request), () => engine.poke())
  const provider = new Provider(engine, flight, saver)
  engine.scheduled = provider
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      around.scheduler.remove(provider)
      invalidate(engine)
    })
  )
  return provider
})
