/** Sends bad tokens to the API, in addition to the client's calls. */
import { Effect } from "effect"
import { HttpClient } from "effect/http"
import { kinds, type Material } from "./forge.ts"
import { type RunClock, sleepUntil } from "./runClock.ts"

/** A call with a bad token, and the status of its response. */
export interface BadTokenCall {
  readonly kind: string
  readonly status: number
}

/** How many tokens of each kind are sent. */
const rounds = 40

/** The share of the phase in which they are sent; the rest is a reserve for slow machines. */
const share = 0.8

/** The status of a call with a token; 0 without a response. */
export const callWithToken = Effect.fnUntraced(function*(api: string, token: string) {
  const client = yield* HttpClient.HttpClient
  const response = yield* client.get(`${api}/orders`, { headers: { authorization: `Bearer ${token}` } })
  yield* response.text
  return response.status
}, Effect.orElseSucceed(() => 0))

/** Sends one token of each kind in each round, with the rounds spread evenly over the phase. */
export const flood = Effect.fnUntraced(function*(
  api: string,
  material: Material,
  clock: RunClock,
  { from, until }: { readonly from: number; readonly until: number },
  calls: Array<BadTokenCall>
) {
  const send = Effect.fnUntraced(function*([kind, forge]: readonly [string, (typeof kinds)[string]]) {
    const token = yield* Effect.promise(async () => forge(material))
    calls.push({ kind, status: yield* callWithToken(api, token) })
  })
  for (let round = 0; round < rounds; round++) {
    yield* sleepUntil(clock, from + (share * (until - from) * round) / rounds)
    yield* Effect.forEach(Object.entries(kinds), send, { concurrency: "unbounded", discard: true })
  }
})
