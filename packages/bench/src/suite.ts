/** The measured groups of policies, and their targets. */
import { Effect } from "effect"
import { breakers, opened } from "./breakers.ts"
import { bulkheads } from "./bulkheads.ts"
import { type Check, givesUp, interruptsHung, opens, passesThrough, problemsOf, recovers, rejects } from "./checks.ts"
import {
  asynchronous,
  type Contestant,
  failing,
  instant,
  makeLoop,
  type Services,
  shared,
  type Workload
} from "./contestant.ts"
import type { Figures, Measure } from "./figures.ts"
import { each, measure, spread, type Times } from "./measure.ts"
import { bareEffect, bareFunction, retries } from "./retries.ts"
import { allParts, wraps } from "./wraps.ts"

interface Group {
  readonly name: string
  readonly contestants: ReadonlyArray<Contestant>
  readonly checks: ReadonlyArray<Check>
  readonly workloads: ReadonlyArray<Workload>
  readonly measure: Measure
  /** Upper bounds of Keelson's figure as a share of another contestant's. */
  readonly targets?: Readonly<Record<string, number>>
}

export const groups: ReadonlyArray<Group> = [
  {
    name: "retry",
    contestants: retries(1),
    checks: [passesThrough, recovers, givesUp],
    workloads: [instant, asynchronous],
    measure: "added",
    targets: { Effect: 0.25 }
  },
  {
    name: "breaker",
    contestants: breakers,
    checks: [passesThrough, opens(1)],
    workloads: [instant, asynchronous],
    measure: "time",
    targets: { cockatiel: 4 }
  },
  {
    name: "bulkhead",
    contestants: bulkheads,
    checks: [passesThrough],
    workloads: [instant, asynchronous],
    measure: "time"
  },
  {
    name: "deadline > breaker > retry > timeout",
    contestants: wraps,
    checks: [passesThrough, recovers, givesUp, opens(shared.attempts), interruptsHung],
    workloads: [instant, asynchronous],
    measure: "time",
    targets: { cockatiel: 0.6 }
  },
  {
    name: "all parts on: bulkhead, limit and hedge too",
    contestants: allParts,
    checks: [passesThrough, recovers, givesUp, interruptsHung],
    workloads: [instant, asynchronous],
    measure: "time",
    targets: { cockatiel: 0.8 }
  },
  {
    name: "3 failing attempts without delay",
    contestants: retries(0),
    checks: [passesThrough, recovers, givesUp],
    workloads: [failing],
    measure: "time"
  },
  { name: "open circuit", contestants: opened, checks: [rejects], workloads: [failing], measure: "time" }
]

export const problemsIn = (group: Group): Effect.Effect<ReadonlyArray<string>, never, Services> =>
  Effect.map(
    Effect.forEach(group.contestants, (contestant) => problemsOf(contestant, group.checks)),
    (all) => all.flat().map((problem) => `${group.name}: ${problem}`)
  )

export const run = Effect.fnUntraced(function*(
  group: Group,
  workload: Workload
): Effect.fn.Return<Figures, never, Services> {
  const bare = group.measure === "added" ? [bareEffect, bareFunction] : []
  const contestants = [...group.contestants, ...bare]
  const loops = yield* Effect.forEach(contestants, (contestant) => makeLoop(contestant, workload))
  const found = yield* Effect.promise(() => measure(loops))
  const timesOf = new Map(contestants.map(({ name }, index) => [name, found[index] ?? []]))
  const figure = ({ kind, name }: Contestant): Times => {
    const times = timesOf.get(name) ?? []
    if (group.measure === "time") return times
    return each(times, timesOf.get((kind === "effect" ? bareEffect : bareFunction).name) ?? [], (a, b) => a - b)
  }
  const [keelson, ...others] = group.contestants
  return {
    comparisons: others.map((other) => ({
      group: group.name,
      workload: workload.name,
      measure: group.measure,
      other: other.name,
      ratio: spread(each(figure(keelson!), figure(other), (a, b) => a / b)),
      target: group.targets?.[other.name]
    })),
    nanoseconds: Array.from(timesOf, ([contestant, times]) => ({
      what: `${group.name}, ${workload.name}`,
      contestant,
      median: Math.round(spread(times).median)
    })),
    findings: []
  }
})
