/** Key sets: what is measured. */
import { Effect, type Scope } from "effect"
import { type Figures, type Finding, merge } from "../figures.ts"
import { cold } from "./cold.ts"
import { simulatedDay } from "./dayFindings.ts"
import { load } from "./load.ts"
import { memory } from "./memory.ts"
import { warm } from "./warm.ts"

const only = <E>(findings: Effect.Effect<ReadonlyArray<Finding>, E>): Effect.Effect<Figures, E> =>
  Effect.map(findings, (found) => ({ comparisons: [], nanoseconds: [], findings: found }))

/** One after the other, memory first: the heap is small and tidy then. Fails with what went wrong. */
export const keySets: Effect.Effect<Figures, unknown, Scope.Scope> = Effect.map(
  Effect.all([only(memory), warm, cold, only(load), only(simulatedDay)]),
  merge
)
