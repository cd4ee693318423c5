import * as HttpRetry from "@keelson/core/HttpRetry"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Redacted from "effect/Redacted"
import type { AcquiredToken } from "../../AcquiredToken.ts"
import type { Target } from "./target.ts"

/** Counts the requests of one call, retries and replays among them. */
export const Sent = Context.Reference<{ count: number } | undefined>("@keelson/token/Sent", {
  defaultValue: () => undefined
})

/** One more of them. */
export const sending: Effect.Effect<void> = Effect.map(Sent, (sent) => {
  if (sent !== undefined) sent.count++
})

/** A token to send, and another one in place of one that was refused. */
export interface Tokens<out E> {
  readonly get: Effect.Effect<AcquiredToken, E>
  readonly replace: (refused: AcquiredToken) => Effect.Effect<AcquiredToken | undefined, E>
}

const withToken = ({ request }: Target, { value }: AcquiredToken) =>
  HttpClientRequest.setHeader(request, "authorization", `Bearer ${Redacted.value(value)}`)

/**
 * Sends the requests of one call, redirects included, each to an origin of its own with a valid token. A 401 has the
 * token replaced, also for the requests that follow, and the request sent again, once, if it can be. Where no new token is
 * to be had the call fails: that the authorization server is away does not mean that the caller may not do this.
 */
export const attachToken = <E>(
  send: HttpClient.HttpClient["postprocess"],
  { get, replace }: Tokens<E>
): (target: Target) => Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError | E> => {
  let isReplayed = false
  return (target) => {
    if (!target.isOwn) return send(Effect.succeed(target.request))
    const attempt = (envelope: AcquiredToken) => send(Effect.succeed(withToken(target, envelope)))
    return Effect.flatMap(get, (envelope) =>
      Effect.flatMap(attempt(envelope), (response) => {
        if (response.status !== 401 || isReplayed) return Effect.succeed(response)
        isReplayed = true
        const replaced = Effect.onError(replace(envelope), () => HttpRetry.discard(response))
        return Effect.flatMap(replaced, (newer) =>
          newer === undefined || !HttpRetry.isReplayable(target.request)
            ? Effect.succeed(response)
            : Effect.andThen(HttpRetry.discard(response), Effect.andThen(sending, attempt(newer))))
      }))
  }
}
