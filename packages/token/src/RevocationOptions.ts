/**
 * Options of the lists of revoked tokens.
 */
import * as Field from "@keelson/core/unstable/Field"
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"

/** The options of a list in memory. Every one may be left out. */
export interface MemoryOptions {
  /**
   * How far the issuer's clock may be ahead: revoking a subject also rejects tokens issued up to this long after the
   * revocation. At least the `clockTolerance` of the policies that use the list. From 0 millis to 5 minutes. Default 30
   * seconds.
   */
  readonly clockTolerance?: Field.DurationInput | undefined
  /** Upper bound of the entries in this process. From 1 to 10000000. Default 100000. */
  readonly maxEntries?: number | undefined
  /** Upper bound of the entries' estimated memory, in bytes. From 65536 to 1073741824. Default 67108864. */
  readonly maxBytes?: number | undefined
}

/** The options of a list in Redis, without its connection. Every one may be left out. */
export interface RedisOptions extends MemoryOptions {
  /**
   * The prefix of the list's keys. Processes with the same prefix share a list. From 0 to 128 characters without braces.
   * Default keelson:revoked:.
   */
  readonly prefix?: string | undefined
  /** How long to wait for a response of Redis. From 1 milli to 10 seconds. Default 200 millis. */
  readonly timeout?: Field.DurationInput | undefined
  /**
   * What a check does when Redis does not respond: `refuse` fails it, which is a 503; `local` only checks the revocations of
   * this process, so that tokens revoked elsewhere are accepted. Default refuse.
   */
  readonly onStoreFailure?: "refuse" | "local" | undefined
}

/**
 * Checked options of a list in memory.
 *
 * **Example** (Checked options)
 *
 * ```ts import.meta.vitest
 * import { Configuration } from "@keelson/core"
 * import { RevocationOptions } from "@keelson/token"
 * import { Effect } from "effect"
 *
 * const options = await Effect.runPromise(Configuration.decode(RevocationOptions.Memory)({ maxEntries: 1000 }))
 * options.maxBytes // => 67108864
 * ```
 */
export const Memory = Schema.Struct({
  clockTolerance: Field.defaulted(Field.duration("0 millis", "5 minutes"), Duration.seconds(30)),
  maxEntries: Field.defaulted(Field.int(1, 10_000_000), 100_000),
  maxBytes: Field.defaulted(Field.int(65_536, 1_073_741_824), 67_108_864)
})
export type Memory = typeof Memory.Type

/** Without braces: a Redis cluster assigns a key to a slot by its first part in braces, which must be that of the issuer. */
const Prefix = Schema.String.check(
  Schema.isPattern(/^[^{}]{0,128}$/, { expected: "text from 0 to 128 characters without braces" })
)

/** Checked options of a list in Redis. */
export const Redis = Schema.Struct({
  ...Memory.fields,
  prefix: Field.defaulted(Prefix, "keelson:revoked:"),
  timeout: Field.defaulted(Field.duration("1 millis", "10 seconds"), Duration.millis(200)),
  onStoreFailure: Field.defaulted(Schema.Literals(["refuse", "local"]), "refuse")
})
export type Redis = typeof Redis.Type
