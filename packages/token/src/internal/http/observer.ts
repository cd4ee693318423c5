import { Validator } from "../validation/validator.ts"
import type { RejectionObserver } from "./rejector.ts"

/** Observes rejections in the metrics of a validator. `undefined` for a validator that Keelson did not make, such as a mock. */
export const observerOf = (validator: object): RejectionObserver | undefined =>
  validator instanceof Validator
    ? {
      count: (name) => validator.countRequest(name),
      explain: () => ({})
    }
    : undefined
