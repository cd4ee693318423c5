/**
 * Ends requests whose store is silent for too long, with one timer for all requests of a store.
 *
 * Time is counted in ticks. A process that was paused counts one tick when it wakes, so that responses that came meanwhile are read
 * before their requests count as timed out.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"

/** A request that is watched. */
export interface Watched {
  /** The tick at which the store did something last. */
  since: number
  /** How many ticks it may be silent. */
  limit: number
  /** Called once it was silent for longer. */
  readonly onSilence: () => void
}

/** How many ticks the shortest limit has: a request ends at most an eighth of it late. */
const resolution = 8

/** The watch over the requests of one store. It takes no time while there are none. */
export class Watchdog {
  readonly #watched = new Set<Watched>()
  readonly #latch = Latch.makeUnsafe(false)
  readonly #period: number
  tick = 0

  /** `shortest` is the shortest limit, in milliseconds. */
  constructor(shortest: number) {
    this.#period = Math.max(1, Math.min(shortest / resolution, 1000))
  }

  /** The ticks of a limit. */
  ticksOf(limit: Duration.Duration): number {
    return Math.ceil(Duration.toMillis(limit) / this.#period)
  }

  add(watched: Watched): void {
    this.#watched.add(watched)
    if (this.#watched.size === 1) this.#latch.openUnsafe()
  }

  delete(watched: Watched): void {
    this.#watched.delete(watched)
  }

  /** Watches in the scope. */
  get run(): Effect.Effect<void, never, Scope.Scope> {
    const round = Effect.andThen(
      this.#latch.await,
      Effect.andThen(Effect.sleep(this.#period), Effect.sync(() => this.#look()))
    )
    return Effect.asVoid(Effect.forkScoped(Effect.forever(round), { startImmediately: true }))
  }

  #look(): void {
    this.tick++
    for (const watched of this.#watched) {
      if (this.tick - watched.since > watched.limit) watched.onSilence()
    }
    if (this.#watched.size === 0) this.#latch.closeUnsafe()
  }
}
