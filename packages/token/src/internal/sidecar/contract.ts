import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as HttpApiSecurity from "effect/http-api/HttpApiSecurity"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import { ServerName } from "../guard/serverScopes.ts"

const identified = <S extends Schema.Top>(identifier: string, schema: S): S["Rebuild"] =>
  schema.annotate({ identifier })

/** Why a request is rejected before it is handled. */
const refusal = <const Code extends string>(status: number, code: Code) =>
  Schema.Struct({ errorCode: Schema.Literal(code), message: Schema.String })
    .pipe(Schema.encodeKeys({ errorCode: "error_code" }))
    .pipe(Schema.annotateEncoded({ identifier: `Refused_${code}` }))
    .pipe(HttpApiSchema.status(status))

const InvalidRequest = refusal(400, "invalid_request")
const Unauthenticated = refusal(401, "unauthenticated")
const Forbidden = refusal(403, "forbidden")
const UnknownServer = refusal(404, "unknown_server")

/** Allows callers on this machine that have the secret. */
export class CallerCheck extends HttpApiMiddleware.Service<CallerCheck>()("@keelson/token/TokenSidecar/CallerCheck", {
  error: [Unauthenticated, Forbidden],
  security: { secret: HttpApiSecurity.bearer }
}) {}

/** Answers a request that does not match the API schema. */
export class SchemaErrors
  extends HttpApiMiddleware.Service<SchemaErrors>()("@keelson/token/TokenSidecar/SchemaErrors", {
    error: InvalidRequest
  })
{}

/** Another scope or audience than that of the server's options. */
const grant = {
  /** Space-separated (RFC 6749, 3.3). */
  scope: Schema.optionalKey(Schema.String.check(Schema.isBetweenLength(1, 4096))),
  audience: Schema.optionalKey(Schema.String.check(Schema.isBetweenLength(1, 2048)))
}

export const EnsureRequest = identified(
  "EnsureRequest",
  Schema.Struct({
    /** Optional if there is only one server. */
    server: Schema.optionalKey(ServerName),
    /** Whether to refresh the token now; at most once in 30 seconds for each token. */
    force: Schema.optionalKey(Schema.Boolean),
    ...grant
  })
)
export type EnsureRequest = typeof EnsureRequest.Type

/**
 * A token at a moment. Times are in milliseconds since 1970. The value is present only with `showTokens`, and not if the token is
 * bound to a key.
 */
const Token = Schema.Struct({
  issuedAt: Schema.Finite,
  expiresAt: Schema.Finite,
  remainingSeconds: Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0)),
  /** `unknown` if the authorization server stated no scope. */
  scoped: Schema.Union([Schema.Boolean, Schema.Literal("unknown")]),
  value: Schema.optionalKey(Schema.NonEmptyString)
}).pipe(
  Schema.encodeKeys({ issuedAt: "issued_at", expiresAt: "expires_at", remainingSeconds: "remaining_seconds" }),
  Schema.annotateEncoded({ identifier: "Token" })
)

const attempts = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** The cached token is valid. */
export const Fresh = Schema.Struct({ token: Token, refreshApplied: Schema.Literal(false), attempts }).pipe(
  Schema.encodeKeys({ refreshApplied: "refresh_applied" }),
  Schema.annotateEncoded({ identifier: "Fresh" })
)
export type Fresh = typeof Fresh.Type

/** The token was acquired or refreshed. */
export const Refreshed = Schema.Struct({ token: Token, refreshApplied: Schema.Literal(true), attempts }).pipe(
  Schema.encodeKeys({ refreshApplied: "refresh_applied" }),
  Schema.annotateEncoded({ identifier: "Refreshed" }),
  HttpApiSchema.status(202)
)
export type Refreshed = typeof Refreshed.Type

/** No token could be acquired. `non_retriable`: a retry cannot help until the configuration is changed. */
export const EnsureFailed = Schema.Struct({
  errorCode: Schema.Literals(["refresh_failed", "non_retriable"]),
  message: Schema.String,
  /** Milliseconds since 1970. */
  lastAttemptAt: Schema.NullOr(Schema.Finite)
}).pipe(
  Schema.encodeKeys({ errorCode: "error_code", lastAttemptAt: "last_attempt_at" }),
  Schema.annotateEncoded({ identifier: "EnsureFailed" }),
  HttpApiSchema.status(503)
)
export type EnsureFailed = typeof EnsureFailed.Type

/** Field names and values of HTTP (RFC 9110, 5.1 and 5.5): no line breaks or other control characters. */
const fieldName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/
const fieldValue = /^[\t\u0020-\u007e\u0080-\u00ff]{0,8192}$/

const Headers = Schema.Record(Schema.String, Schema.String).check(
  Schema.makeFilter((headers: Readonly<Record<string, string>>) =>
    Object.entries(headers).every(([name, value]) => fieldName.test(name) && fieldValue.test(value))
  )
)

export const SendRequest = identified(
  "SendRequest",
  Schema.Struct({
    /** One of the sidecar's `operations`. */
    operation: Schema.String.check(Schema.isPattern(/^[a-z][a-z0-9_]{0,63}$/)),
    method: Schema.Literals(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"]),
    /** Covered by the URL of a registered server. */
    url: Schema.String.check(Schema.isBetweenLength(1, 8192)),
    headers: Schema.optionalKey(Headers),
    /** Not with GET or HEAD. */
    body: Schema.optionalKey(Schema.String),
    ...grant
  })
)
export type SendRequest = typeof SendRequest.Type

const sent = { operation: Schema.String, attempts }

/** The server's response, with `showResponses`. */
const ServerResponse = identified(
  "ServerResponse",
  Schema.Struct({
    status: Schema.Int,
    headers: Schema.Record(Schema.String, Schema.String),
    body: Schema.String
  })
)
export type ServerResponse = typeof ServerResponse.Type

/** The server responded. */
export const Sent = Schema.Struct({
  ...sent,
  finalStatus: Schema.Literals(["success", "forwarded_to_caller"]),
  response: Schema.optionalKey(ServerResponse)
}).pipe(
  Schema.encodeKeys({ finalStatus: "final_status" }),
  Schema.annotateEncoded({ identifier: "Sent" }),
  HttpApiSchema.status(202)
)
export type Sent = typeof Sent.Type

const notSent = <const Code extends string>(status: number, code: Code) =>
  Schema.Struct({ errorCode: Schema.Literal(code), message: Schema.String, ...sent })
    .pipe(Schema.encodeKeys({ errorCode: "error_code" }))
    .pipe(Schema.annotateEncoded({ identifier: `Failed_${code}` }))
    .pipe(HttpApiSchema.status(status))

const SendUnauthorized = notSent(401, "unauthorized")
const SendExhausted = notSent(429, "retry_budget_spent")
const SendFailed = notSent(500, "non_retriable")

/** The endpoints of the sidecar. */
const Tokens = HttpApiGroup.make("tokens", { topLevel: true }).add(
  HttpApiEndpoint.post("ensure", "/sdk/token/ensure", {
    payload: EnsureRequest,
    success: [Fresh, Refreshed],
    error: [UnknownServer, EnsureFailed]
  }),
  HttpApiEndpoint.post("send", "/sdk/request/send", {
    payload: SendRequest,
    success: Sent,
    error: [SendUnauthorized, SendExhausted, SendFailed]
  })
).middleware(SchemaErrors).middleware(CallerCheck)

/** The API of the sidecar. It rejects unknown members, which would have no effect. */
export const Api = HttpApi.make("keelson-token").add(Tokens).annotate(HttpApi.PayloadParseOptions, {
  onExcessProperty: "error"
}).annotateMerge(
  OpenApi.annotations({ title: "Keelson token sidecar" })
)
