import * as Effect from "effect/Effect"
import * as Random from "effect/Random"

/**
 * A seeded source of random numbers. Every part of a simulation has one under its own name, so that a change in one part, such
 * as another policy, does not change the numbers of the others.
 */
export const randomOf = (seed: number, name: string): Random.Random =>
  Effect.runSync(
    Effect.withFiber((fiber) => Effect.succeed(fiber.getRef(Random.Random))).pipe(
      Random.withSeed(`${seed} ${name}`)
    )
  )

/** A number from an exponential distribution with the mean 1. */
export const exponential = (random: { readonly nextDoubleUnsafe: () => number }): number =>
  -Math.log(1 - random.nextDoubleUnsafe())
