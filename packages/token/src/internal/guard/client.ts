import * as ErrorCode from "@keelson/core/ErrorCode"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import type * as Resilience from "@keelson/core/Resilience"
import * as Retry from "@keelson/core/Retry"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Result from "effect/Result"
import type { DpopKey } from "../../DpopKey.ts"
import type { TokenProvider } from "../../TokenProvider.ts"
import type { TokenProviderError } from "../../TokenProviderError.ts"
import { attachToken, countRequest, type TokenReader } from "./attachToken.ts"
import { followRedirects } from "./redirects.ts"
import type { RequestPolicies } from "./requestPolicies.ts"
import { type GuardScopes, refused, type RequestTarget, targetOf } from "./target.ts"

type Response = HttpClientResponse.HttpClientResponse

/** The errors of sending: no response, or a URL that the guard refuses. */
type SendError = HttpClientError.HttpClientError | KeelsonError.NetworkError

/** The errors of a guarded request. */
export type GuardError = Resilience.Failure<SendError | TokenProviderError>

/** What a guard's client is made of. */
export interface ClientContext {
  readonly client: HttpClient.HttpClient
  readonly provider: Pick<TokenProvider["Service"], "get" | "replace">
  readonly dpopKey: DpopKey | undefined
  readonly scopes: GuardScopes
  readonly maxRedirects: number
  readonly policies: RequestPolicies | undefined
}

/** Keeps `fetch` from following redirects, which the guard must check. */
const manualRedirects: Effect.Effect<RequestInit> = Effect.map(
  Effect.context(),
  (context) => ({ ...Context.getOrUndefined(context, FetchHttpClient.RequestInit), redirect: "manual" })
)

/** Sends one request of a call: the first one, or one that a redirect led to. */
type SendHop<E> = (target: RequestTarget, hop: number) => Effect.Effect<Response, E>

/** Counts the requests of an operation. The first one to the target of a redirect is part of the request that was redirected. */
const counted = <E>(send: (target: RequestTarget) => Effect.Effect<Response, E>): SendHop<E> => (target, hop) => {
  let isRepeated = hop === 0
  const once = send(target)
  return Effect.suspend(() => {
    if (isRepeated) return Effect.andThen(countRequest, once)
    isRepeated = true
    return once
  })
}

/** A client that sends requests to the guard's scopes only. `makeSend` makes the function that sends the requests of one call. */
const makeScopedClient = <E>(
  { client, maxRedirects, scopes }: ClientContext,
  makeSend: () => SendHop<E>
): HttpClient.HttpClient.With<HttpClientError.HttpClientError | KeelsonError.NetworkError | E> =>
  HttpClient.makeWith<
    HttpClientError.HttpClientError,
    never,
    HttpClientError.HttpClientError | KeelsonError.NetworkError | E,
    never
  >(
    Effect.flatMap((request) => {
      const target = targetOf(request, scopes)
      if (Result.isFailure(target)) return Effect.fail(refused(target.failure, 0))
      return Effect.provideServiceEffect(
        followRedirects(target.success, scopes, maxRedirects, makeSend()),
        FetchHttpClient.RequestInit,
        manualRedirects
      )
    }),
    client.preprocess
  )

/**
 * No token was acquired. Resilience policies neither retry this error nor count it in the breaker of the called service: it is
 * no evidence about that service, and the provider has already retried.
 */
export class NoToken extends Data.TaggedError("NoToken")<{ readonly error: TokenProviderError }> {
  get code(): ErrorCode.ErrorCode {
    const { code } = this.error
    return ErrorCode.codeInfo[code].retryable ? "TOKEN_ACQUISITION_FAILED" : code
  }
}

/** The errors of a guarded request, with those of the provider marked. */
export type MarkedError = Resilience.Failure<SendError | NoToken>
/** A guarded client whose errors distinguish the provider's errors from those of the called service. */
export type MarkedClient = HttpClient.HttpClient.With<MarkedError>

const mark = (error: TokenProviderError) => new NoToken({ error })

/** The error without its mark, as callers get it. */
export const unmark = (error: MarkedError): GuardError => {
  if (error instanceof NoToken) return error.error
  if (!(error instanceof Retry.RetryExhausted)) return error
  const { attempts, error: last, stoppedBy } = error
  return last instanceof NoToken ? last.error : new Retry.RetryExhausted({ error: last, attempts, stoppedBy })
}

/** A client for a prepared request. It evaluates the request, so that a retry policy can inspect its method and body. */
const clientOf = <E>(send: Effect.Effect<Response, E>): HttpClient.HttpClient.With<E> =>
  HttpClient.makeWith<never, never, E, never>((request) => Effect.andThen(request, send), Effect.succeed)

/**
 * A client that applies the policy of its origin to each request: the method of a request that a redirect led to decides whether
 * it is retried, and a circuit has the failures of one origin.
 */
export const makeMarkedClient = (context: ClientContext): MarkedClient => {
  const { client, dpopKey, policies, provider } = context
  const tokens: TokenReader<NoToken> = {
    get: Effect.mapError(provider.get, mark),
    replace: (rejected) => Effect.mapError(provider.replace(rejected), mark),
    dpopKey,
    unprovable: mark
  }
  const makeSend = () => counted(attachToken(client.postprocess, tokens))
  if (policies === undefined) return makeScopedClient<MarkedError>(context, makeSend)
  const ignore = { ignore: (error: unknown) => error instanceof NoToken }
  const scoped = makeScopedClient<MarkedError>(context, () => {
    const send = makeSend()
    if (policies.isClosed()) return send
    return (target, hop) => policies.of(target).http(clientOf(send(target, hop)), ignore).execute(target.request)
  })
  return HttpClient.transformResponse(scoped, policies.run)
}

/** The client for callers. */
export const makeClient = (context: ClientContext, marked: MarkedClient): HttpClient.HttpClient.With<GuardError> => {
  if (context.policies !== undefined) return HttpClient.transformResponse(marked, Effect.mapError(unmark))
  const { client, dpopKey, provider: { get, replace } } = context
  const tokens: TokenReader<TokenProviderError> = { get, replace, dpopKey, unprovable: (error) => error }
  return makeScopedClient<GuardError>(context, () => counted(attachToken(client.postprocess, tokens)))
}
