/**
 * The encoded forms of an error: the eight members that Keelson sends, and RFC 9457 problem details.
 */
import * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as ErrorCode from "./ErrorCode.ts"
import { carriedCode } from "./internal/errors/carriedCode.ts"
import { details } from "./internal/errors/details.ts"
import { Category, Severity } from "./internal/errors/labels.ts"
import * as Redaction from "./Redaction.ts"

/** The facts of an error for programs: redacted JSON. */
export type Details = { readonly [name: string]: Schema.Json }

/** The encoded form of an error, with exactly these eight members. */
export const Problem = Schema.Struct({
  /** The id, as in `TOK-002`. */
  error_code: Schema.String,
  category: Category,
  severity: Severity,
  message: Schema.String,
  details: Schema.Record(Schema.String, Schema.Json),
  troubleshooting: Schema.Array(Schema.String),
  documentation_url: Schema.String,
  http_status: Schema.Int
})
export type Problem = typeof Problem.Type

/** RFC 9457 problem details, for an `HttpApi` that declares them. */
export const Body = Schema.Struct({
  /** Where the error is documented. */
  type: Schema.String,
  title: Schema.String,
  status: Schema.Int,
  detail: Schema.String,
  instance: Schema.optionalKey(Schema.String),
  /** The id of the catalogue, as in `JWK-005`. */
  code: Schema.String,
  category: Category,
  severity: Severity,
  details: Schema.Record(Schema.String, Schema.Json)
}).annotate({ identifier: "Problem", description: "Problem details, RFC 9457" })
export type Body = typeof Body.Type

/** Reads a member; a throwing getter must not replace the error being reported. */
const read = <A>(member: () => A, otherwise: A): A => {
  try {
    return member()
  } catch {
    return otherwise
  }
}

const codedOf = (error: unknown): Error | undefined =>
  error instanceof Error && carriedCode(error) !== undefined ? error : undefined

const severityOf = (error: object, code: ErrorCode.ErrorCode): ErrorCode.Severity =>
  "severity" in error && Schema.is(Severity)(error.severity)
    ? error.severity
    : ErrorCode.codeInfo[code].severity

const detailsOf = (error: object): Details =>
  "details" in error && Predicate.isObject(error.details) ? details(error.details) : {}

/**
 * Encodes any error. An error without a catalogue code becomes `INT-001`.
 *
 * Message, details and severity are those of the error if it carries its code. An error of Node or of Effect's `HttpClient`,
 * which has no catalogue code as a field, shows the catalogue's description instead: its own message names hosts and URLs.
 *
 * **Example** (An error that must not show its host)
 *
 * ```ts import.meta.vitest
 * import * as Problem from "@keelson/core/Problem"
 *
 * const { error_code, http_status } = Problem.encode(Object.assign(new Error("10.0.0.7"), { code: "ECONNRESET" }))
 * const shown = [error_code, http_status] // => ["NET-002", 502]
 * ```
 */
export const encode = (error: unknown): Problem => {
  const code = ErrorCode.codeOf(error)
  const coded = read(() => codedOf(error), undefined)
  const name = code ?? "INTERNAL_ERROR"
  const info = ErrorCode.codeInfo[name]
  return {
    error_code: info.id,
    category: info.category,
    severity: coded === undefined ? info.severity : read(() => severityOf(coded, name), info.severity),
    message: coded === undefined ? info.description : read(() => Redaction.text(coded.message), info.description),
    details: coded === undefined ? {} : read(() => detailsOf(coded), {}),
    troubleshooting: [...info.troubleshooting],
    documentation_url: ErrorCode.documentationUrl(name),
    http_status: info.status
  }
}

/**
 * RFC 9457 problem details: `type` is the documentation URL, `title` the description, `detail` the message, and `code`,
 * `category`, `severity` and `details` are extension members. `instance` names the occurrence. `details` do not include the
 * history of a retry, which is for the logs of this process and not for its callers.
 *
 * @see RFC 9457, section 3
 */
export const toProblemDetails = (error: unknown, instance?: string): Body => {
  const problem = encode(error)
  const { attempts: _, ...outside } = problem.details
  return {
    type: problem.documentation_url,
    title: ErrorCode.codeInfo[ErrorCode.fromId(problem.error_code)!].description,
    status: problem.http_status,
    detail: problem.message,
    ...(instance === undefined ? undefined : { instance }),
    code: problem.error_code,
    category: problem.category,
    severity: problem.severity,
    details: outside
  }
}

/** The `retryAfter` of an error; zero without one. */
const retryAfterOf = (error: unknown): Duration.Duration =>
  Predicate.hasProperty(error, "retryAfter") && Duration.isDuration(error.retryAfter) ? error.retryAfter : Duration.zero

/** The `retryAfter` of an error in whole seconds, as the header has it; `undefined` without one. */
export const retryAfterSeconds = (error: unknown): number | undefined => {
  const seconds = Math.ceil(Duration.toSeconds(read(() => retryAfterOf(error), Duration.zero)))
  return seconds > 0 && Number.isFinite(seconds) ? seconds : undefined
}
