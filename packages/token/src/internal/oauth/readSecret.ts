import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { Secret } from "../../ClientAuth.ts"
import { invalidKey } from "./importPrivateKey.ts"

/**
 * Applies `use` to the current value. Drops the error of the program's effect, which may contain secrets, and the exception of
 * a value that cannot be used.
 */
export const withCurrent = <A, B>(
  value: A | Effect.Effect<A, unknown>,
  path: string,
  expected: string,
  use: (value: A) => B
): Effect.Effect<B, KeelsonError.ConfigurationError> =>
  Effect.flatMap(
    Effect.isEffect(value) ? Effect.mapError(value, () => invalidKey(path, "readable")) : Effect.succeed(value),
    (current) => Effect.try({ try: () => use(current), catch: () => invalidKey(path, expected) })
  )

/** The current text of a secret that is sent in a request, without white space around it. Fails with `KEY_INVALID` if it is empty. */
export const readSecret = (
  secret: Secret,
  path: string
): Effect.Effect<Redacted.Redacted, KeelsonError.ConfigurationError> =>
  withCurrent(secret, path, "a Redacted text that is not empty", (current) => {
    const text = Redacted.value(current).trim()
    if (text === "") throw new TypeError("empty")
    return Redacted.make(text)
  })
