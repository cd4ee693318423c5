import * as HttpRetry from "@keelson/core/HttpRetry"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as HttpReplay from "@keelson/core/unstable/HttpReplay"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import type * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Redacted from "effect/Redacted"
import type { AcquiredToken } from "../../AcquiredToken.ts"
import type { DpopKey } from "../../DpopKey.ts"
import { dpopError } from "../dpop/clientChallenge.ts"
import type { RequestTarget } from "./target.ts"

type Response = HttpClientResponse.HttpClientResponse

const errorOf = ({ headers, status }: Response): string | undefined =>
  status === 401 ? dpopError(headers["www-authenticate"]) : undefined

/** Whether the server demands a nonce (RFC 9449, 9). */
const demandsNonce = (response: Response): boolean => errorOf(response) === "use_dpop_nonce"

/** Whether a response rejects the proof, and not the token: a new token would not help (RFC 9449, 7.1 and 9). */
export const isProofRejected = (response: Response): boolean =>
  demandsNonce(response) || errorOf(response) === "invalid_dpop_proof"

/** The client's own span has the headers of request and response. */
const redactProofs = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(
    Headers.CurrentRedactedNames,
    (names) => Effect.provideService(self, Headers.CurrentRedactedNames, [...names, "dpop", "dpop-nonce"])
  )

/**
 * Sends a request with a token and a proof. The proof is a part of the request's effect, so that a client that repeats a request
 * signs another one for each attempt.
 */
const sendOnce = <E>(
  send: HttpClient.HttpClient["postprocess"],
  key: DpopKey,
  { request, url }: RequestTarget,
  { value }: AcquiredToken,
  mapError: (error: KeelsonError.ConfigurationError) => E
): Effect.Effect<Response, HttpClientError.HttpClientError | E> =>
  Effect.suspend(() => {
    let failure: { readonly error: E } | undefined
    const proven = Effect.mapBoth(key.proof({ method: request.method, url, accessToken: value }), {
      onFailure: (cause) => {
        failure = { error: mapError(cause) }
        return new HttpClientError.HttpClientError({ reason: new HttpClientError.EncodeError({ request, cause }) })
      },
      onSuccess: (proof) =>
        HttpClientRequest.setHeaders(request, {
          authorization: `DPoP ${Redacted.value(value)}`,
          dpop: Redacted.value(proof)
        })
    })
    return Effect.mapError(redactProofs(send(proven)), (error) => failure === undefined ? error : failure.error)
  })

/**
 * Sends a request with a token that is bound to a key. If the server demands a nonce, the request is sent again with it, once, if
 * its body can be sent twice. The nonce of each response is kept.
 *
 * @see RFC 9449, 7.1 and 9
 */
export const sendBound = <E>(
  send: HttpClient.HttpClient["postprocess"],
  key: DpopKey,
  target: RequestTarget,
  token: AcquiredToken,
  { count, mapError }: {
    readonly count: Effect.Effect<void>
    readonly mapError: (error: KeelsonError.ConfigurationError) => E
  }
): Effect.Effect<Response, HttpClientError.HttpClientError | E> => {
  const keep = ({ headers }: Response) => key.keepNonce("resourceServer", target.url, headers["dpop-nonce"])
  const once = sendOnce(send, key, target, token, mapError)
  return Effect.flatMap(once, (response) => {
    const hasNonce = keep(response)
    return hasNonce && demandsNonce(response) && HttpReplay.isReplayable(target.request)
      ? Effect.andThen(
        HttpRetry.discard(response),
        Effect.andThen(count, Effect.tap(once, (next) => Effect.sync(() => keep(next))))
      )
      : Effect.succeed(response)
  })
}
