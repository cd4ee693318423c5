import * as ErrorCode from "@keelson/core/ErrorCode"
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Problem from "@keelson/core/Problem"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as ProblemDetails from "effect/http/ProblemDetails"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"

/** Any error with a code of the catalogue. */
export type Coded = KeelsonError.CodedError<ErrorCode.ErrorCode>

/** Where the control plane's status differs from the catalogue's: the fault is the caller's, or the issuer's. */
const statuses: { readonly [Code in ErrorCode.ErrorCode]?: number } = { INVALID_CONFIG: 400, JWKS_UNAVAILABLE: 502 }

/** The HTTP status with which the control plane reports an error. */
const statusOf = ({ code }: Coded): number => statuses[code] ?? ErrorCode.codeInfo[code].status

const encode = (error: Coded): Problem.Body => {
  const { category, details, error_code, message, severity } = Problem.encode(error)
  return {
    type: ErrorCode.documentationUrl(error.code),
    title: ErrorCode.codeInfo[error.code].description,
    status: statusOf(error),
    detail: message,
    code: error_code,
    category,
    severity,
    details
  }
}

const decode = ({ code, detail, details, severity }: Problem.Body): Coded =>
  KeelsonError.make({ code: ErrorCode.fromId(code) ?? "INTERNAL_ERROR", message: detail, details, severity })

/** Errors that are reported with one status: as problem details on the wire, as the error itself for who calls. */
export const problem = (status: number) =>
  Problem.Body.pipe(
    Schema.decodeTo(
      Schema.declare((u: unknown): u is Coded => u instanceof KeelsonError.CodedError && statusOf(u) === status, {
        expected: `an error of status ${status}`
      }),
      SchemaTransformation.transform({ decode, encode })
    ),
    HttpApiSchema.asJson({ contentType: ProblemDetails.contentType }),
    HttpApiSchema.status(status)
  )

/** The response that reports an error, with a `Retry-After` where the error says when to come back. */
export const respond = (error: Coded): HttpServerResponse.HttpServerResponse => {
  const response = ProblemDetails.toResponse(encode(error))
  const seconds = Problem.retryAfterSeconds(error)
  return seconds === undefined ? response : HttpServerResponse.setHeader(response, "retry-after", String(seconds))
}
