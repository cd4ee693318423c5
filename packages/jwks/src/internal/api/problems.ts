import * as ErrorCode from "@keelson/core/ErrorCode"
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Problem from "@keelson/core/Problem"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as ProblemDetails from "effect/http/ProblemDetails"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"

/** Any error with a code from the catalogue. */
export type Coded = KeelsonError.CodedError<ErrorCode.ErrorCode>

/** Statuses that differ from the catalogue, since the caller or the issuer caused the error. */
const statuses: { readonly [Code in ErrorCode.ErrorCode]?: number } = { INVALID_CONFIG: 400, JWKS_UNAVAILABLE: 502 }

/** Returns the HTTP status that the control plane reports for an error. */
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

/** The schema of errors that share one status: encoded as problem details, decoded as the error for the caller. */
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

/** Returns the response for an error, with `Retry-After` if the error contains a retry delay. */
export const respond = (error: Coded): HttpServerResponse.HttpServerResponse => {
  const response = ProblemDetails.toResponse(encode(error))
  const seconds = Problem.retryAfterSeconds(error)
  return seconds === undefined ? response : HttpServerResponse.setHeader(response, "retry-after", String(seconds))
}
