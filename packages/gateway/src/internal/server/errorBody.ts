import type * as ErrorCode from "@keelson/core/ErrorCode"
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Problem from "@keelson/core/Problem"
import * as SharedError from "@keelson/core/unstable/SharedError"

/** Why a request is answered by the gateway itself, with an error. */
export interface Refusal {
  readonly status: number
  /** The code of S3. */
  readonly s3: string
  readonly code: ErrorCode.ErrorCode
  /** For the client. It contains nothing of the request and nothing of the store. */
  readonly message: string
}

/** The form of errors of a bucket. */
export type ErrorForm = "s3" | "problem"

const refusal = (status: number, s3: string, code: ErrorCode.ErrorCode, message: string): Refusal =>
  Object.freeze({ status, s3, code, message })

/** All errors that the gateway itself answers with, but those of tokens. */
export const refusals = {
  targetInvalid: refusal(
    400,
    "InvalidURI",
    "GATEWAY_REQUEST_INVALID",
    "The request target is not a path of this gateway"
  ),
  queryUnsupported: refusal(400, "InvalidArgument", "GATEWAY_QUERY_REFUSED", "The query parameter is not supported"),
  requestInvalid: refusal(400, "InvalidRequest", "GATEWAY_REQUEST_INVALID", "The request is malformed"),
  addressDenied: refusal(403, "AccessDenied", "GATEWAY_ADDRESS_REJECTED", "The address of the client is not allowed"),
  storeDenied: refusal(403, "AccessDenied", "GATEWAY_STORE_DENIED", "The store denied access to the object"),
  bucketUnknown: refusal(404, "NoSuchBucket", "GATEWAY_BUCKET_NOT_FOUND", "The path belongs to no bucket"),
  objectMissing: refusal(404, "NoSuchKey", "GATEWAY_OBJECT_NOT_FOUND", "The object does not exist"),
  methodDenied: refusal(405, "MethodNotAllowed", "GATEWAY_METHOD_NOT_ALLOWED", "The bucket does not serve this method"),
  lengthMissing: refusal(411, "MissingContentLength", "GATEWAY_UPLOAD_UNSUPPORTED", "An upload needs a Content-Length"),
  preconditionFailed: refusal(412, "PreconditionFailed", "GATEWAY_PRECONDITION_FAILED", "A precondition does not hold"),
  rangeInvalid: refusal(416, "InvalidRange", "GATEWAY_RANGE_NOT_SATISFIABLE", "The range is not in the object"),
  rateLimited: refusal(429, "SlowDown", "GATEWAY_RATE_LIMITED", "Too many requests"),
  uploadEncoded: refusal(
    501,
    "NotImplemented",
    "GATEWAY_UPLOAD_UNSUPPORTED",
    "Uploads in the encoding aws-chunked are not supported: send the plain body with its length"
  ),
  storeBroken: refusal(502, "BadGateway", "GATEWAY_STORE_FAILED", "The store gave no valid response"),
  storeUnavailable: refusal(503, "ServiceUnavailable", "GATEWAY_STORE_UNAVAILABLE", "The store is unavailable"),
  draining: refusal(503, "ServiceUnavailable", "GATEWAY_STORE_UNAVAILABLE", "The gateway is ending"),
  storeUnreachable: refusal(504, "GatewayTimeout", "GATEWAY_STORE_UNREACHABLE", "The store could not be reached"),
  storeTimeout: refusal(504, "GatewayTimeout", "GATEWAY_STORE_TIMEOUT", "The store did not respond in time"),
  internal: refusal(500, "InternalError", "INTERNAL_ERROR", "The gateway failed")
} as const

const escapes: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  "\"": "&quot;",
  "'": "&apos;"
}

const escaped = (text: string): string => text.replaceAll(/[&<>"']/g, (one) => escapes[one] ?? "")

const problems = new WeakMap<Refusal, Problem.Body>()

/** Made once: a flood of refusals makes no errors. */
const problemOf = (self: Refusal): Problem.Body => {
  const existing = problems.get(self)
  if (existing !== undefined) return existing
  const error = SharedError.make(() => KeelsonError.make({ code: self.code, message: self.message }))
  const problem = { ...Problem.toProblemDetails(error), status: self.status }
  problems.set(self, problem)
  return problem
}

/** A body of an error, with its media type. */
export interface ErrorBody {
  readonly contentType: string
  readonly text: string
}

/** The body of a refusal: the XML of S3, or RFC 9457. */
export const errorBody = (self: Refusal, form: ErrorForm, correlationId: string): ErrorBody =>
  form === "problem"
    ? { contentType: "application/problem+json", text: JSON.stringify(problemOf(self)) }
    : {
      contentType: "application/xml",
      text: `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${self.s3}</Code><Message>${
        escaped(self.message)
      }</Message><RequestId>${escaped(correlationId)}</RequestId></Error>`
    }
