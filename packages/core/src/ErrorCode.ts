/**
 * The catalogue of error codes of all packages of Keelson.
 *
 * An error has the *name* (`TOKEN_EXPIRED`) as its `code`. Problem documents, logs and metric labels have the *id*
 * (`TOK-002`). The catalogue alone decides whether a code is retried and what a circuit breaker records for it.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import { watch } from "./internal/errors/cancellation.ts"
import { ownCode, reasons } from "./internal/errors/carriedCode.ts"
import { catalogue } from "./internal/errors/catalogue.ts"
import { foreignCode } from "./internal/errors/foreignCode.ts"
import type { Category, Severity } from "./internal/errors/labels.ts"
import { findFirst } from "./unstable/CauseChain.ts"

export type { Category, Severity } from "./internal/errors/labels.ts"

/** What a circuit breaker records for a call that ended with the code. */
export type BreakerOutcome = "failure" | "success" | "ignored"

/** One entry of the catalogue. */
export interface CodeInfo {
  /** The id outside the process, as in `TOK-002`. Never reused. */
  readonly id: string
  readonly category: Category
  readonly severity: Severity
  /** The HTTP status of a response that reports the error. */
  readonly status: number
  /** Whether the same call may succeed if it is repeated. */
  readonly retryable: boolean
  /** `failure`: the service is unhealthy; `success`: it is healthy; `ignored`: neither. */
  readonly breaker: BreakerOutcome
  readonly description: string
  /** What an operator can do, in at least one step. */
  readonly troubleshooting: readonly [string, ...ReadonlyArray<string>]
}

/** A name in the catalogue. An unknown name does not compile. */
export type ErrorCode = keyof typeof catalogue

const names: ReadonlyArray<ErrorCode> = Struct.keys(catalogue)

/** Schema of a name; `ErrorCode.literals` has all names in the order of the catalogue. */
export const ErrorCode = Schema.Literals(names)

/** All entries by name. Its type is exhaustive. */
export const codeInfo: { readonly [Code in ErrorCode]: CodeInfo } = catalogue

const byId: ReadonlyMap<string, ErrorCode> = new Map(names.map((name) => [codeInfo[name].id, name]))

/** The name of an id such as `TOK-002`; `undefined` if the catalogue has no such id. */
export const fromId = (id: string): ErrorCode | undefined => byId.get(id)

/** The URL of the documentation of a code, with its troubleshooting steps. */
export const documentationUrl = (code: ErrorCode): string =>
  `https://keelson.dev/docs/reference/error-codes#${codeInfo[code].id.toLowerCase()}`

/**
 * The `code` field of an error class: filled by `new`, kept when encoded.
 *
 * @example `class Expired extends Schema.TaggedError<Expired>()("Expired", { code: code("TOKEN_EXPIRED") }) {}`
 */
export const code = <const Code extends ErrorCode>(name: Code): Schema.tag<Code> => Schema.tag(name)

/**
 * The catalogue code of any error: its own `code`, or that of its `reason`. Errors of Effect's `HttpClient` and of Node's
 * sockets, name resolution and TLS get a code by their tag, name or system code. `undefined` for all others.
 *
 * **Example** (The code of an error of Node)
 *
 * ```ts import.meta.vitest
 * import * as ErrorCode from "@keelson/core/ErrorCode"
 *
 * const code = ErrorCode.codeOf(Object.assign(new Error("connect"), { code: "ECONNREFUSED" })) // => "NETWORK_ERROR"
 * ErrorCode.codeInfo.NETWORK_ERROR.retryable // => true
 * ```
 */
export const codeOf = (error: unknown): ErrorCode | undefined =>
  // A throwing getter or proxy must not replace the error.
  Result.getOrUndefined(Result.try(() => findFirst(error, reasons, codeOfOne)))

const codeOfOne = (error: object): ErrorCode | undefined => ownCode(error) ?? foreignCode(error)

/**
 * Makes the reason of a caller's signal a cancellation: its code is `CANCELLED` once the signal is aborted, so that it is
 * neither retried nor counted by a breaker. Returns the signal.
 *
 * `fetch` fails with the reason itself, which may be any value. A reason that is no object is not recognized, and that of
 * `AbortSignal.timeout` stays a `TIMEOUT`.
 *
 * **Example** (A call that its caller cancels)
 *
 * ```ts import.meta.vitest
 * import * as ErrorCode from "@keelson/core/ErrorCode"
 * import * as Effect from "effect/Effect"
 *
 * class Navigated extends Error {}
 *
 * const controller = new AbortController()
 * const signal = ErrorCode.cancelledBy(controller.signal)
 * controller.abort(new Navigated())
 *
 * const call = Effect.tryPromise(() => fetch("https://billing.example/", { signal }))
 * const error = await Effect.runPromise(Effect.flip(call))
 * ErrorCode.codeOf(error) // => "CANCELLED"
 * ```
 */
export const cancelledBy = (signal: AbortSignal): AbortSignal => {
  watch(signal)
  return signal
}

/** The code of an HTTP status; `undefined` below 400. */
export { statusCode } from "./internal/errors/foreignCode.ts"
