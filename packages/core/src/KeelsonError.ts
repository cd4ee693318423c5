/**
 * The five error classes with a catalogue code, one for each category.
 *
 * Message, details and cause are redacted when an error is made, so an error can be logged and shown.
 */
import * as Data from "effect/Data"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { type Category, codeInfo, type ErrorCode, fromId, type Severity } from "./ErrorCode.ts"
import type { catalogue } from "./internal/errors/catalogue.ts"
import { details as redactedDetails } from "./internal/errors/details.ts"
import { errorBody } from "./internal/errors/errorBody.ts"
import * as Problem from "./Problem.ts"
import * as Redaction from "./Redaction.ts"

export type { ErrorBody } from "./internal/errors/errorBody.ts"

/** The codes of one category. */
export type CodeOf<C extends Category> = {
  readonly [Code in ErrorCode]: (typeof catalogue)[Code]["category"] extends C ? Code : never
}[ErrorCode]

/** The options of an error. */
export interface Options<Code extends ErrorCode> {
  /** The name in the catalogue. Required. */
  readonly code: Code
  /** The message for people. Default: the description in the catalogue. */
  readonly message?: string | undefined
  /** Allowlisted facts for programs. Never a token, key or secret. Default none. */
  readonly details?: Readonly<Record<string, unknown>> | undefined
  /** The severity of this occurrence. Default: that of the catalogue. */
  readonly severity?: Severity | undefined
  /** The cause, kept as a redacted copy and never encoded. Default none. */
  readonly cause?: unknown
}

/**
 * The base of the five classes, and of errors of other packages, which have one code and their own `_tag`.
 */
export abstract class CodedError<Code extends ErrorCode> extends errorBody(
  Data.Error<{
    readonly code: ErrorCode
    readonly message: string
    readonly details: Problem.Details
    readonly severity: Severity
  }>
) {
  declare readonly code: Code
  constructor({ cause, code, details, message, severity }: Options<Code>) {
    super({
      code,
      message: Redaction.text(message ?? codeInfo[code].description),
      details: redactedDetails(details ?? {}),
      severity: severity ?? codeInfo[code].severity,
      ...(cause === undefined ? undefined : { cause: Redaction.error(cause) })
    })
  }
}

/** A configuration is missing, invalid or contradictory (`CFG-...`). */
export class ConfigurationError extends CodedError<CodeOf<"CONFIGURATION">> {
  readonly _tag = "ConfigurationError"
  override readonly name = "ConfigurationError"
}

/** A token could not be acquired, or was rejected (`TOK-...`). */
export class AuthenticationError extends CodedError<CodeOf<"AUTHENTICATION">> {
  readonly _tag = "AuthenticationError"
  override readonly name = "AuthenticationError"
}

/** A call over the network failed (`NET-...`). */
export class NetworkError extends CodedError<CodeOf<"NETWORK">> {
  readonly _tag = "NetworkError"
  override readonly name = "NetworkError"
}

/** The caller may not do this, or a service that the decision needs is unavailable (`AUTH-...`). */
export class AuthorizationError extends CodedError<CodeOf<"AUTHORIZATION">> {
  readonly _tag = "AuthorizationError"
  override readonly name = "AuthorizationError"
}

/** A failure inside Keelson or the application (`INT-...`). */
export class InternalError extends CodedError<CodeOf<"INTERNAL">> {
  readonly _tag = "InternalError"
  override readonly name = "InternalError"
}

/** Any of the five. */
export type KeelsonError =
  | ConfigurationError
  | AuthenticationError
  | NetworkError
  | AuthorizationError
  | InternalError

const isCategory = <C extends Category>(code: ErrorCode, category: C): code is CodeOf<C> =>
  codeInfo[code].category === category

/**
 * Makes an error of the class of its code.
 *
 * **Example** (An error with the status of its code)
 *
 * ```ts import.meta.vitest
 * import * as KeelsonError from "@keelson/core/KeelsonError"
 *
 * const error = KeelsonError.make({ code: "RATE_LIMITED", details: { server: "billing" } })
 * const facts = [error._tag, error.status, error.severity] // => ["NetworkError", 429, "WARNING"]
 * ```
 */
export const make = (options: Options<ErrorCode>): KeelsonError => {
  const { code, ...rest } = options
  if (isCategory(code, "CONFIGURATION")) return new ConfigurationError({ code, ...rest })
  if (isCategory(code, "AUTHENTICATION")) return new AuthenticationError({ code, ...rest })
  if (isCategory(code, "NETWORK")) return new NetworkError({ code, ...rest })
  if (isCategory(code, "AUTHORIZATION")) return new AuthorizationError({ code, ...rest })
  return new InternalError({ code, ...rest })
}

/** The error of an encoded form (`Problem.encode`), without its cause. */
export const fromProblem = (problem: Problem.Problem): KeelsonError =>
  make({
    code: fromId(problem.error_code) ?? "INTERNAL_ERROR",
    message: problem.message,
    details: problem.details,
    severity: problem.severity
  })

/** A schema of these errors with their encoded form, for an `HttpApi` or any other boundary. */
export const Codec = Problem.Problem.pipe(
  Schema.decodeTo(
    Schema.declare((u: unknown): u is KeelsonError => u instanceof CodedError, { expected: "a Keelson error" }),
    SchemaTransformation.transform({ decode: fromProblem, encode: (error) => Problem.encode(error) })
  )
)
