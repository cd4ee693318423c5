import type { AuditRecord } from "../../AuditSink.ts"

/** What a record takes in memory besides its line, about. */
const overhead = 128
const ascii = /^[\x20-\x7e]*$/

/** A record with what it counts with: an upper bound of the bytes of its line, in memory and in UTF-8. */
export interface Weighed extends AuditRecord {
  readonly weight: number
  /** Whether it is a line about a loss, which is no entry. */
  readonly isLoss: boolean
}

export const weigh = ({ level, line, sequence, timestamp }: AuditRecord, isLoss = false): Weighed => ({
  line,
  level,
  timestamp,
  sequence,
  weight: line.length * (ascii.test(line) ? 1 : 3) + overhead,
  isLoss
})

/** Room for a line about a loss, which is made when it is queued. */
const lossWeight = 768

/** Consecutive numbers of entries that a sink lost. */
export interface Loss {
  readonly first: number
  readonly last: number
}

/** How `offer` ended for an entry that the buffer did not take at once. */
export type Offered = "taken" | "lost" | Waiting

/** An entry that waits for room. */
export class Waiting {
  state: "waiting" | "taken" | "lost" = "waiting"
  /** Called once the entry was taken or lost. */
  onSettled: (() => void) | undefined
  readonly record: Weighed
  constructor(record: Weighed) {
    this.record = record
  }
  settle(state: "taken" | "lost"): void {
    if (this.state !== "waiting") return
    this.state = state
    this.onSettled?.()
  }
}

/**
 * The entries that wait for one sink, in the order of their numbers, bounded in bytes.
 *
 * Each entry that is offered ends in one of two ways: a batch has it, or a line about a loss covers its number. Such a line
 * stands before the next entry that was taken, so that the numbers of what a sink writes rise, and every gap is explained.
 */
export class SinkBuffer {
  readonly #maxWeight: number
  readonly #waits: boolean
  /** Makes the line about a loss. */
  readonly #lineOf: (loss: Loss) => Weighed
  #queue: Array<Weighed> = []
  #weight = 0
  #waiting: Array<Waiting | { readonly first: number; last: number }> = []
  #waitingWeight = 0
  /** The loss that no line covers yet. */
  #loss: Loss | undefined
  lost = 0
  written = 0
  isClosed = false

  constructor(maxWeight: number, waits: boolean, lineOf: (loss: Loss) => Weighed) {
    this.#maxWeight = maxWeight
    this.#waits = waits
    this.#lineOf = lineOf
  }

  /** The bytes of what is queued or being written. */
  get weight(): number {
    return this.#weight
  }
  /** The entries that are queued, being written, or waiting for room. */
  pending = 0
  /** Whether nothing is left to write, not even a line about a loss. */
  get isEmpty(): boolean {
    return this.#queue.length === 0 && this.#waiting.length === 0 && this.#loss === undefined
  }

  /** Whether entries wait for room. */
  get isWaited(): boolean {
    return this.#waiting.length > 0
  }

  offer(record: Weighed): Offered {
    if (this.isClosed) {
      this.lost++
      return "lost"
    }
    if (this.#waiting.length === 0 && this.#take(record)) {
      this.pending++
      return "taken"
    }
    if (!this.#waits || this.#waitingWeight + record.weight > this.#maxWeight) {
      // Keeps its place behind those that wait, so that the numbers rise.
      const tail = this.#waiting.at(-1)
      if (tail === undefined) this.#lose(record.sequence)
      else if (tail instanceof Waiting) this.#waiting.push({ first: record.sequence, last: record.sequence })
      else tail.last = record.sequence
      this.lost++
      return "lost"
    }
    const waiting = new Waiting(record)
    this.#waiting.push(waiting)
    this.#waitingWeight += record.weight
    this.pending++
    return waiting
  }

  /** An entry waits no longer: its time is over, or its caller was interrupted. */
  giveUp(waiting: Waiting): void {
    if (waiting.state !== "waiting") return
    this.lost++
    this.pending--
    this.#waitingWeight -= waiting.record.weight
    waiting.settle("lost")
    this.#admit()
  }

  /**
   * The entries to write next, of at least one line and at most `maxWeight` bytes. Their room stays taken until `settle`. Empty if
   * there is nothing to write.
   */
  batch(maxWeight: number): ReadonlyArray<Weighed> {
    this.#admit()
    if (this.#queue.length === 0) {
      const loss = this.#loss
      if (loss === undefined || this.#waiting.length > 0) return []
      this.#pushLoss(loss)
    }
    let weight = 0
    let count = 0
    for (const record of this.#queue) {
      weight += record.weight
      if (count > 0 && weight > maxWeight) break
      count++
    }
    return this.#queue.slice(0, count)
  }

  /** The entries of the first `batch` were written. */
  settle(batch: ReadonlyArray<Weighed>): void {
    this.#queue = this.#queue.slice(batch.length)
    for (const record of batch) {
      this.#weight -= record.weight
      if (record.isLoss) continue
      this.written++
      this.pending--
    }
    this.#admit()
  }

  /** The end: what is left is lost. Returns how many entries are. */
  close(): number {
    this.isClosed = true
    const before = this.lost
    for (const record of this.#queue) {
      if (!record.isLoss) this.lost++
    }
    for (const waiting of this.#waiting) {
      if (!(waiting instanceof Waiting) || waiting.state !== "waiting") continue
      this.lost++
      waiting.settle("lost")
    }
    this.#queue = []
    this.#waiting = []
    this.#waitingWeight = 0
    this.#weight = 0
    this.#loss = undefined
    this.pending = 0
    return this.lost - before
  }

  /** Queues the line about the loss before. */
  #pushLoss(loss: Loss): void {
    this.#loss = undefined
    this.#push(this.#lineOf(loss))
  }
  #push(record: Weighed): void {
    this.#queue.push(record)
    this.#weight += record.weight
  }
  /** Queues an entry, and before it the line about a loss, if both have room. An empty buffer has room for any entry. */
  #take(record: Weighed): boolean {
    const loss = this.#loss
    const needed = record.weight + (loss === undefined ? 0 : lossWeight)
    if (this.#weight > 0 && this.#weight + needed > this.#maxWeight) return false
    if (loss !== undefined) this.#pushLoss(loss)
    this.#push(record)
    return true
  }
  #lose(sequence: number): void {
    this.#addLoss({ first: sequence, last: sequence })
  }
  #addLoss({ first, last }: Loss): void {
    this.#loss = { first: this.#loss?.first ?? first, last }
  }
  /** Queues those that wait, in their order, while there is room. */
  #admit(): void {
    let done = 0
    for (const waiting of this.#waiting) {
      if (!(waiting instanceof Waiting)) this.#addLoss(waiting)
      else if (waiting.state === "lost") this.#lose(waiting.record.sequence)
      else if (!this.#take(waiting.record)) break
      else {
        this.#waitingWeight -= waiting.record.weight
        waiting.settle("taken")
      }
      done++
    }
    if (done > 0) this.#waiting = this.#waiting.slice(done)
  }
}
