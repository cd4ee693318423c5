import * as Deadline from "@keelson/core/Deadline"
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as Config from "effect/Config"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { TokenResponse } from "../../TokenSource.ts"
import { checkEndpoint, expectedEndpoint, type Reach } from "./endpoint.ts"
import { unavailable, type WorkloadIdentityError } from "./workloadToken.ts"

/** Asks a platform for a token. */
export type Acquire = Effect.Effect<TokenResponse, WorkloadIdentityError>

/** A value of the environment; `undefined` if it is empty or missing. */
export const variable = (name: string): Effect.Effect<string | undefined, KeelsonError.ConfigurationError> =>
  Config.option(Config.String(name)).pipe(
    Effect.map((found) => Option.getOrUndefined(found) || undefined),
    Effect.mapError(InvalidConfig.unreadableSource)
  )

/** The error for a variable of the platform that is not set: the workload does not run there. */
export const missingVariable = (name: string): KeelsonError.AuthenticationError =>
  unavailable(`The environment variable ${name} is not set`, { reason: "environment", path: name })

/**
 * Several variables that a platform sets. Without one of them the source exists, and has no token: the workload runs
 * elsewhere.
 */
export const withVariables = <const Names extends ReadonlyArray<string>, A>(
  names: Names,
  use: (values: { readonly [K in Names[number]]: string }) => Effect.Effect<A, KeelsonError.ConfigurationError>
): Effect.Effect<A | Effect.Effect<never, KeelsonError.AuthenticationError>, KeelsonError.ConfigurationError> =>
  Effect.gen(function*() {
    const values: Record<string, string> = {}
    for (const name of names) {
      const value = yield* variable(name)
      if (value === undefined) return Effect.fail(missingVariable(name))
      values[name] = value
    }
    // oxlint-disable-next-line no-unsafe-type-assertion -- the loop sets each name
    return yield* use(values as { readonly [K in Names[number]]: string })
  })

/** The URL of a platform's endpoint. `name` is the variable or option that it comes from. */
export const endpointOf = (
  name: string,
  text: string,
  reach?: Reach
): Effect.Effect<URL, KeelsonError.ConfigurationError> => {
  const url = checkEndpoint(text, reach)
  return url === undefined ? Effect.fail(InvalidConfig.option(name, expectedEndpoint)) : Effect.succeed(url)
}

/** Ends an acquisition at its time limit, even if a file or a client cannot be interrupted. */
export const bounded = <A>(
  self: Effect.Effect<A, WorkloadIdentityError>,
  timeout: Duration.Duration
): Effect.Effect<A, WorkloadIdentityError> =>
  Deadline.within(self, timeout, { detach: true }).pipe(
    Effect.mapError((error) =>
      error instanceof Deadline.DeadlineExceeded
        ? new KeelsonError.NetworkError({ code: "TIMEOUT", details: error.details })
        : error
    )
  )
