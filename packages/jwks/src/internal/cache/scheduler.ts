import { type Instant, now, until } from "@keelson/core/unstable/Instant"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"

/** An entry of the scheduler. The moment at which it is due may change. */
export interface Scheduled {
  /** Returns when `tick` must be called next; `undefined` if never. */
  readonly dueAt: () => Instant | undefined
  /** Called at that moment or later. Must not block. */
  readonly tick: (clock: Clock.Clock) => void
}

/** Calls many entries from one fiber when they are due. */
export interface Scheduler {
  readonly add: (entry: Scheduled) => void
  readonly remove: (entry: Scheduled) => void
  /** Must be called when an entry may be due sooner than before. */
  readonly poke: (entry: Scheduled) => void
}

/** Shortest sleep, in milliseconds: an entry that is still due after its tick must not keep the fiber busy. */
const minDelay = 10

/**
 * Forks one fiber in the scope, which sleeps until the first entry is due. Entries have no timers or fibers. When one is due,
 * all entries are scanned, which takes a few milliseconds for ten thousand, so no heap is needed.
 */
export const makeScheduler: Effect.Effect<Scheduler, never, Scope.Scope> = Effect.gen(function*() {
  const entries = new Set<Scheduled>()
  const changed = Latch.makeUnsafe()
  let wakeAt: bigint | undefined

  const round = Effect.clockWith((clock) => {
    changed.closeUnsafe()
    // Changes made by a tick need not wake this fiber: it reads every entry after its tick.
    wakeAt = 0n
    const at = now(clock)
    let next = Infinity
    for (const entry of entries) {
      let due = entry.dueAt()
      if (due !== undefined && until(due, at) === 0) {
        entry.tick(clock)
        due = entry.dueAt()
      }
      if (due !== undefined) next = Math.min(next, until(due, at))
    }
    if (next === Infinity) {
      wakeAt = undefined
      return changed.await
    }
    const delay = Math.max(minDelay, Math.ceil(next))
    wakeAt = at.monotonic + BigInt(delay) * 1_000_000n
    return Effect.raceFirst(Effect.sleep(Duration.millis(delay)), changed.await)
  })
  yield* Effect.forkScoped(Effect.forever(round))

  const poke = (entry: Scheduled): void => {
    const due = entry.dueAt()
    if (due !== undefined && (wakeAt === undefined || due.monotonic < wakeAt)) changed.openUnsafe()
  }
  return {
    add: (entry) => {
      entries.add(entry)
      poke(entry)
    },
    remove: (entry) => void entries.delete(entry),
    poke
  }
})
