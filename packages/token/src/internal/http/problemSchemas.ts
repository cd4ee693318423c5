import * as ErrorCode from "@keelson/core/ErrorCode"
import * as Problem from "@keelson/core/Problem"
import * as Duration from "effect/Duration"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as ProblemDetails from "effect/http/ProblemDetails"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import {
  Forbidden,
  type HttpSecurityError,
  InvalidRequest,
  Unauthorized,
  Unavailable
} from "../../HttpSecurityError.ts"

/** Problem details of one status. Each has a name: schemas that differ by status alone would be numbered. */
const body = (status: number, name: string) =>
  Problem.Body.annotate({ identifier: `${name}Problem` }).pipe(
    HttpApiSchema.asJson({ contentType: ProblemDetails.contentType }),
    HttpApiSchema.status(status)
  )

/** Optional, since pages of another origin only see headers that CORS exposes. */
const challengeHeaders = {
  "www-authenticate": Schema.optionalKey(
    Schema.String.annotate({ description: "Challenges for a token: RFC 6750, section 3; RFC 9449, section 7.1" })
  ),
  "cache-control": Schema.optionalKey(Schema.String)
}

interface Encoded {
  readonly body: Problem.Body
  readonly headers: HttpSecurityError["headers"]
}

/** Encoded once for each error, since the callers of an API share its errors. */
const encoded = new WeakMap<HttpSecurityError, Encoded>()

/** The body and headers of an error's response. */
const encodeError = <E extends HttpSecurityError>(
  error: E
): { readonly body: Problem.Body; readonly headers: E["headers"] } => {
  const existing = encoded.get(error)
  if (existing !== undefined) return existing
  const pair = { body: Problem.toProblemDetails(error), headers: error.headers }
  encoded.set(error, pair)
  return pair
}

const unauthorizedCodes = [
  "TOKEN_MISSING",
  "TOKEN_EXPIRED",
  "DPOP_REQUIRED",
  "DPOP_INVALID",
  "DPOP_NONCE_REQUIRED"
] as const

const Unauthorized401 = Schema.instanceOf(Unauthorized).pipe(HttpApiSchema.encodeToWithHeaders({
  body: body(401, "Unauthorized"),
  headers: {
    ...challengeHeaders,
    "dpop-nonce": Schema.optionalKey(
      Schema.String.annotate({ description: "The nonce for the next DPoP proof: RFC 9449, section 9" })
    )
  }
}, {
  decode: ({ body: { code, detail }, headers }) =>
    new Unauthorized({
      code: unauthorizedCodes.find((one) => ErrorCode.codeInfo[one].id === code) ?? "UNAUTHORIZED",
      message: detail,
      challenge: headers["www-authenticate"] ?? "",
      nonce: headers["dpop-nonce"]
    }),
  encode: encodeError
})).annotate({ description: "The token is missing or not accepted" })

const Forbidden403 = Schema.instanceOf(Forbidden).pipe(HttpApiSchema.encodeToWithHeaders({
  body: body(403, "Forbidden"),
  headers: challengeHeaders
}, {
  decode: ({ body: { detail, details }, headers }) =>
    new Forbidden({
      message: detail,
      scopes: Array.isArray(details["scopes"]) ? details["scopes"].filter(Predicate.isString) : [],
      challenge: headers["www-authenticate"] ?? ""
    }),
  encode: encodeError
})).annotate({ description: "The caller is not allowed to do this" })

const InvalidRequest400 = Schema.instanceOf(InvalidRequest).pipe(HttpApiSchema.encodeToWithHeaders({
  body: body(400, "InvalidRequest"),
  headers: challengeHeaders
}, {
  decode: ({ body: { detail }, headers }) =>
    new InvalidRequest({
      code: "TOKEN_REQUEST_INVALID",
      message: detail,
      challenge: headers["www-authenticate"] ?? ""
    }),
  encode: encodeError
})).annotate({ description: "The token is sent in a way that is not allowed" })

/** Digits and nothing else: RFC 9110, 10.2.3. */
const secondsOf = (text: string | undefined): Duration.Duration =>
  Duration.seconds(text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : 0)

const Unavailable503 = Schema.instanceOf(Unavailable).pipe(HttpApiSchema.encodeToWithHeaders({
  body: body(503, "Unavailable"),
  headers: {
    "cache-control": Schema.optionalKey(Schema.String),
    "retry-after": Schema.optionalKey(Schema.String.annotate({ description: "Seconds to wait before retrying" }))
  }
}, {
  decode: ({ headers }) => new Unavailable({ retryAfter: secondsOf(headers["retry-after"]) }),
  encode: encodeError
})).annotate({ description: "The token cannot be validated now: keys or revocations are unavailable" })

/** The errors of a protected endpoint, in addition to its own. */
export const errors = [InvalidRequest400, Unauthorized401, Forbidden403, Unavailable503] as const
