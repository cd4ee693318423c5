/** The measured groups of token validation. */
import { Effect, type Scope } from "effect"
import { type Figures, type Finding, merge } from "../figures.ts"
import { step } from "../progress.ts"
import { coldStart } from "./coldStart.ts"
import { memory } from "./memory.ts"
import { refusals } from "./refusals.ts"
import { rejections } from "./rejections.ts"
import { shares } from "./requests.ts"
import { cachedTokens, engines, onMainThread, verified } from "./verification.ts"

const only = <E, R>(findings: Effect.Effect<ReadonlyArray<Finding>, E, R>): Effect.Effect<Figures, E, R> =>
  Effect.map(findings, (found) => ({ comparisons: [], nanoseconds: [], findings: found }))

const started = Effect.map(coldStart, (comparisons): Figures => ({ comparisons, nanoseconds: [], findings: [] }))

/** Runs in sequence, memory first, while the heap is small. Fails with a description of the problem. */
export const validation: Effect.Effect<Figures, unknown, Scope.Scope> = Effect.map(
  Effect.all([
    step("validation: memory", only(memory)),
    step("validation: new tokens", verified),
    step("validation: engines", engines),
    step("validation: main thread", only(onMainThread)),
    step("validation: cached tokens", cachedTokens),
    step("validation: rejections", only(rejections)),
    step("validation: refusals", only(refusals)),
    step("validation: requests", only(shares)),
    step("validation: cold start", started)
  ]),
  merge
)
