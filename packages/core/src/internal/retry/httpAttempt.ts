import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Stream from "effect/Stream"
import { evidenceOf } from "../errors/evidence.ts"
import { CurrentExecution } from "./execution.ts"
import type { FailureClass } from "./failureClass.ts"
import type { Gate } from "./gate.ts"
import { hints } from "./hints.ts"
import { askedBy, classOfHttp, responseOf } from "./httpHints.ts"
import type { StoppedBy } from "./retryExhausted.ts"
import type { LoopOptions } from "./retryLoop.ts"
import { noteResponse } from "./throttledCall.ts"

/** The options of `HttpRetry.retry`. Every one may be left out. */
export interface HttpOptions {
  /** The label `server` under which retries are counted in `retry_attempts_total`. Default none: not counted. */
  readonly server?: string | undefined
  /**
   * Which failures are retried. `usual` is what is decided without this option: by the policy's `statuses`, the catalogue and
   * `x-should-retry: false`. A failure is an `HttpClientError`, of a response with a `StatusCodeError`, or an error of the
   * client's own. A response with a status from 400 that is not in `statuses` is one too, and is returned if it is not retried.
   * `whenAsked` is a preset. Default: as usual.
   */
  readonly while?: ((failure: unknown, usual: boolean) => boolean) | undefined
  /**
   * The minimum delay that a failure asks for. `now` is the wall clock in milliseconds. Default: the hints of the response
   * (`RetryAfter.hints`), or the `retryAfter` of another error.
   */
  readonly retryAfter?: ((failure: unknown, now: number) => Duration.Duration | undefined) | undefined
  /**
   * The class of a failure, by which the policy may have another delay and cost. Default: a 429, and a response that says how
   * long to wait, is throttled; any other failure by its catalogue code.
   */
  readonly failureClass?: ((failure: unknown) => FailureClass) | undefined
  /**
   * Which requests may be repeated after a failure although their method is not idempotent and they have no
   * `Idempotency-Key`. A POST that timed out may have been carried out. `notProcessed` is a preset. Default none.
   */
  readonly allowUnsafe?: AllowUnsafe | undefined
  /** Which requests with a stream as body produce the same stream again. Default none. */
  readonly allowStreams?: ((request: HttpClientRequest.HttpClientRequest) => boolean) | undefined
  /** Called before the delay of each retry. Default none. */
  readonly onRetry?: LoopOptions<unknown, never>["onRetry"]
}

/**
 * Whether a request may be repeated after a failure: an `HttpClientError`, `DeadlineExceeded` for an attempt that timed out,
 * or an error of the client's own. `mayRedirect`: whether the client follows redirects where a failure does not show it, as
 * `fetch` does unless its `RequestInit` says otherwise; what failed may then be another request.
 */
export type AllowUnsafe = (
  request: HttpClientRequest.HttpClientRequest,
  failure: unknown,
  mayRedirect: boolean
) => boolean

/** RFC 9110, 9.2.2, and QUERY of RFC 10008. */
const idempotentMethods: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "QUERY", "PUT", "DELETE"])

/** Whether sending a request twice has the same effect as sending it once: by its method, or by an `Idempotency-Key`. */
export const isIdempotent = (request: HttpClientRequest.HttpClientRequest): boolean =>
  idempotentMethods.has(request.method) || (request.headers["idempotency-key"] ?? "").trim() !== ""

const isStream = (body: unknown): boolean =>
  typeof body === "object" && body !== null &&
  ("getReader" in body || "pipe" in body || Symbol.asyncIterator in body || ("next" in body))

/** Whether the body of a request can be sent again. A stream cannot: the first attempt consumes it. */
export const isReplayable = (request: HttpClientRequest.HttpClientRequest): boolean =>
  request.body._tag === "Raw" ? !isStream(request.body.body) : request.body._tag !== "Stream"

/**
 * Releases a response whose body is not needed. Reading the body and interrupting that frees the connection at once. It reads
 * the stream, not the buffer: if the client's requests belong to a scope, only interrupting the stream cancels the body.
 */
export const discard = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<void> =>
  Effect.flatMap(
    Effect.forkDetach(Stream.runDrain(response.stream), { startImmediately: true }),
    Fiber.interrupt
  )

/** What a call prepared, for the retry loop. */
export interface HttpAttempt<E, R> {
  readonly attempt: Effect.Effect<HttpClientResponse.HttpClientResponse, E | HttpClientError.HttpClientError, R>
  readonly loop: LoopOptions<E | HttpClientError.HttpClientError, never>
}

/**
 * A client each of whose requests is an attempt for `run`. As with Effect's own `retry`, everything that prepares the request
 * (`mapRequest`, `tapRequest` and so on) is part of the attempt: it runs again for each, and within its limits. Responses that
 * ask to wait close the gate, if there is one.
 */
export const wrapHttp = <E, R, E2, R2>(
  self: HttpClient.HttpClient.With<E, R>,
  policy: { readonly statuses: ReadonlyArray<number> },
  options: HttpOptions | undefined,
  run: (call: HttpAttempt<E, R>) => Effect.Effect<HttpClientResponse.HttpClientResponse, E2, R2>,
  gate?: Gate<unknown>
): HttpClient.HttpClient.With<E2, R2> =>
  HttpClient.makeWith<E, R, E2, R2>(
    (request) => Effect.withFiber((fiber) => run(prepareHttp(self, request, policy, options, fiber, gate))),
    self.preprocess
  )

/** What the attempts of one call share. */
export interface HttpCall {
  /** The `Idempotency-Key` of the first attempt. A new key in each attempt would not keep the server from repeating the call. */
  key: string | undefined
}

/** The error of a response that counts as a failure. */
export const statusError = (response: HttpClientResponse.HttpClientResponse): HttpClientError.HttpClientError =>
  new HttpClientError.HttpClientError({
    reason: new HttpClientError.StatusCodeError({
      request: response.request,
      response,
      description: "retryable status"
    })
  })

/** A request as an attempt that fails for a retryable status, with the options of the retry loop for it. */
export const prepareHttp = <E, R>(
  self: HttpClient.HttpClient.With<E, R>,
  request: Effect.Effect<HttpClientRequest.HttpClientRequest, E, R>,
  policy: { readonly statuses: ReadonlyArray<number> },
  options: HttpOptions | undefined,
  fiber: Fiber.Fiber<unknown, unknown>,
  gate: Gate<unknown> | undefined,
  call: HttpCall = { key: undefined }
): HttpAttempt<E, R> => {
  type Failure = E | HttpClientError.HttpClientError
  /**
   * The last request that the current attempt prepared; `undefined` until then. A client may prepare its request more than once
   * in an attempt: while it prepares the next one, the one before was sent.
   */
  let sent: HttpClientRequest.HttpClientRequest | undefined
  let isAsked = false
  const execution = fiber.getRef(CurrentExecution)
  const prepared = Effect.suspend(() => {
    isAsked = true
    return Effect.map(request, (made) => {
      const own = made.headers["idempotency-key"]
      call.key ??= own
      const { key } = call
      sent = key === undefined || own === key ? made : HttpClientRequest.setHeader(made, "idempotency-key", key)
      return sent
    })
  })
  /** A client may send another request instead of the prepared one. */
  const note = (other: HttpClientRequest.HttpClientRequest): void => {
    if (!isAsked) sent = other
  }
  /** The last failure for which `while` was asked, so that it is asked once for each. */
  let judged: unknown
  let verdict = false
  const isRetried = (failure: unknown): boolean => {
    if (judged === undefined || judged !== failure) {
      const usual = isRetriedByDefault(failure, policy.statuses)
      verdict = options?.while === undefined ? usual : options.while(failure, usual)
      judged = failure
    }
    return verdict
  }
  const attempt: Effect.Effect<HttpClientResponse.HttpClientResponse, Failure, R> = Effect.flatMap(
    Effect.suspend(() => {
      if (isAsked) sent = undefined
      return self.postprocess(prepared)
    }),
    (response) => {
      // A part above may finish later. If this execution of a hedged call is interrupted meanwhile, nobody else has the response.
      if (execution !== undefined) execution.release = discard(response)
      if (response.status < 400) return Effect.succeed(response)
      if (gate !== undefined) noteResponse(response, gate, fiber.getRef(Clock.Clock))
      const isListed = policy.statuses.includes(response.status)
      if (!isListed && options?.while === undefined) return Effect.succeed(response)
      const error = statusError(response)
      try {
        return isListed || isRetried(error) ? Effect.fail(error) : Effect.succeed(response)
      } catch (defect) {
        return Effect.andThen(discard(response), Effect.die(defect))
      }
    }
  )
  const refuse = (failure: unknown): StoppedBy | undefined => {
    // Nothing was sent, so nothing can be repeated.
    if (sent === undefined) return undefined
    if (!isIdempotent(sent) && options?.allowUnsafe?.(sent, failure, mayRedirect(fiber)) !== true) return "unsafeMethod"
    return isReplayable(sent) || options?.allowStreams?.(sent) === true ? undefined : "bodyNotReplayable"
  }
  const loop: LoopOptions<Failure, never> = {
    server: options?.server,
    onRetry: options?.onRetry,
    refuse,
    while(error) {
      if (HttpClientError.isHttpClientError(error)) note(error.request)
      return isRetried(error)
    },
    retryAfter: options?.retryAfter ?? askedBy,
    failureClass: options?.failureClass ?? classOfHttp,
    discard(error) {
      const response = responseOf(error)
      return response === undefined ? Effect.void : discard(response)
    }
  }
  return { attempt, loop }
}

/** `fetch` follows redirects itself unless `redirect` says otherwise. */
const mayRedirect = (fiber: Fiber.Fiber<unknown, unknown>): boolean => {
  const { redirect } = Context.getOrUndefined(fiber.context, FetchHttpClient.RequestInit) ?? {}
  return redirect === undefined || redirect === "follow"
}

const isRetriedByDefault = (failure: unknown, statuses: ReadonlyArray<number>): boolean => {
  const response = responseOf(failure)
  return response === undefined
    ? evidenceOf(failure)?.retryable ?? false
    : statuses.includes(response.status) && hints(response, 0).shouldRetry !== false
}
