import * as ErrorCode from "@keelson/core/ErrorCode"
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Retry from "@keelson/core/Retry"
import * as RetryAfter from "@keelson/core/RetryAfter"
import * as RetryPolicy from "@keelson/core/RetryPolicy"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { TokenHttpClient } from "../../TokenHttpClient.ts"
import { exchange, type ExchangeLimits, type ReceivedResponse } from "../oauth/exchange.ts"
import { isDirect } from "./endpoint.ts"
import { invalidToken, type Origin, unavailable, type WorkloadIdentityError } from "./workloadToken.ts"

/**
 * The client of requests to metadata endpoints, which have no TLS. It is separate from `TokenHttpClient`, which may send
 * requests through a proxy: a proxy would answer with its own identity. Default: the platform's `fetch`.
 */
export const MetadataHttpClient = Context.Reference<HttpClient.HttpClient>("@keelson/token/MetadataHttpClient", {
  defaultValue: () => TokenHttpClient.defaultValue()
})

/** The platforms' advice: at least a second before the first retry, then twice as long each time. */
const policy = RetryPolicy.make({
  maxAttempts: 20,
  initialDelay: "1 second",
  multiplier: 2,
  maxDelay: "16 seconds",
  jitter: "decorrelated"
})

/** What a platform documents about its endpoint. */
export interface Platform {
  /** For messages, as in `the Azure metadata service`. */
  readonly title: string
  /** The statuses that are worth a retry. */
  readonly isTransient: (status: number) => boolean
}

/** A request to a platform's endpoint. */
export interface Asked {
  readonly platform: Platform
  /** For errors, which have its origin and path: without names of accounts and roles. */
  readonly url: URL
  readonly request: HttpClientRequest.HttpClientRequest
  readonly limits: ExchangeLimits
}

/** The endpoint in errors, by origin and path only. */
const nameOf = ({ origin, pathname }: URL): string => `${origin}${pathname}`

/** The origin of a token in a response, for errors. */
export const answerOrigin = ({ platform: { title }, url }: Pick<Asked, "platform" | "url">): Origin => ({
  subject: `The response of ${title}`,
  details: { endpoint: nameOf(url) }
})

/** 429 and server errors. */
export const isBusy = (status: number): boolean => status === 429 || status >= 500

/** An error code of a body, in the forms of RFC 6749, Azure and AWS. Any other text is not repeated. */
const errorCode = ({ body }: ReceivedResponse): string | undefined => {
  const text = new TextDecoder().decode(body)
  const xml = /<Code>([A-Za-z]{3,64})<\/Code>/.exec(text)?.[1]
  if (xml !== undefined) return xml
  const json = Result.getOrUndefined(Result.try((): unknown => JSON.parse(text)))
  const error = Predicate.hasProperty(json, "error") ? json.error : undefined
  return typeof error === "string" && /^[a-z]{2,24}(?:_[a-z]{2,24}){1,5}$/.test(error) ? error : undefined
}

/** The error of a response, if its status is not 2xx. */
const rejected = (
  { platform: { isTransient, title }, url }: Asked,
  response: ReceivedResponse,
  now: number
): WorkloadIdentityError => {
  const { headers, status } = response
  const endpoint = nameOf(url)
  const error = errorCode(response)
  const details = { endpoint, status, ...(error === undefined ? undefined : { error }) }
  // STS answers a throttled request with status 400.
  if (status === 429 || error === "Throttling") {
    const retryAfter = RetryAfter.parse(headers["retry-after"], now)
    return new KeelsonError.NetworkError({
      code: "RATE_LIMITED",
      details: retryAfter === undefined ? details : { ...details, retry_after_ms: Duration.toMillis(retryAfter) }
    })
  }
  return isTransient(status)
    ? new KeelsonError.NetworkError({ code: "UPSTREAM_UNAVAILABLE", details })
    : unavailable(`${title} refused the request with status ${status}${error === undefined ? "" : ` (${error})`}`, {
      reason: "status",
      ...details
    })
}

/** Metadata endpoints are asked with their own client. */
const received = ({ limits, request, url }: Asked) =>
  isDirect(url)
    ? Effect.flatMap(
      MetadataHttpClient,
      (client) => Effect.provideService(exchange(request, limits), TokenHttpClient, client)
    )
    : exchange(request, limits)

const once = (asked: Asked): Effect.Effect<ReceivedResponse, WorkloadIdentityError> =>
  Effect.clockWith((clock) =>
    received(asked).pipe(
      Effect.mapError(({ error: { code, details } }): WorkloadIdentityError =>
        new KeelsonError.NetworkError({ code, details: { ...details, endpoint: nameOf(asked.url) } })
      ),
      Effect.filterOrElse(
        ({ status }) => status >= 200 && status < 300,
        (response) => Effect.fail(rejected(asked, response, clock.currentTimeMillisUnsafe()))
      )
    )
  )

const isRetried = ({ code }: WorkloadIdentityError): boolean =>
  code === "RATE_LIMITED" || code === "UPSTREAM_UNAVAILABLE"

const retryAfterOf = ({ details }: WorkloadIdentityError): Duration.Duration | undefined => {
  const millis = details["retry_after_ms"]
  return typeof millis === "number" ? Duration.millis(millis) : undefined
}

/**
 * Sends a request, and repeats it as long as the current deadline allows while the platform asks to. A connection that fails is
 * not repeated: this is another platform. Any response other than 2xx is an error.
 */
export const send = (asked: Asked): Effect.Effect<ReceivedResponse, WorkloadIdentityError> =>
  Retry.retry(once(asked), policy, { while: isRetried, retryAfter: retryAfterOf }).pipe(
    Effect.mapError((error) => error instanceof Retry.RetryExhausted ? error.error : error)
  )

/** The text of a response; a failure if it is empty. */
export const textOf = (
  { body }: ReceivedResponse,
  origin: Origin
): Result.Result<string, KeelsonError.AuthenticationError> => {
  const text = new TextDecoder().decode(body).trim()
  return text === "" ? Result.fail(invalidToken(origin, "empty", "is empty")) : Result.succeed(text)
}

/** The members of a JSON object in a response. */
export const membersOf = (
  response: ReceivedResponse,
  origin: Origin
): Result.Result<Readonly<Record<string, unknown>>, KeelsonError.AuthenticationError> =>
  Result.flatMap(textOf(response, origin), (text) => {
    const json = Result.getOrUndefined(Result.try((): unknown => JSON.parse(text)))
    return Predicate.isObject(json) && !Array.isArray(json)
      ? Result.succeed(json)
      : Result.fail(invalidToken(origin, "malformed", "is no JSON object"))
  })

/** A member that is a text of visible ASCII, which a header can carry. */
export const textMember = (
  json: Readonly<Record<string, unknown>>,
  name: string,
  origin: Origin
): Result.Result<string, KeelsonError.AuthenticationError> => {
  const value = json[name]
  return typeof value === "string" && /^[!-~]{1,16384}$/.test(value)
    ? Result.succeed(value)
    : Result.fail(invalidToken(origin, "malformed", `has no member ${name} that is a token`))
}

/** Whether a token may be had later. */
export const isRetryable = (error: unknown): boolean => {
  const code = ErrorCode.codeOf(error)
  return code !== undefined && ErrorCode.codeInfo[code].retryable
}
