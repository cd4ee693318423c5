/** Sends bad tokens to the API, beside its callers. */
import { Effect } from "effect"
import { HttpClient } from "effect/http"
import { kinds, type Material } from "./forge.ts"
import { type Stage, until } from "./stage.ts"

/** One bad token, and what the API answered. */
export interface Attack {
  readonly kind: string
  readonly status: number
}

/** How many of each kind. */
const rounds = 40

/** The part of the time in which they are sent; the rest is for slow machines. */
const share = 0.8

/** The status of a request with a token; 0 where there is no answer. */
export const present = Effect.fnUntraced(function*(api: string, token: string) {
  const client = yield* HttpClient.HttpClient
  const response = yield* client.get(`${api}/orders`, { headers: { authorization: `Bearer ${token}` } })
  yield* response.text
  return response.status
}, Effect.orElseSucceed(() => 0))

/** Sends as many rounds as there are, one token of each kind in each, evenly over the time from one moment to another. */
export const flood = Effect.fnUntraced(function*(
  api: string,
  material: Material,
  stage: Stage,
  { from, until: end }: { readonly from: number; readonly until: number },
  attacks: Array<Attack>
) {
  const attack = Effect.fnUntraced(function*([kind, forge]: readonly [string, (typeof kinds)[string]]) {
    const token = yield* Effect.promise(async () => forge(material))
    attacks.push({ kind, status: yield* present(api, token) })
  })
  for (let round = 0; round < rounds; round++) {
    yield* until(stage, from + (share * (end - from) * round) / rounds)
    yield* Effect.forEach(Object.entries(kinds), attack, { concurrency: "unbounded", discard: true })
  }
})
