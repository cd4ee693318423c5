import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"

/** How a call ended at one endpoint, while another one may do better. */
export class Ended<A, E> {
  readonly exit: Exit.Exit<A, E>
  readonly #discard: Effect.Effect<void>
  readonly #refund: () => void
  /** Whether neither another endpoint has the call nor the caller has the result. */
  #isOpen = true

  constructor(exit: Exit.Exit<A, E>, discard: Effect.Effect<void>, refund: () => void) {
    this.exit = exit
    this.#discard = discard
    this.#refund = refund
  }
  /** Another endpoint has the call: the result is not needed. */
  get replaced(): Effect.Effect<void> {
    this.#isOpen = false
    return this.#discard
  }
  /** No other endpoint took the call: this is its result. */
  get final(): Exit.Exit<A, E> {
    this.#isOpen = false
    this.#refund()
    return this.exit
  }
  /** The caller was interrupted, or a part failed with a defect. */
  get abandoned(): Effect.Effect<void> {
    if (!this.#isOpen) return Effect.void
    this.#isOpen = false
    this.#refund()
    return this.#discard
  }
}
