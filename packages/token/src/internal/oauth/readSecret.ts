import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { Secret } from "../../ClientAuth.ts"
import { invalidKey } from "./importPrivateKey.ts"

/** The errors of reading a secret or a key: those of a source of Keelson, such as a `WorkloadIdentity`, or `KEY_INVALID`. */
export type SecretError = KeelsonError.ConfigurationError | KeelsonError.NetworkError | KeelsonError.AuthenticationError

/** Errors of Keelson contain no secrets, and say what failed and whether a retry may help. */
const isSecretError = (error: unknown): error is SecretError =>
  error instanceof KeelsonError.ConfigurationError || error instanceof KeelsonError.NetworkError ||
  error instanceof KeelsonError.AuthenticationError

/**
 * Applies `use` to the current value. Replaces any other error of the program's effect, which may contain secrets, and the
 * exception of a value that cannot be used.
 */
export const withCurrent = <A, B>(
  value: A | Effect.Effect<A, unknown>,
  path: string,
  expected: string,
  use: (value: A) => B
): Effect.Effect<B, SecretError> =>
  Effect.flatMap(
    Effect.isEffect(value)
      ? Effect.mapError(value, (error) => isSecretError(error) ? error : invalidKey(path, "readable"))
      : Effect.succeed(value),
    (current) => Effect.try({ try: () => use(current), catch: () => invalidKey(path, expected) })
  )

/** The current text of a secret that is sent in a request, without white space around it. Fails with `KEY_INVALID` if it is empty. */
export const readSecret = (
  secret: Secret,
  path: string
): Effect.Effect<Redacted.Redacted, SecretError> =>
  withCurrent(secret, path, "a Redacted text that is not empty", (current) => {
    const text = Redacted.value(current).trim()
    if (text === "") throw new TypeError("empty")
    return Redacted.make(text)
  })
