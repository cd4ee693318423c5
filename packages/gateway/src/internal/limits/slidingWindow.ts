/** The times of the last admitted requests, oldest first, in a ring that grows up to the limit. */
export class SlidingWindow {
  #times = new Float64Array(4)
  #first = 0
  #count = 0

  /** The memory that it takes, in bytes. */
  get bytes(): number {
    return this.#times.byteLength
  }

  /** How long to wait until a request is admitted, in nanoseconds; 0 if it is. */
  wait(limit: number, window: number, now: number): number {
    this.#forget(now - window)
    if (this.#count < limit) return 0
    return (this.#times[this.#first] ?? 0) + window - now
  }

  /** Counts a request that is admitted. */
  take(now: number): void {
    if (this.#count === this.#times.length) this.#grow()
    this.#times[(this.#first + this.#count) % this.#times.length] = now
    this.#count++
  }

  /** Forgets requests of a time and before. */
  #forget(until: number): void {
    while (this.#count > 0 && (this.#times[this.#first] ?? 0) <= until) {
      this.#first = (this.#first + 1) % this.#times.length
      this.#count--
    }
  }

  #grow(): void {
    const larger = new Float64Array(this.#times.length * 2)
    for (let index = 0; index < this.#count; index++) {
      larger[index] = this.#times[(this.#first + index) % this.#times.length] ?? 0
    }
    this.#times = larger
    this.#first = 0
  }
}
