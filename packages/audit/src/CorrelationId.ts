/**
 * The id that all logs, spans and audit entries of one request have in common: the header `X-Correlation-ID`.
 */
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"

/** The name of the header. */
export const header = "x-correlation-id"

/** The correlation id of the current request. `undefined` outside of one. */
export const CorrelationId: Context.Reference<string | undefined> = Context.Reference("@keelson/audit/CorrelationId", {
  defaultValue: (): string | undefined => undefined
})

/** Letters, digits and what ids consist of besides: none of it has a meaning in a log, a query or a shell. */
const safe = /^[A-Za-z0-9._~+=:@/-]{1,128}$/

/** A correlation id: a random UUID (version 4). */
export const make = (): string => SecureRandom.uuidV4Unsafe()

/**
 * The correlation id of a request: the value of its header if that is safe to repeat in logs and in the response, else a random
 * UUID. Safe is a value of 1 to 128 letters, digits and `._~+=:@/-`.
 *
 * **Example** (An id of the client)
 *
 * ```ts import.meta.vitest
 * import { CorrelationId } from "@keelson/audit"
 *
 * CorrelationId.fromHeader("order-4711") // => "order-4711"
 * CorrelationId.fromHeader("two\nlines").length // => 36
 * ```
 */
export const fromHeader = (value: string | undefined): string =>
  value !== undefined && safe.test(value) ? value : make()
