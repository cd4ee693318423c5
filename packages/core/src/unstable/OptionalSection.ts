/**
 * Options of which every one may be left out: so may their whole section in the environment.
 */
import * as Effect from "effect/Effect"
import type { Path } from "../Configuration.ts"
import type { ConfigurationError } from "../KeelsonError.ts"

/** The decoders of the options. */
interface Decoders<A> {
  readonly decode: (input: unknown) => Effect.Effect<A, ConfigurationError>
  readonly config: (path: Path) => Effect.Effect<A, ConfigurationError>
}

/** Reads options from the environment. If nothing is set under the path, all have their defaults. */
export const config = <A>({ config, decode }: Decoders<A>) => (path: Path): Effect.Effect<A, ConfigurationError> =>
  Effect.catchIf(config(path), ({ code }) => code === "CONFIG_MISSING", () => decode({}))
