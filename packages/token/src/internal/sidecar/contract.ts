import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as HttpApiSecurity from "effect/http-api/HttpApiSecurity"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import * as AcquiredToken from "../../AcquiredToken.ts"
import { ServerName } from "../../ServerOptions.ts"

const identified = <S extends Schema.Top>(identifier: string, schema: S): S["Rebuild"] =>
  schema.annotate({ identifier })

/** What is wrong with a request before anything is done for it. */
const refusal = <const Code extends string>(status: number, code: Code) =>
  Schema.Struct({ error_code: Schema.Literal(code), message: Schema.String })
    .annotate({ identifier: `Refused_${code}` })
    .pipe(HttpApiSchema.status(status))

const InvalidRequest = refusal(400, "invalid_request")
const Unauthenticated = refusal(401, "unauthenticated")
const Forbidden = refusal(403, "forbidden")
const UnknownServer = refusal(404, "unknown_server")

/** Lets in who is on this machine and has the secret. */
export class Entrance extends HttpApiMiddleware.Service<Entrance>()("@keelson/token/SidecarEntrance", {
  error: [Unauthenticated, Forbidden],
  security: { secret: HttpApiSecurity.bearer }
}) {}

/** Says what is wrong with a request that is not as the contract has it. */
export class Reading extends HttpApiMiddleware.Service<Reading>()("@keelson/token/SidecarReading", {
  error: InvalidRequest
}) {}

/** Whose token is meant: the server's by its name, and for another scope or audience than its own. */
const grant = {
  /** Space-separated (RFC 6749, 3.3). */
  scope: Schema.optionalKey(Schema.String.check(Schema.isBetweenLength(1, 4096))),
  audience: Schema.optionalKey(Schema.String.check(Schema.isBetweenLength(1, 2048)))
}

export const EnsureRequest = identified(
  "EnsureRequest",
  Schema.Struct({
    /** May be left out where there is one server only. */
    server: Schema.optionalKey(ServerName),
    /** Whether to refresh the token now; done for one token once in 30 seconds. */
    force: Schema.optionalKey(Schema.Boolean),
    ...grant
  })
)
export type EnsureRequest = typeof EnsureRequest.Type

/** A token at a moment. Times are milliseconds since 1970. The value is there only where the sidecar was told to show it. */
const Token = identified(
  "Token",
  Schema.Struct({
    ...Struct.pick(AcquiredToken.Snapshot.fields, ["issued_at", "expires_at", "remaining_seconds", "scoped"]),
    value: Schema.optionalKey(Schema.NonEmptyString)
  })
)

const attempts = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** The token held is valid. */
export const Fresh = identified(
  "Fresh",
  Schema.Struct({ token: Token, refresh_applied: Schema.Literal(false), attempts })
)
export type Fresh = typeof Fresh.Type

/** It was acquired or refreshed. */
export const Refreshed = identified(
  "Refreshed",
  Schema.Struct({ token: Token, refresh_applied: Schema.Literal(true), attempts })
).pipe(HttpApiSchema.status(202))
export type Refreshed = typeof Refreshed.Type

/** There is no token. `non_retriable`: asking again does not help until somebody has changed something. */
export const EnsureFailed = identified(
  "EnsureFailed",
  Schema.Struct({
    error_code: Schema.Literals(["refresh_failed", "non_retriable"]),
    message: Schema.String,
    /** Milliseconds since 1970. */
    last_attempt_at: Schema.NullOr(Schema.Finite)
  })
).pipe(HttpApiSchema.status(503))
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
    /** What the request is for, one of the names that the sidecar was given. */
    operation: Schema.String.check(Schema.isPattern(/^[a-z][a-z0-9_]{0,63}$/)),
    method: Schema.Literals(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
    /** Below the URL of a registered server. */
    url: Schema.String.check(Schema.isBetweenLength(1, 8192)),
    headers: Schema.optionalKey(Headers),
    body: Schema.optionalKey(Schema.String),
    ...grant
  })
)
export type SendRequest = typeof SendRequest.Type

const sent = { operation: Schema.String, attempts }

/** The answer of the server, where the sidecar was told to hand it on. */
const Answer = identified(
  "Answer",
  Schema.Struct({
    status: Schema.Int,
    headers: Schema.Record(Schema.String, Schema.String),
    body: Schema.String
  })
)
export type Answer = typeof Answer.Type

/** The server answered. */
export const Sent = identified(
  "Sent",
  Schema.Struct({
    ...sent,
    final_status: Schema.Literals(["success", "forwarded_to_caller"]),
    response: Schema.optionalKey(Answer)
  })
).pipe(HttpApiSchema.status(202))
export type Sent = typeof Sent.Type

const notSent = <const Code extends string>(status: number, code: Code) =>
  Schema.Struct({ error_code: Schema.Literal(code), message: Schema.String, ...sent })
    .annotate({ identifier: `Failed_${code}` })
    .pipe(HttpApiSchema.status(status))

const SendUnauthorized = notSent(401, "unauthorized")
const SendExhausted = notSent(429, "retry_budget_spent")
const SendFailed = notSent(500, "non_retriable")

/** The endpoints of the sidecar. */
export const Tokens = HttpApiGroup.make("tokens", { topLevel: true }).add(
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
).middleware(Reading).middleware(Entrance)

/** The contract of the sidecar. A member that it does not have is a mistake, since it would have no effect. */
export const Api = HttpApi.make("keelson-token").add(Tokens).annotate(HttpApi.PayloadParseOptions, {
  onExcessProperty: "error"
}).annotateMerge(
  OpenApi.annotations({ title: "Keelson token sidecar" })
)
