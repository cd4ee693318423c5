import type { DeadlineExceeded } from "@keelson/core/Deadline"
import type * as RetryPolicy from "@keelson/core/RetryPolicy"
import { hasCome, type Instant } from "@keelson/core/unstable/Instant"
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as PartitionedSemaphore from "effect/PartitionedSemaphore"
import * as Ref from "effect/Ref"
import type * as Scope from "effect/Scope"
import type { Egress } from "../../Egress.ts"
import type { EventOrigin, JwksEvent } from "../../JwksEvent.ts"
import type { JwksOptions } from "../../JwksOptions.ts"
import type { JwksSnapshots } from "../../JwksSnapshots.ts"
import type { Counts } from "../../JwksStatus.ts"
import type { KeyTrust } from "../../KeySource.ts"
import type { KeySetLocation } from "../http/keySetLocation.ts"
import type { ImportKey } from "../keys/importKey.ts"
import { type CachedKeySet, drop, initial, type State, type Step } from "./lifecycle.ts"
import { registerLookups } from "./providerMetrics.ts"
import type { Scheduled, Scheduler } from "./scheduler.ts"

/** How many key sets are fetched at once in a process, shared fairly between tenants. */
export const FetchPermits = Context.Reference<PartitionedSemaphore.PartitionedSemaphore<string>>(
  "@keelson/jwks/FetchPermits",
  { defaultValue: () => PartitionedSemaphore.makeUnsafe({ permits: 16 }) }
)

/** An event of a provider, without the ids of the provider. */
export type EventBody = JwksEvent extends infer E ? E extends unknown ? Omit<E, keyof EventOrigin> : never : never

/** The ids of a provider, and what it shares with other providers. */
export interface ProviderContext {
  readonly tenantId: string
  readonly providerId: string
  readonly scheduler: Scheduler
  readonly publish: (event: JwksEvent) => void
}

/** Options and services of a provider. None of them changes. */
export interface ProviderParts {
  readonly context: ProviderContext
  readonly options: JwksOptions
  /** The retries of a fetch, made of the options. */
  readonly retryPolicy: RetryPolicy.RetryPolicy<unknown, DeadlineExceeded>
  readonly egress: Egress["Service"]
  readonly importKey: ImportKey
  readonly permits: PartitionedSemaphore.PartitionedSemaphore<string>
  readonly snapshots: JwksSnapshots["Service"] | undefined
  readonly location: KeySetLocation
}

/**
 * The state of one provider, and its counts in plain fields. The state is in a `Ref` that is read and set without yielding:
 * lookups and the steps of a fetch never see it half changed. Functions of other modules act on it, so that an idle
 * provider costs its fields and nothing else.
 */
export class ProviderState {
  readonly ref: Ref.Ref<State> = Ref.makeUnsafe<State>(initial)
  readonly counts: { -readonly [K in Exclude<keyof Counts, "requests">]: number } = {
    hits: 0,
    misses: 0,
    stale: 0,
    refreshes: 0,
    notModified: 0,
    errors: 0,
    floodLimited: 0
  }
  /** By how many seconds the provider's clock is ahead of ours. */
  clockSkew: number | undefined
  /** When the last fetch began, before it waited for a permit. */
  begunAt: Instant | undefined
  /** Whether the snapshot was loaded, or must not be. */
  isRestored: boolean
  /** The generation of the newest set that was parsed, so that no two sets have the same one. */
  generation = 0
  /** How often the keys were invalidated. A fetch that began in an earlier epoch is not accepted. */
  epoch = 0
  /** Whether another provider took this one's place. Its events would contradict those of the new one. */
  isReplaced = false
  /** This provider's entry in the scheduler. */
  scheduled: Scheduled | undefined
  /** Called with each key set that was accepted from the provider. */
  onAccepted: ((cached: CachedKeySet) => void) | undefined
  /** The provider's scope, for metrics that are registered later. */
  scopeContext: Context.Context<Scope.Scope> | undefined
  readonly parts: ProviderParts

  constructor(parts: ProviderParts) {
    this.parts = parts
    this.isRestored = parts.snapshots === undefined
  }
  /** Whether a fetch has ever begun. */
  get isStarted(): boolean {
    return this.begunAt !== undefined
  }
  get current(): State {
    return Ref.getUnsafe(this.ref)
  }
  get labels(): { readonly tenant: string; readonly provider: string } {
    return { tenant: this.parts.context.tenantId, provider: this.parts.context.providerId }
  }
  publish(event: EventBody): void {
    const { providerId, publish, tenantId } = this.parts.context
    if (!this.isReplaced) publish({ ...event, tenantId, providerId })
  }
  /** Takes a step of the state machine, and publishes its transitions. */
  apply({ state, transitions }: Step): void {
    this.ref.ref.current = state
    for (const transition of transitions) this.publish({ _tag: "Changed", ...transition })
    this.reschedule()
  }
  /** Ends the trust in keys past their stale deadline, whether or not the scheduler has run. */
  expire(clock: Clock.Clock): void {
    const { cached } = this.current
    if (cached !== undefined && hasCome(cached.staleUntil, clock)) this.apply(drop(this.current, "expired"))
  }
  /** Tells the scheduler that the next refresh may be due at another time. */
  reschedule(): void {
    if (this.scheduled !== undefined) this.parts.context.scheduler.poke(this.scheduled)
  }
  /** Must be called before a lookup is counted. */
  noteLookup(): void {
    if (this.counts.hits === 0 && this.counts.misses === 0) registerLookups(this)
  }
}

/** Trust that holds while the provider caches the keys it was made for, and they are not past their stale deadline. */
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
