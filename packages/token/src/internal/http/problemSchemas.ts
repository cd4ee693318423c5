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

/** Problem details of one status, under a name of their own: schemas that differ by status alone would get numbers. */
const body = (status: number, name: string) =>
  Problem.Body.annotate({ identifier: `${name}Problem` }).pipe(
    HttpApiSchema.asJson({ contentType: ProblemDetails.contentType }),
    HttpApiSchema.status(status)
  )

/** Optional, since pages of another origin see no header that CORS does not expose. */
const challenged = {
  "www-authenticate": Schema.optionalKey(
    Schema.String.annotate({ description: "A challenge for a bearer token: RFC 6750, section 3" })
  ),
  "cache-control": Schema.optionalKey(Schema.String)
}

/** What an error's answer is made of, as for all others. */
const pairOf = (error: HttpSecurityError) => ({
  body: Problem.toProblemDetails(error),
  headers: error.headers
})

const unauthorizedCodes = ["TOKEN_MISSING", "TOKEN_EXPIRED"] as const

const Unauthorized401 = Schema.instanceOf(Unauthorized).pipe(HttpApiSchema.encodeToWithHeaders({
  body: body(401, "Unauthorized"),
  headers: challenged
}, {
  decode: ({ body: { code, detail }, headers }) =>
    new Unauthorized({
      code: unauthorizedCodes.find((one) => ErrorCode.codeInfo[one].id === code) ?? "UNAUTHORIZED",
      message: detail,
      challenge: headers["www-authenticate"] ?? ""
    }),
  encode: pairOf
})).annotate({ description: "There is no token, or it is not accepted" })

const Forbidden403 = Schema.instanceOf(Forbidden).pipe(HttpApiSchema.encodeToWithHeaders({
  body: body(403, "Forbidden"),
  headers: challenged
}, {
  decode: ({ body: { detail, details }, headers }) =>
    new Forbidden({
      message: detail,
      scopes: Array.isArray(details["scopes"]) ? details["scopes"].filter(Predicate.isString) : [],
      challenge: headers["www-authenticate"] ?? ""
    }),
  encode: pairOf
})).annotate({ description: "The caller may not do this" })

const InvalidRequest400 = Schema.instanceOf(InvalidRequest).pipe(HttpApiSchema.encodeToWithHeaders({
  body: body(400, "InvalidRequest"),
  headers: challenged
}, {
  decode: ({ body: { detail }, headers }) =>
    new InvalidRequest({
      code: "TOKEN_REQUEST_INVALID",
      message: detail,
      challenge: headers["www-authenticate"] ?? ""
    }),
  encode: pairOf
})).annotate({ description: "The token is sent in a way that is not allowed" })

/** Digits and nothing else: RFC 9110, 10.2.3. */
const secondsOf = (text: string | undefined): Duration.Duration =>
  Duration.seconds(text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : 0)

const Unavailable503 = Schema.instanceOf(Unavailable).pipe(HttpApiSchema.encodeToWithHeaders({
  body: body(503, "Unavailable"),
  headers: {
    "cache-control": Schema.optionalKey(Schema.String),
    "retry-after": Schema.optionalKey(Schema.String.annotate({ description: "Seconds until it may be tried again" }))
  }
}, {
  decode: ({ headers }) => new Unavailable({ retryAfter: secondsOf(headers["retry-after"]) }),
  encode: pairOf
})).annotate({ description: "Whether the token is good can't be told now" })

/** What a protected endpoint may fail with beside its own errors. */
export const errors = [InvalidRequest400, Unauthorized401, Forbidden403, Unavailable503] as const
