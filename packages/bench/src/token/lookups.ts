/** Getting a token that is held, beside an effect that only succeeds. */
import { TokenProvider } from "@keelson/token"
import { Duration, Effect, Redacted, type Scope } from "effect"
import type { Loop } from "../contestant.ts"
import type { Figures } from "../figures.ts"
import { each, measure, spread } from "../measure.ts"

/** In one fiber, so that starting it is not measured. */
const inFiber = <A, E>(self: Effect.Effect<A, E>): Loop => (times) => {
  let left = times
  return Effect.runPromise(Effect.whileLoop({ while: () => left-- > 0, body: () => self, step: () => {} }))
}

const source = Effect.sync(() => ({ accessToken: Redacted.make("token"), expiresIn: Duration.hours(1) }))

/** The most that a lookup may take beyond the bare effect, in microseconds. */
const limit = 0.3

export const lookups: Effect.Effect<Figures, unknown, Scope.Scope> = Effect.gen(function*() {
  const provider = yield* TokenProvider.make({ name: "bench", source })
  const token = yield* provider.get
  const [held = [], bare = []] = yield* Effect.promise(() =>
    measure([inFiber(provider.get), inFiber(Effect.succeed(token))])
  )
  const { hits } = (yield* provider.status).counts
  if (hits === 0) return yield* Effect.fail("the provider did not answer from memory")
  return {
    comparisons: [],
    nanoseconds: [
      { what: "a token that is held", contestant: "Keelson", median: Math.round(spread(held).median) },
      { what: "a token that is held", contestant: "bare effect", median: Math.round(spread(bare).median) }
    ],
    findings: [{
      group: "tokens",
      what: "a lookup of a token that is held, beyond a bare effect",
      value: spread(each(held, bare, (a, b) => a - b)).median / 1000,
      unit: "µs",
      aim: { is: "at most", value: limit }
    }]
  }
})
