/**
 * Constructors of the `ConfigurationError` with the code `INVALID_CONFIG`, for options that no schema checks.
 */
import { ConfigurationError } from "../KeelsonError.ts"

/** The optional parts of an error, in addition to its path and bound. */
export interface Extra {
  /** Replaces `Invalid configuration: <path> must be <expected>`. */
  readonly message?: string | undefined
  /** Facts besides `path` and `expected`. Never a value that was found, since it may be a secret. */
  readonly details?: Readonly<Record<string, unknown>> | undefined
  /** The cause, kept as a redacted copy. */
  readonly cause?: unknown
}

/**
 * An option is out of its bounds. The details name its `path` and what is `expected` there.
 *
 * **Example** (A bound that no schema checks)
 *
 * ```ts import.meta.vitest
 * import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
 *
 * InvalidConfig.option("ratio", "a number from 0 to 1").message // => "Invalid configuration: ratio must be a number from 0 to 1"
 * ```
 */
export const option = (path: string, expected: string, { cause, details, message }: Extra = {}): ConfigurationError =>
  new ConfigurationError({
    code: "INVALID_CONFIG",
    message: message ?? `Invalid configuration: ${path} must be ${expected}`,
    details: { path, expected, ...details },
    cause
  })

/** The `ConfigProvider` failed. */
export const unreadableSource = (cause: unknown): ConfigurationError =>
  new ConfigurationError({ code: "INVALID_CONFIG", message: "The configuration source could not be read", cause })
