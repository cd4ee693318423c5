import * as ErrorCode from "@keelson/core/ErrorCode"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as RetryAfter from "@keelson/core/RetryAfter"
import * as Instant from "@keelson/core/unstable/Instant"
import type * as KeySource from "@keelson/jwks/unstable/KeySourceTag"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as OAuth from "oauth4webapi"
import type { ClientAuth } from "../../ClientAuth.ts"
import type { IntrospectionOptions } from "../../IntrospectionOptions.ts"
import type * as TokenError from "../../TokenError.ts"
import { checkEndpoint } from "../oauth/endpoints.ts"
import type { ExchangeFailed, ReceivedResponse } from "../oauth/exchange.ts"
import type { TokenEndpoint } from "../oauth/metadata.ts"
import { type ExchangeRecord, oauthFetch } from "../oauth/oauthFetch.ts"
import type { SecretError } from "../oauth/readSecret.ts"
import type { JsonLimits } from "../validation/strictJson.ts"
import { type Answer, inactive, isJson, isSigned, parseAnswer } from "./answer.ts"
import { type Evidence, IntrospectionFailed, unusable } from "./failure.ts"
import { type AnswerVerifier, verifyAnswer } from "./signedAnswer.ts"

/** A client of one introspection endpoint. */
export interface IntrospectionClient {
  readonly options: IntrospectionOptions
  readonly auth: ClientAuth
  readonly endpoint: TokenEndpoint
  readonly limits: JsonLimits
  /** Verifies signed answers, if they are requested. */
  readonly signed: AnswerVerifier | undefined
  readonly requiresSigned: boolean
}

/** An answer, and when it was requested: it says nothing about the time after. */
export interface Introspected {
  readonly answer: Answer
  readonly requestedAt: Instant.Instant
  /** The trust in the key that signed the answer. */
  readonly trust: KeySource.KeyTrust | undefined
}

const failed = (
  problem: TokenError.IntrospectionProblem,
  code: ErrorCode.ErrorCode,
  more: Partial<Pick<IntrospectionFailed, "evidence" | "isRetryable" | "retryAfter">> = {}
): IntrospectionFailed => new IntrospectionFailed({ problem, code, evidence: "failure", isRetryable: false, ...more })

/** The problem of an exchange without a response. */
const exchangeProblem = (code: ErrorCode.ErrorCode): TokenError.IntrospectionProblem =>
  code === "TIMEOUT" ? "timeout" : code === "EGRESS_REFUSED" ? "endpoint" : "network"

const fromExchange = (failure: ExchangeFailed | undefined): IntrospectionFailed => {
  // The OAuth library made no request.
  if (failure === undefined) return failed("endpoint", "INTERNAL_ERROR")
  const { code } = failure.error
  // How large an answer is may depend on the token.
  if (code === "RESPONSE_TOO_LARGE") return unusable("answer", "size")
  return failed(exchangeProblem(code), code, { isRetryable: ErrorCode.codeInfo[code].retryable })
}

/** Fetching the metadata failed, or they name no endpoint that may be requested. */
const endpointFailed = (error: KeelsonError.NetworkError | KeelsonError.ConfigurationError): IntrospectionFailed => {
  const { code } = error
  const problem = code === "NETWORK_ERROR" || code === "TLS_FAILED" || code === "TIMEOUT"
    ? exchangeProblem(code)
    : code === "RATE_LIMITED" || code === "UPSTREAM_UNAVAILABLE"
    ? "status"
    : "endpoint"
  return failed(problem, code, { isRetryable: ErrorCode.codeInfo[code].retryable })
}

const configurationFailed = ({ code }: SecretError): IntrospectionFailed =>
  failed("configuration", code, { evidence: "ignored" })

/** The `error` of a response (RFC 6749, 5.2). */
const errorIn = ({ body }: ReceivedResponse): string | undefined => {
  const json = Result.getOrUndefined(Result.try((): unknown => JSON.parse(new TextDecoder().decode(body))))
  return Predicate.hasProperty(json, "error") && typeof json.error === "string" ? json.error : undefined
}

/** The errors that blame the client, whatever the token. */
const clientErrors: ReadonlySet<string | undefined> = new Set([
  "invalid_client",
  "unauthorized_client",
  "access_denied"
])

/** A response that is not a success. */
const fromError = (response: ReceivedResponse, now: number): Result.Result<Answer, IntrospectionFailed> => {
  const { headers, status } = response
  if (status === 400) {
    const error = errorIn(response)
    // The server does not introspect tokens of this kind, so that it is none of its opaque ones (RFC 7009, 2.2.1).
    if (error === "unsupported_token_type") return Result.succeed(inactive)
    // Whoever sends a token may cause other errors of a request: they must not open the circuit for all.
    const evidence: Evidence = clientErrors.has(error) ? "failure" : "success"
    return Result.fail(failed("refused", "UPSTREAM_REJECTED", { evidence }))
  }
  if (status === 401 || status === 403) return Result.fail(failed("refused", "UPSTREAM_REJECTED"))
  if (status !== 429 && status < 500) return Result.fail(failed("endpoint", "UPSTREAM_REJECTED"))
  const code = ErrorCode.statusCode(status) ?? "UPSTREAM_UNAVAILABLE"
  return Result.fail(
    failed("status", code, {
      isRetryable: ErrorCode.codeInfo[code].retryable,
      retryAfter: RetryAfter.parse(headers["retry-after"], now)
    })
  )
}

/** The problems of an answer that come from the server, whatever the token. */
const serverProblems: ReadonlySet<TokenError.AnswerProblem> = new Set(["contentType", "encoding", "json", "status"])

const answerFailed = (detail: TokenError.AnswerProblem): IntrospectionFailed =>
  unusable("answer", detail, serverProblems.has(detail) ? "failure" : "ignored")

/** Reads a response of status 200. */
const readAnswer = (
  response: ReceivedResponse,
  { limits, requiresSigned, signed }: IntrospectionClient,
  clock: Clock.Clock
): Effect.Effect<Pick<Introspected, "answer" | "trust">, IntrospectionFailed> => {
  if (signed !== undefined && isSigned(response)) return verifyAnswer(response.body, signed, clock)
  if (!isJson(response)) return Effect.fail(answerFailed("contentType"))
  if (requiresSigned) return Effect.fail(unusable("signature", "unsigned", "failure"))
  return Effect.fromResult(
    Result.mapBoth(parseAnswer(response.body, limits), {
      onFailure: answerFailed,
      onSuccess: (answer) => ({ answer, trust: undefined })
    })
  )
}

/** The media types of the answers, by whether they are signed: RFC 9701, 4. */
const acceptOf = ({ requiresSigned, signed }: IntrospectionClient): string =>
  signed === undefined
    ? "application/json"
    : requiresSigned
    ? "application/token-introspection+jwt"
    : "application/token-introspection+jwt, application/json;q=0.5"

/** Whether there is no introspection endpoint at the URL any more. */
const isGone = ({ failure, response }: ExchangeRecord): boolean =>
  failure?.isUnsent === true || (response !== undefined && [404, 405, 410].includes(response.status))

/**
 * Asks the authorization server about one token, with newly prepared client authentication. It never retries.
 *
 * @see RFC 7662, 2.1
 */
export const introspect = Effect.fnUntraced(function*(
  client: IntrospectionClient,
  token: string
): Effect.fn.Return<Introspected, IntrospectionFailed> {
  const { auth, endpoint, options } = client
  const { clientId, issuer, maxBytes, requestTimeout } = options
  const clock = yield* Clock.Clock
  const url = yield* Effect.mapError(endpoint.url, endpointFailed)
  const target = yield* Effect.fromResult(
    Result.mapError(checkEndpoint(url, options), () => failed("endpoint", "EGRESS_REFUSED"))
  )
  const record: ExchangeRecord = { response: undefined, failure: undefined, answer: { json: undefined } }
  const fetch = yield* oauthFetch({ maxBytes, timeout: requestTimeout }, record)
  const authenticate = yield* Effect.mapError(auth.prepare({ audience: issuer ?? url }), configurationFailed)
  const requestedAt = Instant.now(clock)
  const accept = acceptOf(client)
  yield* Effect.ignore(Effect.tryPromise((signal) =>
    OAuth.introspectionRequest(
      { issuer: issuer ?? url, introspection_endpoint: target.href },
      { client_id: clientId },
      authenticate,
      token,
      {
        signal,
        additionalParameters: { token_type_hint: "access_token" },
        [OAuth.customFetch]: (url, init) => fetch(url, { ...init, headers: { ...init.headers, accept } }),
        // `checkEndpoint` allows plain http to this machine and to `insecureHosts` only.
        [OAuth.allowInsecureRequests]: target.protocol === "http:"
      }
    )
  ))
  if (isGone(record)) endpoint.onGone()
  const { failure, response } = record
  if (response === undefined) return yield* fromExchange(failure)
  const { status } = response
  if (status >= 400) {
    const answer = yield* Effect.fromResult(fromError(response, clock.currentTimeMillisUnsafe()))
    return { answer, requestedAt, trust: undefined }
  }
  if (status !== 200) return yield* answerFailed("status")
  return { ...yield* readAnswer(response, client, clock), requestedAt }
})
