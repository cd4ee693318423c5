/** Runs the chosen parts and prints their figures. */
import { BreakerStore } from "@keelson/core"
import { Effect, Layer } from "effect"
import { CircuitBreaker } from "effect/persistence"
import { caches } from "./cache/suite.ts"
import { idleCircuits } from "./circuits.ts"
import { merge } from "./figures.ts"
import { hedges } from "./hedges.ts"
import { keySets } from "./jwks/suite.ts"
import type { BenchOptions, PartName } from "./options.ts"
import { step } from "./progress.ts"
import { comparisonTable, findingsTable, nanosecondsTable, write } from "./report.ts"
import { simulations } from "./simulation.ts"
import { groups, problemsIn, run } from "./suite.ts"
import { bound } from "./token/bound.ts"
import { tokens } from "./token/calls.ts"
import { validation } from "./token/suite.ts"

const policies = Effect.gen(function*() {
  const problems = (yield* Effect.forEach(groups, problemsIn)).flat()
  if (problems.length > 0) return yield* Effect.fail(problems.join("\n"))
  const results = yield* Effect.forEach(
    groups.flatMap((group) => group.workloads.map((workload) => ({ group, workload }))),
    ({ group, workload }) => step(`policies: ${group.name}, ${workload.name}`, run(group, workload))
  )
  const hedged = yield* step("policies: hedge", hedges)
  const findings = yield* step("policies: idle circuits", idleCircuits)
  return merge([...results, hedged, { comparisons: [], nanoseconds: [], findings }])
})

const parts = { policies, jwks: keySets, validation, tokens, bound, cache: caches, simulation: simulations }

/** The order of the parts in the tables. */
const order: ReadonlyArray<PartName> = ["policies", "jwks", "validation", "tokens", "bound", "cache", "simulation"]

const stores = Layer.merge(BreakerStore.layerMemory, CircuitBreaker.layerStoreMemory())

export const bench = (options: BenchOptions): Promise<void> =>
  Effect.forEach(options.parts, (name) => Effect.map(parts[name], (figures) => ({ name, figures }))).pipe(
    Effect.map((all) =>
      merge(order.flatMap((name) => all.filter((part) => part.name === name).map(({ figures }) => figures)))
    ),
    Effect.scoped,
    Effect.provide(stores),
    Effect.match({
      onFailure: (problem) => {
        console.error(problem)
        process.exitCode = 1
      },
      onSuccess: (figures) => {
        console.log(`${comparisonTable(figures.comparisons)}\n\n${findingsTable(figures.findings)}`)
        console.log(`\nNanoseconds per call:\n${nanosecondsTable(figures.nanoseconds)}`)
        if (options.json) write(figures)
      }
    }),
    Effect.runPromise
  )
