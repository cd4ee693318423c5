/** What is recorded during a run. */
import type { Transition } from "./circuitLog.ts"
import type { Call } from "./client.ts"
import type { BadTokenCall } from "./flood.ts"

export interface Observations {
  readonly calls: Array<Call>
  readonly badTokenCalls: Array<BadTokenCall>
  /** Statuses for valid tokens that the API has not seen before, while the provider is down. */
  readonly unseenTokens: Array<number>
  /** Statuses for a token that was signed with the withdrawn key. */
  readonly withdrawnKey: Array<number>
  readonly transitions: Array<Transition>
}

export const makeObservations = (): Observations => ({
  calls: [],
  badTokenCalls: [],
  unseenTokens: [],
  withdrawnKey: [],
  transitions: []
})
