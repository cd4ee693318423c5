/**
 * Keelson beside its peers, in one process and in turns. `--json` writes the figures to `results.json` and their table
 * to `docs/benchmarks.md`.
 *
 * It fails only where a contestant does not do what it should: a time depends on the machine, and fails nothing.
 */
import { BreakerStore } from "@keelson/core"
import { Effect, Layer } from "effect"
import { CircuitBreaker } from "effect/persistence"
import { nanosecondsTable, table, write } from "./report.ts"
import { groups, problemsIn, run } from "./suite.ts"

const program = Effect.gen(function*() {
  const problems = (yield* Effect.forEach(groups, problemsIn)).flat()
  if (problems.length > 0) return yield* Effect.fail(problems)
  const found = yield* Effect.forEach(
    groups.flatMap((group) => group.workloads.map((workload) => ({ group, workload }))),
    ({ group, workload }) => run(group, workload)
  )
  return {
    comparisons: found.flatMap(({ comparisons }) => comparisons),
    nanoseconds: found.flatMap(({ nanoseconds }) => nanoseconds)
  }
})

const stores = Layer.merge(BreakerStore.layerMemory, CircuitBreaker.layerStoreMemory())

await Effect.runPromise(
  program.pipe(
    Effect.scoped,
    Effect.provide(stores),
    Effect.match({
      onFailure: (problems) => {
        for (const problem of problems) console.error(problem)
        process.exitCode = 1
      },
      onSuccess: (figures) => {
        console.log(`${table(figures.comparisons)}\n\nNanoseconds per call:\n${nanosecondsTable(figures.nanoseconds)}`)
        if (process.argv.includes("--json")) write(figures)
      }
    })
  )
)
