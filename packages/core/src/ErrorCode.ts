/**
 * The one catalogue of error codes, for every package of Keelson.
 *
 * An error carries the *name* (`TOKEN_EXPIRED`) as its `code`; the *id* (`TOK-002`) is what leaves the process: in
 * problem documents, logs and metric labels. Whether a code may be retried, and what a circuit breaker makes of it, is
 * written here and nowhere else.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import { ownCode, reasons } from "./internal/errors/carriedCode.ts"
import { catalogue } from "./internal/errors/catalogue.ts"
import { foreignCode } from "./internal/errors/foreignCode.ts"
import { findFirst } from "./unstable/CauseChain.ts"

/** What an error is about; a fixed set, safe as a metric label. */
export const Category = Schema.Literals(["CONFIGURATION", "AUTHENTICATION", "NETWORK", "AUTHORIZATION", "INTERNAL"])
export type Category = typeof Category.Type

/** How loud an error is by default; an error may override it for one occurrence. */
export const Severity = Schema.Literals(["INFO", "WARNING", "ERROR", "CRITICAL"])
export type Severity = typeof Severity.Type

/** What a circuit breaker records for a call that ended with the code. */
export type BreakerOutcome = "failure" | "success" | "ignored"

/** One entry of the catalogue. */
export interface CodeInfo {
  /** What leaves the process, as in `TOK-002`. Never reused. */
  readonly id: string
  readonly category: Category
  readonly severity: Severity
  /** The HTTP status of a response that reports the error. */
  readonly status: number
  /** Whether the same call may succeed when it is made again. */
  readonly retryable: boolean
  /** `failure` counts against the called service, `success` shows it healthy, `ignored` says nothing about it. */
  readonly breaker: BreakerOutcome
  readonly description: string
  /** What an operator can do: at least one step. */
  readonly troubleshooting: readonly [string, ...ReadonlyArray<string>]
}

/** A name of the catalogue. Closed: an unknown name does not compile. */
export type ErrorCode = keyof typeof catalogue

/** Every name, in the order of the catalogue. */
export const names: ReadonlyArray<ErrorCode> = Struct.keys(catalogue)

/** Schema of a name. */
export const ErrorCode = Schema.Literals(names)

/** Every entry, by name. Exhaustive by type. */
export const codeInfo: { readonly [Code in ErrorCode]: CodeInfo } = catalogue

const byId: ReadonlyMap<string, ErrorCode> = new Map(names.map((name) => [codeInfo[name].id, name]))

/** The name of an id such as `TOK-002`; `undefined` for an id that is not in the catalogue. */
export const fromId = (id: string): ErrorCode | undefined => byId.get(id)

/** Where an entry is documented, with its troubleshooting steps. */
export const documentationUrl = (code: ErrorCode): string =>
  `https://keelson.dev/docs/reference/error-codes#${codeInfo[code].id.toLowerCase()}`

/**
 * The `code` field of an error class: filled by `new`, kept when encoded.
 *
 * @example `class Expired extends Schema.TaggedError<Expired>()("Expired", { code: code("TOKEN_EXPIRED") }) {}`
 */
export const code = <const Code extends ErrorCode>(name: Code): Schema.tag<Code> => Schema.tag(name)

/**
 * The catalogue code of an unknown error: what it carries as `code`, itself or in its `reason`; else what it is by its
 * shape, for errors of Effect's `HttpClient`, of Node's sockets, name resolution and TLS; else `undefined`.
 */
export const codeOf = (error: unknown): ErrorCode | undefined =>
  // A getter or a proxy that throws tells nothing, and must not take the place of the error.
  Result.getOrUndefined(Result.try(() => findFirst(error, reasons, codeOfOne)))

const codeOfOne = (error: object): ErrorCode | undefined => ownCode(error) ?? foreignCode(error)

/** The code of an HTTP response by its status; `undefined` below 400. */
export { statusCode } from "./internal/errors/foreignCode.ts"
