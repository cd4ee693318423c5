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
import type { KeySetLocation } from "../http/keySetLocation.ts"
import type { KeyTrust } from "../keys/candidate.ts"
import type { ImportKey } from "../keys/importKey.ts"
import { type CachedKeySet, drop, initial, type State, type Step } from "./lifecycle.ts"
import { registerLookups } from "./providerMetrics.ts"
import type { Scheduled, Scheduler } from "./scheduler.ts"

/** How many key sets are fetched at once in a process, shared fairly between tenants. */
export const FetchPermits = Context.Reference<PartitionedSemaphore.PartitionedSemaphore<string>>(
  "@keelson/jwks/FetchPermits",
  { defaultValue: () => PartitionedSemaphore.makeUnsafe({ permits: 16 }) }
)

/** What can happen to a provider, without its name. */
export type EventBody = JwksEvent extends infer E ? E extends unknown ? Omit<E, keyof EventOrigin> : never : never

/** What a provider shares with others. */
export interface ProviderContext {
  readonly tenantId: string
  readonly providerId: string
  readonly scheduler: Scheduler
  readonly publish: (event: JwksEvent) => void
}

/** What a provider is made of. */
export interface Parts {
  readonly around: ProviderContext
  readonly options: JwksOptions
  readonly egress: Egress["Service"]
  readonly importKey: ImportKey
  readonly permits: PartitionedSemaphore.PartitionedSemaphore<string>
  readonly snapshots: JwksSnapshots["Service"] | undefined
  readonly origin: KeySetLocation
}

/**
 * Everything that is kept of one provider: its state in a `Ref`, which is read and set without a wait, as lookups and the
 * steps of one fetch run between two yields; its counts in plain fields. What is done with it are functions of modules, so
 * that an idle provider costs its fields and nothing else.
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
  /** When the last fetch was begun; before its wait for a permit. */
  begunAt: Instant | undefined
  /** Whether the store of snapshots was asked, or is not to be asked. */
  isRestored: boolean
  /** Of the newest set that was parsed, so that no two have the same. */
  generation = 0
  /** How often all that was fetched before was declared void. */
  epoch = 0
  /** Whether another provider took its place, whose events these would contradict. */
  isReplaced = false
  /** What the scheduler knows of this provider. */
  scheduled: Scheduled | undefined
  /** Called with what was accepted from the provider. */
  onAccepted: ((held: CachedKeySet) => void) | undefined
  /** The provider's scope, in which metrics are registered that are not wanted at once. */
  context: Context.Context<Scope.Scope> | undefined
  readonly parts: Parts

  constructor(parts: Parts) {
    this.parts = parts
    this.isRestored = parts.snapshots === undefined
  }
  /** Whether a fetch was ever begun. */
  get isStarted(): boolean {
    return this.begunAt !== undefined
  }
  get state(): State {
    return Ref.getUnsafe(this.ref)
  }
  get labels(): { readonly tenant: string; readonly provider: string } {
    return { tenant: this.parts.around.tenantId, provider: this.parts.around.providerId }
  }
  publish(event: EventBody): void {
    const { providerId, publish, tenantId } = this.parts.around
    if (!this.isReplaced) publish({ ...event, tenantId, providerId })
  }
  /** Takes a step of the state machine, and tells of its transitions. */
  apply({ state, transitions }: Step): void {
    this.ref.ref.current = state
    for (const transition of transitions) this.publish({ _tag: "Changed", ...transition })
    this.poke()
  }
  /** Ends the trust in keys that are past their stale deadline, whether or not a fiber has run. */
  expire(clock: Clock.Clock): void {
    const { held } = this.state
    if (held !== undefined && hasCome(held.staleUntil, clock)) this.apply(drop(this.state, "expired"))
  }
  /** The next thing may be due at another time. */
  poke(): void {
    if (this.scheduled !== undefined) this.parts.around.scheduler.poke(this.scheduled)
  }
  /** To be called before a lookup is counted. */
  noteLookup(): void {
    if (this.counts.hits === 0 && this.counts.misses === 0) registerLookups(this)
  }
}

/** Trust that holds while the provider holds the keys it was made for, and they are not past their stale deadline. */
export class Trust implements KeyTrust {
  readonly generation: number
  readonly #engine: ProviderState

  constructor(engine: ProviderState, generation: number) {
    this.#engine = engine
    this.generation = generation
  }
  #held(): CachedKeySet | undefined {
    const { held } = this.#engine.state
    return held?.trust === this ? held : undefined
  }
  holds(clock: Clock.Clock): boolean {
    const held = this.#held()
    return held !== undefined && !hasCome(held.staleUntil, clock)
  }
  staleDeadline(): bigint | undefined {
    return this.#held()?.staleUntil.monotonic ?? 0n
  }
}
