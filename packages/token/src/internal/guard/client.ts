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
import * as Result from "effect/Result"
import type { TokenProvider } from "../../TokenProvider.ts"
import type { TokenProviderError } from "../../TokenProviderError.ts"
import { attachToken, countRequest, type TokenReader } from "./attachToken.ts"
import { followRedirects } from "./redirects.ts"
import { type GuardScopes, refused, targetOf } from "./target.ts"

/** The errors of sending: no response, or a URL that the guard refuses. */
type SendError = HttpClientError.HttpClientError | KeelsonError.NetworkError

/** The errors of a guarded request. */
export type GuardError = Resilience.Failure<SendError | TokenProviderError>

/** What a guard's client is made of. */
export interface ClientContext {
  readonly client: HttpClient.HttpClient
  readonly provider: TokenProvider["Service"]
  readonly scopes: GuardScopes
  readonly maxRedirects: number
  readonly resilience: Resilience.Resilience | undefined
}

/** Keeps `fetch` from following redirects, which the guard must check. */
const manualRedirects: Effect.Effect<RequestInit> = Effect.map(
  Effect.context(),
  (context) => ({ ...Context.getOrUndefined(context, FetchHttpClient.RequestInit), redirect: "manual" })
)

/** A client that sends requests to the guard's scopes only, each with a token. */
const makeScopedClient = <E>(
  { client, maxRedirects, scopes }: ClientContext,
  tokens: TokenReader<E>
): HttpClient.HttpClient.With<SendError | E> =>
  HttpClient.makeWith<HttpClientError.HttpClientError, never, SendError | E, never>(
    Effect.flatMap((request) => {
      const target = targetOf(request, scopes)
      if (Result.isFailure(target)) return Effect.fail(refused(target.failure, 0))
      const send = attachToken(client.postprocess, tokens)
      return Effect.provideServiceEffect(
        Effect.andThen(countRequest, followRedirects(target.success, scopes, maxRedirects, send)),
        FetchHttpClient.RequestInit,
        manualRedirects
      )
    }),
    client.preprocess
  )

/**
 * No token was acquired. Resilience policies neither retry it nor count it in the breaker of the called service: it says
 * nothing about that service, and the provider retried it already.
 */
export class NoToken extends Data.TaggedError("NoToken")<{ readonly error: TokenProviderError }> {
  get code(): ErrorCode.ErrorCode {
    const code = ErrorCode.codeOf(this.error)
    return code === undefined || ErrorCode.codeInfo[code].retryable ? "TOKEN_ACQUISITION_FAILED" : code
  }
}

/** The errors of a guarded request, with those of the provider marked. */
export type MarkedError = Resilience.Failure<SendError | NoToken>
/** A guarded client whose errors tell the provider's from those of the called service. */
export type MarkedClient = HttpClient.HttpClient.With<MarkedError>

const mark = (error: TokenProviderError) => new NoToken({ error })

/** The error without its mark, as callers get it. */
export const unmark = (error: MarkedError): GuardError => {
  if (error instanceof NoToken) return error.error
  if (!(error instanceof Retry.RetryExhausted)) return error
  const { attempts, error: last, stoppedBy } = error
  return last instanceof NoToken ? last.error : new Retry.RetryExhausted({ error: last, attempts, stoppedBy })
}

/** A client that applies the resilience policy, if there is one, to each request. */
export const makeMarkedClient = (context: ClientContext): MarkedClient => {
  const { provider, resilience } = context
  const tokens: TokenReader<NoToken> = {
    get: Effect.mapError(provider.get, mark),
    replace: (rejected) => Effect.mapError(provider.replace(rejected), mark)
  }
  return resilience === undefined
    ? makeScopedClient<MarkedError>(context, tokens)
    : resilience.http(makeScopedClient(context, tokens), { ignore: (error) => error instanceof NoToken })
}

/** The client for callers. */
export const makeClient = (context: ClientContext, marked: MarkedClient): HttpClient.HttpClient.With<GuardError> =>
  context.resilience === undefined
    ? makeScopedClient<GuardError>(context, context.provider)
    : HttpClient.transformResponse(marked, Effect.mapError(unmark))
