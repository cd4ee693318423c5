/** The measured groups of object caches. */
import { Effect, type Scope } from "effect"
import { type Figures, merge } from "../figures.ts"
import { step } from "../progress.ts"
import { disk } from "./disk.ts"
import { memory } from "./memory.ts"
import { peers } from "./peers.ts"

/** Runs in sequence. Fails with a description of the problem. */
export const caches: Effect.Effect<Figures, unknown, Scope.Scope> = Effect.map(
  Effect.all([
    step("cache: memory", memory),
    step("cache: disk", Effect.map(disk, (findings) => ({ comparisons: [], nanoseconds: [], findings }))),
    step("cache: beside cacache", peers)
  ]),
  merge
)
