/** Something, and the millisecond at which its end is looked for. */
interface Node<A> {
  at: number
  readonly item: A
}

/** What ends first: a binary heap. */
export class ExpiryQueue<A> {
  readonly #heap: Array<Node<A>> = []

  push(at: number, item: A): void {
    this.#heap.push({ at, item })
    this.#rise(this.#heap.length - 1)
  }

  /**
   * Takes out everything whose end has come. `endOf` tells when the end of an item is to be looked for: up to now, it has
   * come; later, and the item stays until then.
   */
  takeUntil(now: number, endOf: (item: A) => number, onEnd: (item: A) => void): void {
    for (;;) {
      const [first] = this.#heap
      if (first === undefined || first.at > now) return
      const at = endOf(first.item)
      if (at > now) first.at = at
      else {
        const last = this.#heap.pop()
        if (last !== undefined && last !== first) this.#heap[0] = last
        onEnd(first.item)
      }
      this.#sink(0)
    }
  }

  #rise(from: number): void {
    for (let at = from; at > 0;) {
      const parent = (at - 1) >> 1
      if (!this.#swapUnlessOrdered(parent, at)) return
      at = parent
    }
  }
  #sink(from: number): void {
    for (let at = from;;) {
      const left = 2 * at + 1
      const child = this.#at(left + 1) < this.#at(left) ? left + 1 : left
      if (!this.#swapUnlessOrdered(at, child)) return
      at = child
    }
  }
  #at(place: number): number {
    return this.#heap[place]?.at ?? Number.POSITIVE_INFINITY
  }
  /** Whether the two were in the wrong order. */
  #swapUnlessOrdered(parent: number, child: number): boolean {
    const [above, below] = [this.#heap[parent], this.#heap[child]]
    if (above === undefined || below === undefined || above.at <= below.at) return false
    this.#heap[parent] = below
    this.#heap[child] = above
    return true
  }
}
