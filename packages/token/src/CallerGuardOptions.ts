/**
 * Options of a guard that acts for callers: where their tokens may be sent, and how many are kept. They come from code, a file or the
 * environment, and are checked.
 */
import * as Decoders from "@keelson/core/unstable/Decoders"
import * as Field from "@keelson/core/unstable/Field"
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import * as GuardOptions from "./GuardOptions.ts"

/** Options of a guard that acts for callers. All except `origins` are optional. */
export interface Options
  extends Pick<GuardOptions.Options, "acquisition" | "allowLocalhost" | "maxRedirects" | "origins" | "resilience">
{
  /**
   * How many callers' tokens are kept, for each scope and audience. A further one replaces the least recently used one, whose next
   * request exchanges its caller's token again. A token takes about 2 to 4 KiB. From 1 to 1000000. Default 10000.
   */
  readonly capacity?: number | undefined
  /**
   * Lifetime of a token whose response states none; it ends with the caller's own token at the latest. From 30 seconds to 24 hours.
   * Default 5 minutes.
   */
  readonly defaultLifetime?: Field.DurationInput | undefined
}

/** Checked options of a guard that acts for callers. */
export const CallerGuardOptions = Schema.Struct({
  ...Struct.pick(GuardOptions.GuardOptions.fields, [
    "acquisition",
    "allowLocalhost",
    "maxRedirects",
    "origins",
    "resilience"
  ]),
  capacity: Field.defaulted(Field.int(1, 1_000_000), 10_000),
  defaultLifetime: Field.defaulted(Field.duration("30 seconds", "24 hours"), Duration.minutes(5))
}).check(GuardOptions.areScopes)
export type CallerGuardOptions = typeof CallerGuardOptions.Type

const fromCode = Decoders.maker<Options, typeof CallerGuardOptions>(CallerGuardOptions)

/**
 * Checks options given in code. Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 *
 * **Example** (Default options)
 *
 * ```ts import.meta.vitest
 * import { CallerGuardOptions } from "@keelson/token"
 *
 * const options = CallerGuardOptions.make({ origins: ["https://billing.example/v1"] })
 *
 * options.capacity // => 10000
 * ```
 */
export const make: (options: Options) => CallerGuardOptions = fromCode
