/** Lookups of a cached key. */
import { Effect, type Scope } from "effect"
import type { Loop } from "../contestant.ts"
import type { Comparison, Figures } from "../figures.ts"
import { each, measure, spread } from "../measure.ts"
import { type Contestant, keelson, type Lookup, peers } from "./lookups.ts"
import { makeOrigin } from "./origin.ts"

/** A loop of warm lookups. */
interface Entrant {
  readonly name: string
  readonly loop: Loop
}

/** Runs in one fiber, so that starting fibers is not measured. */
const inFiber = (find: Lookup["find"]): Loop => (times) => {
  let left = times
  return Effect.runPromise(Effect.whileLoop({ while: () => left-- > 0, body: find, step: () => {} }))
}

const awaited = (find: () => Promise<unknown>): Loop => async (times) => {
  // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
  for (let i = 0; i < times; i++) await find()
}

/** Returns a lookup after checking that it finds the right key three times with one request. */
const warmedUp = Effect.fnUntraced(function*(
  { make, name }: Contestant
): Effect.fn.Return<Lookup, string, Scope.Scope> {
  const origin = yield* makeOrigin
  const lookup = yield* make(origin)
  for (let i = 0; i < 3; i++) {
    const isRight = yield* Effect.mapError(lookup.isRight, (error) => `${name}: ${String(error)}`)
    if (!isRight) return yield* Effect.fail(`${name}: another key`)
  }
  const requests = origin.requests()
  return requests === 1 ? lookup : yield* Effect.fail(`${name}: ${requests} requests for one key`)
})

/** Upper bound of Keelson's time as a share of another library's, both in a fiber. */
const target = 0.5

/** Other libraries take part twice: in a fiber, and as a bare promise. */
const entrantsOf = (name: string, { bare, find }: Lookup): ReadonlyArray<Entrant> => [
  { name, loop: inFiber(find) },
  ...(bare === undefined ? [] : [{ name: `${name}, promise`, loop: awaited(bare) }])
]

/** Compares all of Keelson's lookups with the others in a fiber, and the first one with the bare promises. */
export const warm: Effect.Effect<Figures, string, Scope.Scope> = Effect.gen(function*() {
  const entrants = (yield* Effect.forEach(
    [...keelson, ...peers],
    (contestant) => Effect.map(warmedUp(contestant), (lookup) => entrantsOf(contestant.name, lookup))
  )).flat()
  const times = yield* Effect.promise(() => measure(entrants.map(({ loop }) => loop)))
  const timesOf = new Map(entrants.map(({ name }, index) => [name, times[index] ?? []]))
  const beside = (own: string, other: string, limit: number | undefined): Comparison => ({
    group: `warm lookup, ${own}`,
    measure: "time",
    other,
    ratio: spread(each(timesOf.get(own) ?? [], timesOf.get(other) ?? [], (a, b) => a / b)),
    target: limit
  })
  const [cache] = keelson
  return {
    comparisons: [
      ...keelson.flatMap((own) => peers.map((peer) => beside(own.name, peer.name, target))),
      ...peers.map((peer) => beside(cache?.name ?? "", `${peer.name}, promise`, undefined))
    ],
    nanoseconds: Array.from(timesOf, ([contestant, found]) => ({
      what: "warm lookup",
      contestant,
      median: Math.round(spread(found).median)
    })),
    findings: []
  }
})
