/** What is noted while it runs. */
import type { Call } from "./client.ts"
import type { Attack } from "./flood.ts"
import type { Transition } from "./witness.ts"

export interface Notes {
  readonly calls: Array<Call>
  readonly attacks: Array<Attack>
  /** The answers to tokens that the API has not seen before. */
  readonly newcomers: Array<number>
  /** The answers to a token of the key that is withdrawn. */
  readonly withdrawn: Array<number>
  readonly transitions: Array<Transition>
}

export const makeNotes = (): Notes => ({ calls: [], attacks: [], newcomers: [], withdrawn: [], transitions: [] })
