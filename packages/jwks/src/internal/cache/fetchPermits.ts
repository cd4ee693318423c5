/**
 * Permits for concurrent key set fetches. A hanging identity provider must not delay the keys of others: it holds permits
 * until its deadline, so each host, each zone and all failing hosts together get a share of them only.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { type Admission, HostShares, type HostStanding } from "./hostShares.ts"

/** The properties of a fetch that determine when it gets a permit. */
export interface Turn {
  readonly tenant: string
  readonly host: string
  /** When the trust in the present keys ends, in milliseconds of the wall clock; `undefined` without keys. */
  readonly staleUntil: number | undefined
  /** Whether a caller waits for the fetch. `await` sets it. */
  isAwaited: boolean
}

/** A fetch that waits for a permit, or has one. */
class Waiter {
  readonly turn: Turn
  readonly standing: HostStanding
  /** Set once it has a permit. */
  admission: Admission | undefined
  /** Called once it has a permit. */
  resume: () => void = () => {}

  constructor(turn: Turn, standing: HostStanding) {
    this.turn = turn
    this.standing = standing
  }
}

/** Waiters by tenant: each tenant is served once before any is served again. */
class Rounds {
  readonly #tenants = new Map<string, Set<Waiter>>()

  add(waiter: Waiter): void {
    const waiters = this.#tenants.get(waiter.turn.tenant) ?? new Set()
    this.#tenants.set(waiter.turn.tenant, waiters.add(waiter))
  }
  remove(waiter: Waiter): void {
    const waiters = this.#tenants.get(waiter.turn.tenant)
    waiters?.delete(waiter)
    if (waiters?.size === 0) this.#tenants.delete(waiter.turn.tenant)
  }
  /** Removes and returns the first waiter that may run. Its tenant is served last in the next round. */
  take(mayRun: (waiter: Waiter) => boolean): Waiter | undefined {
    for (const [tenant, waiters] of this.#tenants) {
      for (const waiter of waiters) {
        if (!mayRun(waiter)) continue
        waiters.delete(waiter)
        this.#tenants.delete(tenant)
        if (waiters.size > 0) this.#tenants.set(tenant, waiters)
        return waiter
      }
    }
    return undefined
  }
}

/** Waiters whose keys are still trusted, by the end of that trust. */
class Deadlines {
  readonly #waiters: Array<Waiter> = []

  add(waiter: Waiter): void {
    const { staleUntil = Infinity } = waiter.turn
    let [low, high] = [0, this.#waiters.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#waiters[middle]?.turn.staleUntil ?? Infinity) <= staleUntil) low = middle + 1
      else high = middle
    }
    this.#waiters.splice(low, 0, waiter)
  }
  remove(waiter: Waiter): void {
    const index = this.#waiters.indexOf(waiter)
    if (index >= 0) this.#waiters.splice(index, 1)
  }
  /** Removes and returns the first waiter that may run. */
  take(mayRun: (waiter: Waiter) => boolean): Waiter | undefined {
    const index = this.#waiters.findIndex(mayRun)
    return index < 0 ? undefined : this.#waiters.splice(index, 1)[0]
  }
}

/**
 * Limits concurrent fetches. Fetches that a caller waits for run first, then those whose keys are trusted, by the end of that
 * trust, then the others. Tenants take turns.
 */
export class Permits {
  readonly capacity: number
  #free: number
  #isGranting = false
  readonly #shares: HostShares
  readonly #awaited = new Rounds()
  readonly #trusted = new Deadlines()
  readonly #others = new Rounds()
  readonly #waiting = new Map<Turn, Waiter>()

  constructor(capacity: number) {
    this.capacity = capacity
    this.#free = capacity
    this.#shares = new HostShares(capacity)
  }

  /** Runs a fetch with a permit. */
  withPermit<A, E, R>(turn: Turn, self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.suspend(() => {
      const waiter = new Waiter(turn, this.#shares.of(turn.host))
      const wait = Effect.callback<void>((resume) => {
        waiter.resume = () => resume(Effect.void)
        this.#enter(waiter)
      })
      return Effect.uninterruptibleMask((restore) =>
        Effect.ensuring(
          Effect.andThen(restore(wait), restore(self)),
          Effect.sync(() => this.#leave(waiter))
        )
      )
    })
  }
  /** Notes that a caller waits for a fetch, which then precedes those that nobody waits for. */
  await(turn: Turn): void {
    if (turn.isAwaited) return
    const waiter = this.#waiting.get(turn)
    if (waiter !== undefined) this.#queueOf(turn).remove(waiter)
    turn.isAwaited = true
    if (waiter !== undefined) this.#queueOf(turn).add(waiter)
  }
  /** Notes how a fetch ended. `millis` is how long it held its permit. */
  settled({ host }: Turn, hasSucceeded: boolean, millis: number): void {
    if (hasSucceeded) this.#shares.succeeded(this.#shares.of(host))
    else if (millis >= slowMillis) this.#shares.hung(this.#shares.of(host))
  }

  #queueOf({ isAwaited, staleUntil }: Turn): Rounds | Deadlines {
    if (isAwaited) return this.#awaited
    return staleUntil === undefined ? this.#others : this.#trusted
  }
  #enter(waiter: Waiter): void {
    // None of the waiting fetches may run now, so this fetch overtakes none of them.
    if (this.#free > 0 && this.#shares.hasRoom(waiter.standing)) return this.#grant(waiter)
    this.#waiting.set(waiter.turn, waiter)
    this.#queueOf(waiter.turn).add(waiter)
  }
  /** Releases the permit of a fetch, or ends its wait for one. */
  #leave({ admission, standing, turn }: Waiter): void {
    if (admission === undefined) {
      const waiter = this.#waiting.get(turn)
      if (waiter !== undefined) this.#queueOf(turn).remove(waiter)
      this.#waiting.delete(turn)
      return
    }
    this.#free++
    this.#shares.leave(standing, admission)
    this.#grantFree()
  }
  #grant(waiter: Waiter): void {
    this.#free--
    waiter.admission = this.#shares.enter(waiter.standing)
    waiter.resume()
  }
  /** Grants the free permits. A fetch that gets one may run and end within this call. */
  #grantFree(): void {
    if (this.#isGranting) return
    this.#isGranting = true
    const mayRun = ({ standing }: Waiter): boolean => this.#shares.hasRoom(standing)
    while (this.#free > 0) {
      const next = this.#awaited.take(mayRun) ?? this.#trusted.take(mayRun) ?? this.#others.take(mayRun)
      if (next === undefined) break
      this.#waiting.delete(next.turn)
      this.#grant(next)
    }
    this.#isGranting = false
  }
}

/** A fetch that fails after this time, in milliseconds, counts as hung. A faster failure has not delayed other fetches. */
const slowMillis = 1_000

/** Limits concurrent key set fetches in a process to 16. */
export const FetchPermits = Context.Reference<Permits>("@keelson/jwks/FetchPermits", {
  defaultValue: () => new Permits(16)
})
