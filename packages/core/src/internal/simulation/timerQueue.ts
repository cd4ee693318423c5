/** A timer. `run` is `undefined` once the timer has fired or was cancelled. */
export interface Timer {
  /** Nanoseconds since the start. */
  readonly at: number
  /** Timers of the same instant fire in the order in which they were added. */
  readonly order: number
  run: (() => void) | undefined
}

const isBefore = (one: Timer, other: Timer): boolean =>
  one.at < other.at || (one.at === other.at && one.order < other.order)

/** Below this size a queue is not searched for cancelled timers. */
const small = 1024

/** Timers by their time, in a binary heap. A cancelled timer stays until it is due, or until half of the heap is cancelled. */
export class TimerQueue {
  #heap: Array<Timer> = []
  #order = 0
  #cancelled = 0

  /** How many timers wait. */
  get size(): number {
    return this.#heap.length - this.#cancelled
  }

  add(at: number, run: () => void): Timer {
    const timer: Timer = { at, order: this.#order++, run }
    const heap = this.#heap
    let index = heap.push(timer) - 1
    while (index > 0) {
      const parent = (index - 1) >>> 1
      const above = heap[parent]!
      if (isBefore(above, timer)) break
      heap[index] = above
      index = parent
    }
    heap[index] = timer
    return timer
  }

  cancel(timer: Timer): void {
    if (timer.run === undefined) return
    timer.run = undefined
    this.#cancelled++
    if (this.#heap.length > small && this.#cancelled * 2 > this.#heap.length) this.#removeCancelled()
  }

  /** The time of the next timer; `Infinity` without one. */
  nextAt(): number {
    for (;;) {
      const [first] = this.#heap
      if (first === undefined) return Infinity
      if (first.run !== undefined) return first.at
      this.#removeFirst()
      this.#cancelled--
    }
  }

  /** Removes the next timer, which `nextAt` found, and returns what it runs. */
  take(): () => void {
    const timer = this.#heap[0]!
    const run = timer.run!
    timer.run = undefined
    this.#removeFirst()
    return run
  }

  #removeFirst(): void {
    const heap = this.#heap
    const last = heap.pop()!
    if (heap.length > 0) this.#sink(last, 0)
  }

  /** Puts a timer into the gap at `index`, or below it. */
  #sink(timer: Timer, start: number): void {
    const heap = this.#heap
    let index = start
    for (;;) {
      const left = 2 * index + 1
      if (left >= heap.length) break
      const right = left + 1
      const child = right < heap.length && isBefore(heap[right]!, heap[left]!) ? right : left
      if (isBefore(timer, heap[child]!)) break
      heap[index] = heap[child]!
      index = child
    }
    heap[index] = timer
  }

  #removeCancelled(): void {
    this.#heap = this.#heap.filter(({ run }) => run !== undefined)
    this.#cancelled = 0
    for (let index = (this.#heap.length >>> 1) - 1; index >= 0; index--) this.#sink(this.#heap[index]!, index)
  }
}
