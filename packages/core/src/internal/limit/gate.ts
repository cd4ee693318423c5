/** A call that waits for a permit. A gate links its waiters, so that one of a thousand leaves at no cost. */
export interface Waiter {
  /** The class of the call; 0 is served first. */
  readonly priority: number
  previous: Waiter | undefined
  next: Waiter | undefined
  /** Hands over a permit, which the waiter holds from this moment. */
  readonly admit: () => void
  /** Gives the place in the queue to a call of a higher class. */
  readonly displace: () => void
}

interface Line {
  first: Waiter | undefined
  last: Waiter | undefined
}

/**
 * Permits and a bounded queue: first in, first out within a class, and higher classes first.
 *
 * A released permit goes to the first waiter at once, so that no call that comes later takes it. Everything is synchronous:
 * between two steps of a fiber a permit is either free or held.
 */
export class Gate {
  inFlight = 0
  queued = 0
  /** How many permits there are. */
  limit: number
  readonly maxQueued: number
  readonly #lines: ReadonlyArray<Line>

  constructor(limit: number, maxQueued: number, classes = 1) {
    this.limit = limit
    this.maxQueued = maxQueued
    this.#lines = Array.from({ length: classes }, () => ({ first: undefined, last: undefined }))
  }

  /** Takes a permit if one is free. While calls wait, no permit is free. */
  tryAcquire(): boolean {
    if (this.inFlight >= this.limit) return false
    this.inFlight++
    return true
  }

  /** Returns a permit, which the first waiter gets. */
  release(): void {
    this.inFlight--
    this.#admitWaiters()
  }

  /** Changes the number of permits. Calls that hold one keep it. */
  resize(limit: number): void {
    this.limit = limit
    this.#admitWaiters()
  }

  /**
   * Adds a waiter. If the queue is full, the newest waiter of the lowest class loses its place, provided that its class is
   * lower; otherwise returns false.
   */
  enqueue(waiter: Waiter): boolean {
    if (this.queued >= this.maxQueued) {
      const lowest = this.#newestBelow(waiter.priority)
      if (lowest === undefined) return false
      this.remove(lowest)
      lowest.displace()
    }
    const line = this.#lines[waiter.priority]!
    waiter.previous = line.last
    if (line.last === undefined) line.first = waiter
    else line.last.next = waiter
    line.last = waiter
    this.queued++
    return true
  }

  /** Removes a waiter, which must be in the queue. */
  remove(waiter: Waiter): void {
    const line = this.#lines[waiter.priority]!
    if (waiter.previous === undefined) line.first = waiter.next
    else waiter.previous.next = waiter.next
    if (waiter.next === undefined) line.last = waiter.previous
    else waiter.next.previous = waiter.previous
    waiter.previous = undefined
    waiter.next = undefined
    this.queued--
  }

  #newestBelow(priority: number): Waiter | undefined {
    for (let index = this.#lines.length - 1; index > priority; index--) {
      const { last } = this.#lines[index]!
      if (last !== undefined) return last
    }
    return undefined
  }

  #admitWaiters(): void {
    for (const line of this.#lines) {
      while (line.first !== undefined && this.inFlight < this.limit) {
        const waiter = line.first
        this.remove(waiter)
        this.inFlight++
        waiter.admit()
      }
    }
  }
}
