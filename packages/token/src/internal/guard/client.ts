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
import type * as TokenProvider from "../../TokenProvider.ts"
import type { TokenProviderError } from "../../TokenProviderError.ts"
import { attachToken, sending, type Tokens } from "./attachToken.ts"
import { follow } from "./redirects.ts"
import { refused, type Scopes, targetOf } from "./target.ts"

/** How sending may fail: there is no answer, or a rule says no. */
type SendError = HttpClientError.HttpClientError | KeelsonError.NetworkError

/** How a guarded request may fail. */
export type GuardError = Resilience.Failure<SendError | TokenProviderError>

export interface Wiring {
  readonly client: HttpClient.HttpClient
  readonly provider: TokenProvider.Shape
  readonly scopes: Scopes
  readonly maxRedirects: number
  readonly resilience: Resilience.Resilience | undefined
}

/** `fetch` would follow redirects by itself, where nobody sees them. */
const manually: Effect.Effect<RequestInit> = Effect.map(
  Effect.context(),
  (context) => ({ ...Context.getOrUndefined(context, FetchHttpClient.RequestInit), redirect: "manual" })
)

/** A client whose requests go to the scopes, and carry a token there. */
const attached = <E>(
  { client, maxRedirects, scopes }: Wiring,
  tokens: Tokens<E>
): HttpClient.HttpClient.With<SendError | E> =>
  HttpClient.makeWith<HttpClientError.HttpClientError, never, SendError | E, never>(
    Effect.flatMap((request) => {
      const target = targetOf(request, scopes)
      if (Result.isFailure(target)) return Effect.fail(refused(target.failure, 0))
      return Effect.provideServiceEffect(
        Effect.andThen(sending, follow(target.success, scopes, maxRedirects, attachToken(client.postprocess, tokens))),
        FetchHttpClient.RequestInit,
        manually
      )
    }),
    client.preprocess
  )

/** That there is no token says nothing about the called service, and was retried already where it may be. */
export class NoToken extends Data.TaggedError("NoToken")<{ readonly error: TokenProviderError }> {
  get code(): ErrorCode.ErrorCode {
    const code = ErrorCode.codeOf(this.error)
    return code === undefined || ErrorCode.codeInfo[code].retryable ? "TOKEN_ACQUISITION_FAILED" : code
  }
}

/** The same, where it can be told who failed. */
export type RawError = Resilience.Failure<SendError | NoToken>
export type Raw = HttpClient.HttpClient.With<RawError>

const wrap = (error: TokenProviderError) => new NoToken({ error })

/** The error as callers see it. */
export const unwrap = (error: RawError): GuardError => {
  if (error instanceof NoToken) return error.error
  if (!(error instanceof Retry.RetryExhausted)) return error
  const { attempts, error: last, stoppedBy } = error
  return last instanceof NoToken ? last.error : new Retry.RetryExhausted({ error: last, attempts, stoppedBy })
}

/** Each request under the resilience, where there is one. */
export const makeRaw = (wiring: Wiring): Raw => {
  const { provider, resilience } = wiring
  const tokens: Tokens<NoToken> = {
    get: Effect.mapError(provider.get, wrap),
    replace: (envelope) => Effect.mapError(provider.replace(envelope), wrap)
  }
  return resilience === undefined
    ? attached<RawError>(wiring, tokens)
    : resilience.http(attached(wiring, tokens), { ignore: (error) => error instanceof NoToken })
}

/** The client for callers. */
export const makeClient = (wiring: Wiring, raw: Raw): HttpClient.HttpClient.With<GuardError> =>
  wiring.resilience === undefined
    ? attached<GuardError>(wiring, wiring.provider)
    : HttpClient.transformResponse(raw, Effect.mapError(unwrap))
