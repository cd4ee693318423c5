import * as HttpRetry from "@keelson/core/HttpRetry"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as HttpReplay from "@keelson/core/unstable/HttpReplay"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Redacted from "effect/Redacted"
import type { AcquiredToken } from "../../AcquiredToken.ts"
import type { DpopKey } from "../../DpopKey.ts"
import { IsForeignRequest } from "../mtls/certificateUse.ts"
import { isProofRejected, sendBound } from "./boundRequest.ts"
import type { RequestTarget } from "./target.ts"

/** Counts the requests of one operation, retries and the repetition after a 401 included. */
export const SentCount = Context.Reference<{ count: number } | undefined>("@keelson/token/SentCount", {
  defaultValue: () => undefined
})

/** Counts one request. */
export const countRequest: Effect.Effect<void> = Effect.map(SentCount, (sent) => {
  if (sent !== undefined) sent.count++
})

/** Provides a token, a replacement for a rejected one, and the key that tokens are bound to. */
export interface TokenReader<out E> {
  readonly get: Effect.Effect<AcquiredToken, E>
  readonly replace: (rejected: AcquiredToken) => Effect.Effect<AcquiredToken | undefined, E>
  readonly dpopKey: DpopKey | undefined
  /** The error of a request for which no proof could be signed. */
  readonly unprovable: (error: KeelsonError.ConfigurationError) => E
}

const withToken = ({ request }: RequestTarget, { value }: AcquiredToken) =>
  HttpClientRequest.setHeader(request, "authorization", `Bearer ${Redacted.value(value)}`)

/**
 * Sends the requests of one call, retries and redirects included. A request to an origin of the guard carries a valid token. After a 401 the
 * token is replaced, also for later requests, and the request is sent again, once, if its body can be sent twice. If no
 * new token can be acquired, the call fails: an outage of the authorization server does not mean that the caller lacks permissions.
 * A 401 that rejects the proof of a bound token, and not the token, does not replace it.
 */
export const attachToken = <E>(
  send: HttpClient.HttpClient["postprocess"],
  { dpopKey, get, replace, unprovable }: TokenReader<E>
): (
  target: RequestTarget
) => Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError | E> => {
  let isRepeated = false
  return (target) => {
    if (!target.isOwn) return Effect.provideService(send(Effect.succeed(target.request)), IsForeignRequest, true)
    const sendWith = (token: AcquiredToken) =>
      dpopKey === undefined || token.tokenType === "Bearer"
        ? send(Effect.succeed(withToken(target, token)))
        : sendBound(send, dpopKey, target, token, { count: countRequest, mapError: unprovable })
    return Effect.flatMap(get, (token) =>
      Effect.flatMap(sendWith(token), (response) => {
        if (response.status !== 401 || isRepeated || isProofRejected(response)) return Effect.succeed(response)
        isRepeated = true
        const replacement = Effect.onError(replace(token), () => HttpRetry.discard(response))
        return Effect.flatMap(replacement, (newer) =>
          newer === undefined || !HttpReplay.isReplayable(target.request)
            ? Effect.succeed(response)
            : Effect.andThen(HttpRetry.discard(response), Effect.andThen(countRequest, sendWith(newer))))
      }))
  }
}
