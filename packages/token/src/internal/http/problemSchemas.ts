import { ErrorCode, Problem } from "@keelson/core"
import { Duration, Schema } from "effect"
import { ProblemDetails } from "effect/http"
import { HttpApiSchema } from "effect/http-api"
import { Forbidden, InvalidRequest, Unauthorized, Unavailable } from "../../HttpSecurityError.ts"

/** Problem details of one status, for the document of the API and on the wire. */
const body = <const Status extends number>(status: Status, description: string) =>
  Problem.Body.annotate({ identifier: `Problem${status}`, description }).pipe(
    HttpApiSchema.asJson({ contentType: ProblemDetails.contentType }),
    HttpApiSchema.status(status)
  )

const noStore = { "cache-control": "no-store" }

const challenged = {
  "www-authenticate": Schema.String.annotate({ description: "A challenge for a bearer token: RFC 6750, section 3" }),
  "cache-control": Schema.String
}

/** What an error's answer has in common with all others. */
const pairOf = (error: Unauthorized | Forbidden | InvalidRequest) => ({
  body: Problem.toProblemDetails(error),
  headers: { "www-authenticate": error.challenge, ...noStore }
})

const unauthorizedCodes = ["TOKEN_MISSING", "TOKEN_EXPIRED"] as const

const Unauthorized401 = Schema.instanceOf(Unauthorized).pipe(HttpApiSchema.encodeToWithHeaders({
  body: body(401, "There is no token, or it is not accepted"),
  headers: challenged
}, {
  decode: ({ body: { code, detail }, headers }) =>
    new Unauthorized({
      code: unauthorizedCodes.find((one) => ErrorCode.codeInfo[one].id === code) ?? "UNAUTHORIZED",
      message: detail,
      challenge: headers["www-authenticate"]
    }),
  encode: pairOf
}))

const Forbidden403 = Schema.instanceOf(Forbidden).pipe(HttpApiSchema.encodeToWithHeaders({
  body: body(403, "The caller may not do this"),
  headers: challenged
}, {
  decode: ({ body: { detail, details }, headers }) =>
    new Forbidden({
      message: detail,
      scopes: Array.isArray(details["scopes"]) ? details["scopes"].map(String) : [],
      challenge: headers["www-authenticate"]
    }),
  encode: pairOf
}))

const InvalidRequest400 = Schema.instanceOf(InvalidRequest).pipe(HttpApiSchema.encodeToWithHeaders({
  body: body(400, "The token is sent in a way that is not allowed"),
  headers: challenged
}, {
  decode: ({ body: { detail }, headers }) =>
    new InvalidRequest({ code: "TOKEN_REQUEST_INVALID", message: detail, challenge: headers["www-authenticate"] }),
  encode: pairOf
}))

/** Digits and nothing else: RFC 9110, 10.2.3. */
const secondsOf = (text: string | undefined): Duration.Duration =>
  Duration.seconds(text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : 0)

const Unavailable503 = Schema.instanceOf(Unavailable).pipe(HttpApiSchema.encodeToWithHeaders({
  body: body(503, "Whether the token is good can't be told now"),
  headers: {
    "cache-control": Schema.String,
    "retry-after": Schema.optionalKey(Schema.String.annotate({ description: "Seconds until it may be tried again" }))
  }
}, {
  decode: ({ headers }) => new Unavailable({ retryAfter: secondsOf(headers["retry-after"]) }),
  encode: (error) => {
    const seconds = Problem.retryAfterSeconds(error)
    return {
      body: Problem.toProblemDetails(error),
      headers: seconds === undefined ? noStore : { ...noStore, "retry-after": String(seconds) }
    }
  }
}))

/** What a protected endpoint may fail with beside its own errors. */
export const errors = [InvalidRequest400, Unauthorized401, Forbidden403, Unavailable503] as const
