/** Validates tokens in turn, with a constant number of concurrent validations. */
import { Effect } from "effect"
import type { Loop } from "../contestant.ts"
import type { Validator } from "./validators.ts"

/** How many validations run at once, unless said otherwise. */
const usualWidth = 64

/** The expected outcome of a validation. */
export type Expected = "accepted" | "rejected"

/** Returns the tokens in turn, repeatedly. */
const cycle = (tokens: ReadonlyArray<string>): () => string => {
  let at = 0
  return () => tokens[at++ % tokens.length] ?? ""
}

/** Validates `times` tokens and throws unless every outcome is the expected one. */
export const poolOf = (
  validator: Validator,
  tokens: ReadonlyArray<string>,
  expected: Expected,
  width: number = usualWidth
): Loop => {
  const next = cycle(tokens)
  return async (times) => {
    const accepted = await run(validator, next, times, width)
    const wanted = expected === "accepted" ? times : 0
    if (accepted !== wanted) throw new Error(`${accepted} of ${times} tokens accepted instead of ${wanted}`)
  }
}

/** Returns the number of accepted tokens. A synchronous validator never runs two validations at once. */
const run = (validator: Validator, next: () => string, times: number, width: number): Promise<number> | number => {
  switch (validator.kind) {
    case "effect":
      return effects(validator.validate, next, times, width)
    case "promise":
      return promises(validator.validate, next, times, width)
    case "sync":
      return synchronous(validator.validate, next, times)
  }
}

const effects = (
  validate: (token: string) => Effect.Effect<unknown, unknown>,
  next: () => string,
  times: number,
  width: number
): Promise<number> => {
  let left = times
  let accepted = 0
  const body = () => Effect.match(validate(next()), { onFailure: () => 0, onSuccess: () => 1 })
  const worker = Effect.whileLoop({ while: () => left-- > 0, body, step: (one) => void (accepted += one) })
  return Effect.runPromise(Effect.map(
    Effect.all(Array.from({ length: width }, () => worker), { concurrency: "unbounded", discard: true }),
    () => accepted
  ))
}

const promises = async (
  validate: (token: string) => Promise<unknown>,
  next: () => string,
  times: number,
  width: number
): Promise<number> => {
  let left = times
  let accepted = 0
  const worker = async () => {
    while (left-- > 0) {
      try {
        // oxlint-disable-next-line eslint/no-await-in-loop -- each worker validates in sequence
        await validate(next())
        accepted++
      } catch {
        // Rejected tokens are not counted.
      }
    }
  }
  await Promise.all(Array.from({ length: width }, worker))
  return accepted
}

const synchronous = (validate: (token: string) => unknown, next: () => string, times: number): number => {
  let accepted = 0
  for (let i = 0; i < times; i++) {
    try {
      validate(next())
      accepted++
    } catch {
      // Rejected tokens are not counted.
    }
  }
  return accepted
}

/** Whether one token is accepted. */
export const accepts = (validator: Validator, token: string): Effect.Effect<boolean> =>
  Effect.promise(async () => await run(validator, () => token, 1, 1) === 1)
