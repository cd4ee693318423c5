/** The measured groups of key sets. */
import { Effect, type Scope } from "effect"
import { type Figures, type Finding, merge } from "../figures.ts"
import { step } from "../progress.ts"
import { cold } from "./cold.ts"
import { simulatedDay } from "./dayFindings.ts"
import { load } from "./load.ts"
import { memory } from "./memory.ts"
import { warm } from "./warm.ts"

const only = <E>(findings: Effect.Effect<ReadonlyArray<Finding>, E>): Effect.Effect<Figures, E> =>
  Effect.map(findings, (found) => ({ comparisons: [], nanoseconds: [], findings: found }))

/** Runs in sequence, memory first, while the heap is small. Fails with a description of the problem. */
export const keySets: Effect.Effect<Figures, unknown, Scope.Scope> = Effect.map(
  Effect.all([
    step("jwks: memory", only(memory)),
    step("jwks: warm lookups", warm),
    step("jwks: cold lookups", cold),
    step("jwks: load", only(load)),
    step("jwks: simulated day", only(simulatedDay))
  ]),
  merge
)
