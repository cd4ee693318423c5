/**
 * Options of the lists of what is revoked: checked data from code, a file or the environment.
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Field from "@keelson/core/unstable/Field"
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** Of the list that a process holds. */
const listFields = {
  /**
   * How far an issuer's clock may be ahead: a subject's tokens that were issued so long after its revocation, as they say,
   * count as issued before. Not less than that of the policies that ask the list. From 0 millis to 5 minutes. Default 30 seconds.
   */
  clockTolerance: Field.defaulted(Field.duration("0 millis", "5 minutes"), Duration.seconds(30)),
  /** The most entries that this process holds. From 1 to 10000000. Default 100000. */
  maxEntries: Field.defaulted(Field.int(1, 10_000_000), 100_000),
  /** The most bytes that they take, as estimated. From 65536 to 1073741824. Default 67108864. */
  maxBytes: Field.defaulted(Field.int(65_536, 1_073_741_824), 67_108_864)
}

/** Braces would say to a cluster which part of a key counts, and each issuer's keys say that for themselves. */
const Prefix = Schema.String.check(
  Schema.isPattern(/^[^{}]{0,128}$/, { expected: "text from 0 to 128 characters without braces" })
)

/** What a list in memory takes. */
export const MemoryOptions = Schema.Struct(listFields)
export type MemoryOptions = typeof MemoryOptions.Type

/** What a list in Redis takes, beside its connection. */
export const RedisOptions = Schema.Struct({
  ...listFields,
  /**
   * What the names of keys begin with: processes with the same prefix share their list. From 0 to 128 characters without
   * braces. Default keelson:revoked:.
   */
  prefix: Field.defaulted(Prefix, "keelson:revoked:"),
  /** How long a call to Redis may take. From 1 milli to 10 seconds. Default 200 millis. */
  timeout: Field.defaulted(Field.duration("1 millis", "10 seconds"), Duration.millis(200)),
  /**
   * What becomes of a check that Redis did not answer: `refuse` fails it, a 503, and `local` asks what was revoked in this
   * process alone, so that a token revoked elsewhere is let in. Default refuse.
   */
  onStoreFailure: Field.defaulted(Schema.Literals(["refuse", "local"]), "refuse")
})
export type RedisOptions = typeof RedisOptions.Type

/** Options as code gives them. Durations are `Duration` values or text with a unit. */
export type Partially<A> = {
  readonly [K in keyof A]?: (Duration.Duration extends A[K] ? Field.DurationInput : A[K]) | undefined
}

/** Options of a list in memory from a plain object. Fails with `ConfigurationError` (`INVALID_CONFIG`). */
export const decodeMemory: (input: unknown) => Effect.Effect<MemoryOptions, KeelsonError.ConfigurationError> =
  Configuration.decode(MemoryOptions)

/** Options of a list in Redis from a plain object. Fails with `ConfigurationError` (`INVALID_CONFIG`). */
export const decodeRedis: (input: unknown) => Effect.Effect<RedisOptions, KeelsonError.ConfigurationError> =
  Configuration.decode(RedisOptions)

/** Options of a list in memory from the environment, below a path; see `Configuration.fromEnvironment`. */
export const memoryConfig = (
  path: Configuration.Path
): Effect.Effect<MemoryOptions, KeelsonError.ConfigurationError> => Configuration.fromEnvironment(MemoryOptions, path)

/** Options of a list in Redis from the environment, below a path; see `Configuration.fromEnvironment`. */
export const redisConfig = (path: Configuration.Path): Effect.Effect<RedisOptions, KeelsonError.ConfigurationError> =>
  Configuration.fromEnvironment(RedisOptions, path)
