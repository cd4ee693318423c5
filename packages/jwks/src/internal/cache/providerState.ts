import type { DeadlineExceeded } from "@keelson/core/Deadline"
import type * as RetryPolicy from "@keelson/core/RetryPolicy"
import { hasCome, type Instant } from "@keelson/core/unstable/Instant"
import type * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import type { Egress } from "../../Egress.ts"
import type { EventOrigin, JwksEvent } from "../../JwksEvent.ts"
import type { JwksOptions } from "../../JwksOptions.ts"
import type { Counts } from "../../JwksStatus.ts"
import type { Skipped } from "../../KeySet.ts"
import type { KeyTrust } from "../../unstable/KeySourceTag.ts"
import type { KeySetLocation } from "../http/keySetLocation.ts"
import type { ImportKey } from "../keys/importKey.ts"
import type { Deviation } from "../keys/keyMembers.ts"
import type { JwksSnapshots } from "../snapshot/jwksSnapshots.ts"
import type { Permits, Turn } from "./fetchPermits.ts"
import { type CachedKeySet, drop, initial, type State, type Step } from "./lifecycle.ts"
import { attachLookups, FetchCounts, readSeries } from "./providerMetrics.ts"
import type { Scheduled, Scheduler } from "./scheduler.ts"

/** An event of a provider, without the ids of the provider. */
export type EventBody = JwksEvent extends infer E ? E extends unknown ? Omit<E, keyof EventOrigin> : never : never

/** The ids of a provider, as the labels of its metrics, logs and spans. */
export type ProviderLabels = Readonly<Record<"provider" | "tenant", string>>

/** What the providers of a cache or registry share. */
export interface ProviderServices {
  readonly scheduler: Scheduler
  readonly publish: (event: JwksEvent) => void
  readonly egress: Egress["Service"]
  readonly importKey: ImportKey
  readonly permits: Permits
  /** The store of snapshots, without defects, and the store itself, which identifies its lock. */
  readonly snapshots: JwksSnapshots["Service"] | undefined
  readonly store: JwksSnapshots["Service"] | undefined
  /** The context in which fetches run and metrics are counted. */
  readonly context: Context.Context<never>
}

/** The immutable parts of one provider. */
export interface ProviderParts {
  readonly services: ProviderServices
  readonly labels: ProviderLabels
  readonly options: JwksOptions
  /** The retry policy of a fetch, made from the options. */
  readonly retryPolicy: RetryPolicy.RetryPolicy<unknown, DeadlineExceeded>
  readonly location: KeySetLocation
}

/**
 * The state of one provider, with its counts in plain fields. `current` is immutable and replaced as a whole, so lookups and
 * fetches never see a partial change. Functions of other modules act on the state, so that an idle provider takes only the
 * memory of its fields.
 */
export class ProviderState implements MetricSeries.Source, ProviderParts {
  readonly services: ProviderServices
  readonly labels: ProviderLabels
  readonly options: JwksOptions
  readonly retryPolicy: ProviderParts["retryPolicy"]
  readonly location: KeySetLocation
  #current: State = initial
  readonly counts: { -readonly [K in Exclude<keyof Counts, "requests">]: number } = {
    hits: 0,
    misses: 0,
    stale: 0,
    refreshes: 0,
    notModified: 0,
    errors: 0,
    floodLimited: 0
  }
  /** The counts of its fetches in metrics. */
  fetchCounts = new FetchCounts()
  /** The deviations of its key sets that were logged. */
  deviations: Set<Deviation> | undefined
  /** The skipped keys of the last document, if it had no usable key. */
  refused: ReadonlyArray<Skipped> | undefined
  /** By how many seconds the provider's clock is ahead of the local clock. */
  clockSkew: number | undefined
  /** When the last fetch began, before it waited for a permit. */
  begunAt: Instant | undefined
  /** Whether it was logged that the provider forbids caching. */
  hasToldNoCaching = false
  /** The running fetch, for its permit. */
  turn: Turn | undefined
  /** Whether the snapshot was loaded, or must not be loaded. */
  isRestored: boolean
  /** The generation of the newest parsed set, so that no two sets have the same generation. */
  generation = 0
  /** How often the keys were invalidated. A fetch that began in an earlier epoch is not accepted. */
  epoch = 0
  /** Whether the provider was closed. */
  isClosed = false
  /** Whether another provider replaced this one. It then publishes no events, which would contradict those of the new one. */
  isReplaced = false
  /** This provider's entry in the scheduler. */
  scheduled: Scheduled | undefined
  /** Called with each key set that was accepted from the provider. */
  onAccepted: ((cached: CachedKeySet) => void) | undefined

  constructor({ labels, location, options, retryPolicy, services }: ProviderParts) {
    this.services = services
    this.labels = labels
    this.options = options
    this.retryPolicy = retryPolicy
    this.location = location
    this.isRestored = services.snapshots === undefined
  }
  /** Whether a fetch has ever begun. */
  get isStarted(): boolean {
    return this.begunAt !== undefined
  }
  get current(): State {
    return this.#current
  }
  /** Returns the value of a metric. */
  read(name: MetricSeries.MetricName): number {
    return readSeries(this, name)
  }
  publish(event: EventBody): void {
    const { labels: { provider: providerId, tenant: tenantId }, services } = this
    if (!this.isReplaced) services.publish({ ...event, tenantId, providerId })
  }
  /** Takes a step of the state machine, and publishes its transitions. */
  apply({ state, transitions }: Step): void {
    this.#current = state
    for (const transition of transitions) this.publish({ _tag: "Changed", ...transition })
    this.reschedule()
  }
  /** Ends the trust in keys past their stale deadline, whether or not the scheduler has run. */
  expire(clock: Clock.Clock): void {
    const { cached } = this.current
    if (cached !== undefined && hasCome(cached.staleUntil, clock)) this.apply(drop(this.current, "expired"))
  }
  /** Notifies the scheduler that the next refresh may be due at another time. */
  reschedule(): void {
    if (this.scheduled !== undefined) this.services.scheduler.poke(this.scheduled)
  }
  /** Must be called before a lookup is counted. */
  noteLookup(): void {
    if (this.counts.hits === 0 && this.counts.misses === 0) attachLookups(this)
  }
}

/** Trust in the keys it was made for. It holds while the provider caches them and their stale deadline has not passed. */
export class Trust implements KeyTrust {
  readonly generation: number
  readonly #state: ProviderState

  constructor(state: ProviderState, generation: number) {
    this.#state = state
    this.generation = generation
  }
  #cached(): CachedKeySet | undefined {
    const { cached } = this.#state.current
    return cached?.trust === this ? cached : undefined
  }
  holds(clock: Clock.Clock): boolean {
    const cached = this.#cached()
    return cached !== undefined && !hasCome(cached.staleUntil, clock)
  }
  staleDeadline(): bigint | undefined {
    return this.#cached()?.staleUntil.monotonic ?? 0n
  }
}
