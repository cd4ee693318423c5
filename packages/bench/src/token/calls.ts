/** Tokens for callers: what is measured. */
import { Effect, References, type Scope } from "effect"
import { type Figures, merge } from "../figures.ts"
import { guarded } from "./guarded.ts"
import { simulatedHour } from "./hour.ts"
import { lookups } from "./lookups.ts"

/** One after the other. Fails with what went wrong. */
export const tokens: Effect.Effect<Figures, unknown, Scope.Scope> = Effect.map(
  Effect.all([
    lookups,
    guarded,
    Effect.map(simulatedHour, (findings) => ({ comparisons: [], nanoseconds: [], findings }))
  ]),
  merge
).pipe(Effect.provideService(References.MinimumLogLevel, "None"))
