import { after, earlier, hasCome, type Instant, later } from "@keelson/core/unstable/Instant"
import type * as Clock from "effect/Clock"
import type { ProviderState } from "./providerState.ts"
import type { Scheduled } from "./scheduler.ts"
import type { SharedFetch } from "./sharedFetch.ts"

/** Minimum time between two scheduled fetches of a provider whose options are replaced, in milliseconds. */
const restMillis = 10_000

/** Schedules the fetches of one provider, and the expiry of its keys. */
export class Schedule implements Scheduled {
  readonly #state: ProviderState
  readonly #sharedFetch: SharedFetch<ProviderState>
  /** When the first fetch is due. */
  #startAt: Instant | undefined
  /** Until when the scheduler does not fetch, since this provider replaced one that has just fetched. */
  #restUntil: Instant | undefined

  constructor(state: ProviderState, sharedFetch: SharedFetch<ProviderState>) {
    this.#state = state
    this.#sharedFetch = sharedFetch
  }

  /** Returns from when a fetch may be scheduled, counted from the start of the last one. */
  restUntil(at: Instant): Instant {
    const { begunAt } = this.#state
    const rested = begunAt === undefined ? at : after(begunAt, restMillis)
    return later(later(rested, this.#restUntil ?? at), at)
  }
  /** Delays scheduled fetches until this moment. */
  rest(until: Instant): void {
    this.#restUntil = until
  }
  /** Adds the provider to the scheduler, with a first fetch if `prefetch` is set. */
  start(at: Instant): void {
    if (this.#state.options.prefetch) this.#startAt = later(at, this.#restUntil ?? at)
    this.#state.services.scheduler.add(this)
  }

  dueAt(): Instant | undefined {
    const staleUntil = this.#state.current.cached?.staleUntil
    const next = this.#sharedFetch.isRunning() ? undefined : this.#nextFetch()
    if (next === undefined || staleUntil === undefined) return next ?? staleUntil
    return earlier(next, staleUntil)
  }
  tick(clock: Clock.Clock): void {
    const next = this.#nextFetch()
    this.#state.expire(clock)
    if (this.#sharedFetch.isRunning() || next === undefined || !hasCome(next, clock)) return
    this.#startAt = undefined
    const first = this.#state.isStarted ? "retry" : "start"
    this.#sharedFetch.start({ cause: this.#state.current.cached === undefined ? first : "due", noCache: false })
  }
  #nextFetch(): Instant | undefined {
    const { cached, phase, retryAt } = this.#state.current
    if (phase === "Ready") return cached.refreshAt
    if (phase === "Refreshing") return retryAt ?? cached.refreshAt
    return retryAt ?? (this.#state.isStarted ? undefined : this.#startAt)
  }
}
