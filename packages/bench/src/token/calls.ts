/** The measured groups of tokens for outgoing calls. */
import { Effect, References, type Scope } from "effect"
import { type Figures, merge } from "../figures.ts"
import { step } from "../progress.ts"
import { guarded } from "./guarded.ts"
import { simulatedHour } from "./hour.ts"
import { lookups } from "./lookups.ts"

/** Runs in sequence. Fails with a description of the problem. */
export const tokens: Effect.Effect<Figures, unknown, Scope.Scope> = Effect.map(
  Effect.all([
    step("tokens: lookups", lookups),
    step("tokens: guarded calls", guarded),
    step(
      "tokens: simulated hour",
      Effect.map(simulatedHour, (findings) => ({ comparisons: [], nanoseconds: [], findings }))
    )
  ]),
  merge
).pipe(Effect.provideService(References.MinimumLogLevel, "None"))
