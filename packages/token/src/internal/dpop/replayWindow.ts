import * as Instant from "@keelson/core/unstable/Instant"
import type * as Clock from "effect/Clock"

/** Proofs that cease to be accepted at about the same time, and are deleted together. */
interface Slot {
  readonly ids: Array<string>
  /** When the last of them has ceased to be accepted. */
  ends: Instant.Instant
}

/** The width of a slot in milliseconds: proofs are kept this much longer at most. */
const slotMillis = 5_000

/** The result of recording a proof: it is new, was used before, or there is no room for it. */
export type ReplayResult = "new" | "used" | "full"

/**
 * The proofs used in this process, each kept until it has ceased to be accepted on both clocks, so that a wall clock that is
 * temporarily ahead deletes none early. A full window takes no further proofs, and never deletes one before its end.
 *
 * A wall clock that is set back makes old proofs acceptable again, whose records are gone. Therefore a proof is refused as used
 * if it ends no later than one that was deleted.
 */
export class ReplayWindow {
  readonly #maxEntries: number
  readonly #ids = new Set<string>()
  /** By the number of the slot, which is its end on the wall clock. */
  readonly #slots = new Map<number, Slot>()
  /** The greatest end, in milliseconds since 1970, of the proofs that were deleted. */
  #deletedUntil = Number.NEGATIVE_INFINITY
  #nextSweep: Instant.Instant | undefined

  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries
  }

  /** The number of proofs that are kept. */
  entries(clock: Clock.Clock): number {
    this.#sweep(Instant.now(clock), clock)
    return this.#ids.size
  }

  /**
   * Records a proof.
   *
   * - `end`: when it ceases to be accepted, in milliseconds since 1970.
   */
  add(id: string, end: number, clock: Clock.Clock): ReplayResult {
    const now = Instant.now(clock)
    if (this.#nextSweep === undefined || Instant.hasCome(this.#nextSweep, clock)) this.#sweep(now, clock)
    if (end <= this.#deletedUntil || this.#ids.has(id)) return "used"
    if (this.#ids.size >= this.#maxEntries) {
      this.#sweep(now, clock)
      if (this.#ids.size >= this.#maxEntries) return "full"
    }
    this.#ids.add(id)
    const number = Math.ceil(end / slotMillis)
    const { monotonic } = Instant.after(now, Math.max(0, number * slotMillis - now.wall))
    const slot = this.#slots.get(number)
    if (slot === undefined) {
      this.#slots.set(number, { ids: [id], ends: { monotonic, wall: number * slotMillis } })
    } else {
      slot.ids.push(id)
      if (monotonic > slot.ends.monotonic) slot.ends = { ...slot.ends, monotonic }
    }
    return "new"
  }

  #sweep(now: Instant.Instant, clock: Clock.Clock): void {
    this.#nextSweep = Instant.after(now, slotMillis)
    for (const [number, { ends, ids }] of this.#slots) {
      if (!Instant.hasComeOnBoth(ends, clock)) continue
      for (const id of ids) this.#ids.delete(id)
      this.#slots.delete(number)
      this.#deletedUntil = Math.max(this.#deletedUntil, ends.wall)
    }
  }
}
