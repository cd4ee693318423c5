import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** Refuses headers without a list of the hosts that receive them. */
export const areHeadersLimited = Schema.makeFilter(
  (o: { readonly allowedHosts: ReadonlyArray<string>; readonly headers: Readonly<Record<string, unknown>> }) =>
    Object.keys(o.headers).length === 0 || o.allowedHosts.length > 0 ||
    { path: ["allowedHosts"], issue: "at least one host beside headers, since each of these hosts receives them" }
)

/** Uses other options if no variable is set below the path of the environment. */
export const orDefaults = <A>(
  config: Effect.Effect<A, KeelsonError.ConfigurationError>,
  defaults: Effect.Effect<A, KeelsonError.ConfigurationError>
): Effect.Effect<A, KeelsonError.ConfigurationError> =>
  Effect.catch(config, (error) => error.code === "CONFIG_MISSING" ? defaults : Effect.fail(error))
