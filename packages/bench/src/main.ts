/**
 * Compares Keelson with other libraries, in one process and in turns. `--json` writes the figures to `results.json` and their tables
 * to `docs/benchmarks.md`; `policies`, `jwks`, `validation` or `tokens` runs only that part and writes nothing.
 *
 * Fails only if a contestant behaves incorrectly. Slow times do not fail the run, since they depend on the machine.
 */
import { BreakerStore } from "@keelson/core"
import { Effect, Layer } from "effect"
import { CircuitBreaker } from "effect/persistence"
import { merge } from "./figures.ts"
import { keySets } from "./jwks/suite.ts"
import { comparisonTable, findingsTable, nanosecondsTable, write } from "./report.ts"
import { groups, problemsIn, run } from "./suite.ts"
import { tokens } from "./token/calls.ts"
import { validation } from "./token/suite.ts"

const policies = Effect.gen(function*() {
  const problems = (yield* Effect.forEach(groups, problemsIn)).flat()
  if (problems.length > 0) return yield* Effect.fail(problems.join("\n"))
  const results = yield* Effect.forEach(
    groups.flatMap((group) => group.workloads.map((workload) => ({ group, workload }))),
    ({ group, workload }) => run(group, workload)
  )
  return merge(results)
})

const parts = { policies, jwks: keySets, validation, tokens }
const chosen = Object.entries(parts).filter(([name]) => process.argv.includes(name))
// Key sets run first, since their memory must be measured in a fresh process.
const program = chosen.length === 0
  ? Effect.map(
    Effect.all([keySets, validation, policies, tokens]),
    ([ofKeySets, ofValidation, ofPolicies, ofTokens]) => merge([ofPolicies, ofKeySets, ofValidation, ofTokens])
  )
  : Effect.map(Effect.all(chosen.map(([, part]) => part)), merge)

const stores = Layer.merge(BreakerStore.layerMemory, CircuitBreaker.layerStoreMemory())

await Effect.runPromise(
  program.pipe(
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
        if (process.argv.includes("--json") && chosen.length === 0) write(figures)
      }
    })
  )
)
