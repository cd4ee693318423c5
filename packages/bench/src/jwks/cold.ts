/** A thousand concurrent callers of an empty cache. */
import { Effect } from "effect"
import type { Figures } from "../figures.ts"
import { each, spread } from "../measure.ts"
import { cache, type Contestant, peers } from "./lookups.ts"
import { makeOrigin } from "./origin.ts"

const callers = 1000
const rounds = 15
const group = "cold, 1,000 callers at once"

/** Measures one round with a new origin and a new cache, so that no connection exists yet. */
const once = ({ make }: Contestant) =>
  Effect.scoped(Effect.gen(function*() {
    const origin = yield* makeOrigin
    const { find } = yield* make(origin)
    const began = performance.now()
    yield* Effect.forEach(Array.from({ length: callers }), find, { concurrency: "unbounded", discard: true })
    return { millis: performance.now() - began, fetches: origin.requests() }
  }))

export const cold: Effect.Effect<Figures, string> = Effect.gen(function*() {
  const contestants = [cache, ...peers].map((contestant) => ({
    contestant,
    millis: new Array<number>(),
    fetches: new Set<number>()
  }))
  // The first two rounds only warm up.
  for (let round = -2; round < rounds; round++) {
    const first = (round + 2) % contestants.length
    for (const entry of [...contestants.slice(first), ...contestants.slice(0, first)]) {
      const found = yield* Effect.mapError(
        once(entry.contestant),
        (error) => `${group}: ${entry.contestant.name}: ${String(error)}`
      )
      if (round < 0) continue
      entry.millis.push(found.millis)
      entry.fetches.add(found.fetches)
    }
  }
  const [own, ...others] = contestants
  return {
    comparisons: others.map(({ contestant, millis }) => ({
      group,
      measure: "time",
      other: contestant.name,
      ratio: spread(each(own?.millis ?? [], millis, (a, b) => a / b)),
      target: undefined
    })),
    nanoseconds: [],
    findings: contestants.flatMap(({ contestant: { name }, fetches, millis }) => [
      {
        group,
        what: `${name}: fetches`,
        value: Math.max(...fetches),
        unit: "",
        ...(name === cache.name ? { aim: { is: "exactly", value: 1 } } : undefined)
      },
      { group, what: `${name}: until all have the key`, value: spread(millis).median, unit: "ms" }
    ])
  }
})
