import { type Instant, now, until } from "@keelson/core/unstable/Instant"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"

/** Something that is due at a moment, which changes. */
export interface Scheduled {
  /** When `tick` has to be called next; `undefined` for never. */
  readonly dueAt: () => Instant | undefined
  /** Called at that moment, or later; never waits. */
  readonly tick: (clock: Clock.Clock) => void
}

/** One fiber that calls many things in time. */
export interface Scheduler {
  readonly add: (entry: Scheduled) => void
  readonly remove: (entry: Scheduled) => void
  /** An entry may be due sooner than before. */
  readonly poke: (entry: Scheduled) => void
}

/** How long it waits at least: an entry that is still due after its tick must not keep the fiber busy. */
const least = 10

/**
 * One fiber in the scope, which sleeps until the first of all entries is due: however many there are, none has a timer
 * or fiber of its own. Looking through ten thousand entries takes a few milliseconds, when one of them is due: there is no heap.
 */
export const makeScheduler: Effect.Effect<Scheduler, never, Scope.Scope> = Effect.gen(function*() {
  const entries = new Set<Scheduled>()
  const changed = Latch.makeUnsafe()
  let wakeAt: bigint | undefined

  const round = Effect.clockWith((clock) => {
    changed.closeUnsafe()
    // Nothing that a tick changes has to wake this fiber: it looks again at once.
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
    const delay = Math.max(least, Math.ceil(next))
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
