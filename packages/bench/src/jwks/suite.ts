/** The measured groups of key sets. */
import { Effect, type Scope } from "effect"
import { type Figures, type Finding, merge } from "../figures.ts"
import { cold } from "./cold.ts"
import { simulatedDay } from "./dayFindings.ts"
import { load } from "./load.ts"
import { memory } from "./memory.ts"
import { warm } from "./warm.ts"

const only = <E>(findings: Effect.Effect<ReadonlyArray<Finding>, E>): Effect.Effect<Figures, E> =>
  Effect.map(findings, (found) => ({ comparisons: [], nanoseconds: [], findings: found }))

/** Runs in sequence, memory first, while the heap is small. Fails with a description of the problem. */
export const keySets: Effect.Effect<Figures, unknown, Scope.Scope> = Effect.map(
  Effect.all([only(memory), warm, cold, only(load), only(simulatedDay)]),
  merge
)
