import { ErrorCode, KeelsonError, Problem } from "@keelson/core"
import { Duration, Predicate, Schema, SchemaTransformation } from "effect"
import { HttpServerResponse, ProblemDetails } from "effect/http"
import { HttpApiSchema } from "effect/http-api"

/** Any error with a code of the catalogue. */
export type Coded = KeelsonError.Coded<ErrorCode.ErrorCode>

/** Where the control plane's status differs from the catalogue's: the fault is the caller's, or the issuer's. */
const statuses: { readonly [Code in ErrorCode.ErrorCode]?: number } = { INVALID_CONFIG: 400, JWKS_UNAVAILABLE: 502 }

/** The HTTP status with which the control plane reports an error. */
const statusOf = ({ code }: Coded): number => statuses[code] ?? ErrorCode.codeInfo[code].status

/** RFC 9457 problem details, as they are written. */
const ProblemBody = Schema.Struct({
  /** Where the error is documented. */
  type: Schema.String,
  title: Schema.String,
  status: Schema.Int,
  detail: Schema.String,
  /** The id of the catalogue, as in `JWK-005`. */
  code: Schema.String,
  category: ErrorCode.Category,
  severity: ErrorCode.Severity,
  details: Schema.Record(Schema.String, Schema.Json)
}).annotate({ identifier: "Problem", description: "Problem details, RFC 9457" })
type ProblemBody = typeof ProblemBody.Type

const encode = (error: Coded): ProblemBody => {
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

const decode = ({ code, detail, details, severity }: ProblemBody): Coded =>
  KeelsonError.make({ code: ErrorCode.fromId(code) ?? "INTERNAL_ERROR", message: detail, details, severity })

/** Errors that are reported with one status: as problem details on the wire, as the error itself for who calls. */
export const problem = (status: number) =>
  ProblemBody.pipe(
    Schema.decodeTo(
      Schema.declare((u: unknown): u is Coded => u instanceof KeelsonError.Coded && statusOf(u) === status, {
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
  const seconds = Predicate.hasProperty(error, "retryAfter") && Duration.isDuration(error.retryAfter)
    ? Math.ceil(Duration.toSeconds(error.retryAfter))
    : 0
  return seconds > 0 ? HttpServerResponse.setHeader(response, "retry-after", String(seconds)) : response
}
