/** Messages that were sent in one call. */
interface Sent {
  readonly messages: ReadonlyArray<string>
  readonly size: number
  /** In nanoseconds of the monotonic clock. */
  readonly at: bigint
}

/** How long before a connection broke a message may have been sent and not received: 5 seconds. */
const window = 5_000_000_000n

/** In bytes. */
const maxSize = 1_048_576

/**
 * The messages that were sent last. Syslog has no acknowledgement: what the system accepted just before a connection broke may not
 * have arrived, so it is sent again.
 */
export class RecentMessages {
  #sent: Array<Sent> = []
  #size = 0

  add(messages: ReadonlyArray<string>, at: bigint): void {
    const size = messages.reduce((sum, { length }) => sum + length, 0)
    this.#sent.push({ messages, size, at })
    this.#size += size
    this.#forget(at)
  }
  /** Removes and returns those that were sent shortly before the connection broke. */
  take(broken: bigint): ReadonlyArray<string> {
    this.#forget(broken)
    const messages = this.#sent.flatMap((sent) => sent.messages)
    this.#sent = []
    this.#size = 0
    return messages
  }
  /** Also in one call more may be sent than is remembered: then the call is. */
  #forget(now: bigint): void {
    let count = 0
    for (const { at, size } of this.#sent) {
      const isLast = count === this.#sent.length - 1
      if (now - at <= window && (this.#size <= maxSize || isLast)) break
      this.#size -= size
      count++
    }
    if (count > 0) this.#sent.splice(0, count)
  }
}
