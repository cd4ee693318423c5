/** An item, and the millisecond at which its expiry is checked. */
interface Node<A> {
  at: number
  readonly item: A
}

/** A priority queue of items by their expiry: a binary heap. */
export class ExpiryQueue<A> {
  readonly #heap: Array<Node<A>> = []

  push(at: number, item: A): void {
    this.#heap.push({ at, item })
    this.#rise(this.#heap.length - 1)
  }

  /**
   * Removes all expired items. `expiryOf` returns the millisecond at which to check an item again: an item is expired if that
   * is not after `now`, and otherwise stays until then.
   */
  removeExpired(now: number, expiryOf: (item: A) => number, onExpire: (item: A) => void): void {
    for (;;) {
      const [first] = this.#heap
      if (first === undefined || first.at > now) return
      const at = expiryOf(first.item)
      if (at > now) first.at = at
      else {
        const last = this.#heap.pop()
        if (last !== undefined && last !== first) this.#heap[0] = last
        onExpire(first.item)
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
  /** Swaps two nodes that are in the wrong order, and returns whether they were. */
  #swapUnlessOrdered(parent: number, child: number): boolean {
    const [above, below] = [this.#heap[parent], this.#heap[child]]
    if (above === undefined || below === undefined || above.at <= below.at) return false
    this.#heap[parent] = below
    this.#heap[child] = above
    return true
  }
}
