/** A steady pool: so many validations are under way at all times, of one token after another. */
import { Effect } from "effect"
import type { Loop } from "../contestant.ts"
import type { Validator } from "./validators.ts"

const width = 64

/** What a validation has to end with. */
export type Expected = "accepted" | "refused"

/** One token after another, over and over, going on where it was. */
const cycle = (tokens: ReadonlyArray<string>): () => string => {
  let at = 0
  return () => tokens[at++ % tokens.length] ?? ""
}

/** Validates so many tokens, and throws unless each ended as expected. */
export const poolOf = (validator: Validator, tokens: ReadonlyArray<string>, expected: Expected): Loop => {
  const next = cycle(tokens)
  return async (times) => {
    const accepted = await run(validator, next, times)
    const wanted = expected === "accepted" ? times : 0
    if (accepted !== wanted) throw new Error(`${accepted} of ${times} tokens accepted, and not ${wanted}`)
  }
}

/** How many were accepted. What answers at once can have no two under way. */
const run = (validator: Validator, next: () => string, times: number): Promise<number> | number => {
  switch (validator.kind) {
    case "effect":
      return effects(validator.validate, next, times)
    case "promise":
      return promises(validator.validate, next, times)
    case "sync":
      return atOnce(validator.validate, next, times)
  }
}

const effects = (
  validate: (token: string) => Effect.Effect<unknown, unknown>,
  next: () => string,
  times: number
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
  times: number
): Promise<number> => {
  let left = times
  let accepted = 0
  const worker = async () => {
    while (left-- > 0) {
      try {
        // oxlint-disable-next-line eslint/no-await-in-loop -- the next begins when this one ends
        await validate(next())
        accepted++
      } catch {
        // A refusal is counted by not being counted.
      }
    }
  }
  await Promise.all(Array.from({ length: width }, worker))
  return accepted
}

const atOnce = (validate: (token: string) => unknown, next: () => string, times: number): number => {
  let accepted = 0
  for (let i = 0; i < times; i++) {
    try {
      validate(next())
      accepted++
    } catch {
      // As above.
    }
  }
  return accepted
}

/** Whether one token is accepted. */
export const accepts = (validator: Validator, token: string): Effect.Effect<boolean> =>
  Effect.promise(async () => await run(validator, () => token, 1) === 1)
