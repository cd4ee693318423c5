import type { StoreCall, StoreFailure, StoreHandler, StoreHead } from "../../ObjectStore.ts"

/** What a reader of a fill receives. Exactly one of `onEnd`, `onFailure` and `onRetry` is called, once, and nothing after it. */
export interface FillReader {
  /** Called before anything else, with the handle of the reader. */
  readonly onJoin: (call: FillCall) => void
  /** Called once. A head that is not of a body to send (304, errors) is followed by `onEnd`. `isStored`: the body is buffered for the cache. */
  readonly onHead: (head: StoreHead, isStored: boolean) => void
  /** A chunk, which must not be changed. Returns whether the next one may come; after `false` it waits for `resume`. */
  readonly onData: (chunk: Uint8Array) => boolean
  readonly onEnd: () => void
  readonly onFailure: (failure: StoreFailure, cause: unknown) => void
  /** The response cannot be shared: it is too large, or there is no memory for it. Send a request for this reader alone. */
  readonly onRetry: () => void
}

/** The handle of a reader. */
export interface FillCall {
  /** Lets the chunks come again after `onData` returned `false`. */
  readonly resume: () => void
  /** The reader needs nothing more; nothing is called after it. */
  readonly leave: () => void
}

/** How a fill is done. */
export interface FillPlan {
  /** Sends the one request of the fill. */
  readonly dispatch: (handler: StoreHandler) => StoreCall
  /** The length of a body that is stored; `undefined` for one that is not. */
  readonly storedLength: (head: StoreHead) => number | undefined
  /** Stores a whole body. `done` is called when the cache answers lookups with it, or does not store it. */
  readonly commit: (head: StoreHead, bytes: Uint8Array, done: () => void) => void
}

/** What a fill needs of all fills together. */
export interface FillOwner {
  /** Whether the bytes are within the budget; they are then taken from it. */
  readonly reserve: (bytes: number) => boolean
  readonly release: (bytes: number) => void
  /** No further reader may join. */
  readonly close: (fill: Fill) => void
}

/** Upper bound of one chunk, so that a slow reader makes visible progress. */
const maxChunk = 262_144

/** Upper bound of an error body, which is read so that its connection can be reused. */
const maxErrorBody = 65_536

interface Reader {
  readonly to: FillReader
  position: number
  isFlowing: boolean
  hasLeft: boolean
}

/**
 * One request to the store for all readers of an object. The body is read at the speed of the store into one buffer of the announced
 * length, from which each reader takes it at its own speed: a slow reader delays no other one, and none depends on the first.
 */
export class Fill {
  readonly #plan: FillPlan
  readonly #owner: FillOwner
  readonly #readers = new Set<Reader>()
  #call: StoreCall | undefined
  #head: StoreHead | undefined
  #buffer: Uint8Array | undefined
  #received = 0
  #isWhole = false
  /** The store is not read any more. */
  #isOver = false
  #isCommitted = false
  #isDiscarded = false
  /** The only reader of a body that is not stored. */
  #only: Reader | undefined

  constructor(plan: FillPlan, owner: FillOwner) {
    this.#plan = plan
    this.#owner = owner
  }

  /** Sends the request, after the first reader joined. */
  start(): void {
    const call = this.#plan.dispatch({
      onHead: (head) => this.#onHead(head),
      onData: (chunk) => this.#onData(chunk),
      onEnd: () => this.#onEnd(),
      onFailure: (failure, cause) => this.#fail(failure, cause)
    })
    this.#call = call
    // All readers left, or the response was of no use, while the request was made.
    if (this.#isOver && !this.#isWhole) call.abort()
  }

  /** The body is not stored: what is in the store changed since it was requested. */
  discard(): void {
    this.#isDiscarded = true
    this.#owner.close(this)
  }

  join(to: FillReader): void {
    const reader: Reader = { to, position: 0, isFlowing: true, hasLeft: false }
    this.#readers.add(reader)
    to.onJoin({
      resume: () => {
        reader.isFlowing = true
        if (reader === this.#only) this.#call?.resume()
        else this.#pump(reader)
      },
      leave: () => this.#leave(reader)
    })
    if (this.#head === undefined || reader.hasLeft) return
    to.onHead(this.#head, true)
    this.#pump(reader)
  }

  #leave(reader: Reader): void {
    reader.hasLeft = true
    if (!this.#readers.delete(reader) || this.#readers.size > 0) return
    if (this.#isWhole) this.#releaseUnread()
    else this.#stop()
  }
  /** Ends the fill without a body. */
  #stop(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#owner.close(this)
    this.#releaseBuffer()
    this.#call?.abort()
  }
  #releaseBuffer(): void {
    if (this.#buffer === undefined) return
    this.#owner.release(this.#buffer.length)
    this.#buffer = undefined
  }

  /** Slow readers keep the buffer, and its share of the budget, after the cache has the body. */
  #releaseUnread(): void {
    if (this.#isCommitted && this.#readers.size === 0) this.#releaseBuffer()
  }

  #onHead(head: StoreHead): void {
    if (this.#isOver) return
    if (head.status !== 200) {
      this.#owner.close(this)
      for (const reader of this.#take()) {
        if (!reader.hasLeft) reader.to.onHead(head, false)
        if (!reader.hasLeft) reader.to.onEnd()
      }
      return
    }
    const length = this.#isDiscarded ? undefined : this.#plan.storedLength(head)
    if (length !== undefined && this.#owner.reserve(length)) {
      this.#head = head
      this.#buffer = new Uint8Array(length)
      for (const reader of Array.from(this.#readers)) {
        if (!reader.hasLeft) reader.to.onHead(head, true)
      }
      return
    }
    this.#owner.close(this)
    const [first, ...others] = this.#readers
    for (const reader of others) {
      if (this.#readers.delete(reader)) reader.to.onRetry()
    }
    this.#only = first
    first?.to.onHead(head, false)
  }
  #onData(chunk: Uint8Array): boolean {
    if (this.#isOver) return true
    this.#received += chunk.length
    if (this.#only !== undefined) return this.#only.to.onData(chunk)
    if (this.#buffer === undefined) {
      if (this.#received > maxErrorBody) this.#stop()
      return true
    }
    if (this.#received > this.#buffer.length) {
      this.#fail("incomplete", undefined)
      this.#call?.abort()
      return true
    }
    this.#buffer.set(chunk, this.#received - chunk.length)
    for (const reader of Array.from(this.#readers)) this.#pump(reader)
    return true
  }
  #onEnd(): void {
    if (this.#isOver) return
    const { length } = this.#buffer ?? { length: this.#received }
    if (this.#received !== length) return this.#fail("incomplete", undefined)
    this.#isOver = true
    this.#isWhole = true
    const [head, buffer] = [this.#head, this.#buffer]
    if (head !== undefined && buffer !== undefined) this.#commit(head, buffer)
    if (this.#only !== undefined) {
      for (const reader of this.#take()) {
        if (!reader.hasLeft) reader.to.onEnd()
      }
      return
    }
    for (const reader of Array.from(this.#readers)) this.#pump(reader)
  }
  #commit(head: StoreHead, buffer: Uint8Array): void {
    const done = () => {
      this.#isCommitted = true
      this.#owner.close(this)
      this.#releaseUnread()
    }
    if (this.#isDiscarded) done()
    else this.#plan.commit(head, buffer, done)
  }
  #fail(failure: StoreFailure, cause: unknown): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#owner.close(this)
    this.#releaseBuffer()
    for (const reader of this.#take()) {
      if (!reader.hasLeft) reader.to.onFailure(failure, cause)
    }
  }

  /** All readers, which are readers no more. */
  #take(): ReadonlyArray<Reader> {
    const readers = Array.from(this.#readers)
    this.#readers.clear()
    return readers
  }
  /** Gives a reader what it has not had. */
  #pump(reader: Reader): void {
    const buffer = this.#buffer
    if (buffer === undefined) return
    while (reader.isFlowing && reader.position < this.#received && !reader.hasLeft) {
      const end = Math.min(this.#received, reader.position + maxChunk)
      const chunk = buffer.subarray(reader.position, end)
      reader.position = end
      reader.isFlowing = reader.to.onData(chunk)
    }
    if (!this.#isWhole || reader.position < buffer.length || !this.#readers.delete(reader)) return
    reader.to.onEnd()
    this.#releaseUnread()
  }
}
