import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type { CustomFetchOptions } from "oauth4webapi"
import { type Answer, exchange, type ExchangeFailed, type Limits } from "./exchange.ts"

/** What went over the bridge in one call, which says more than the library's errors. */
export interface Seen {
  answer: Answer | undefined
  failure: ExchangeFailed | undefined
  /** The body, where it is a JSON object. */
  json: Readonly<Record<string, unknown>> | undefined
}

const parse = (body: Uint8Array): Readonly<Record<string, unknown>> | undefined => {
  const json = Result.getOrUndefined(Result.try((): unknown => JSON.parse(new TextDecoder().decode(body))))
  return Predicate.isObject(json) ? { ...json } : undefined
}

/** Without the ID token: nothing reads it, and the library would compare its times with a clock that is not ours. */
const readable = ({ json, answer }: Seen): BodyInit | undefined => {
  if (json === undefined || !Object.hasOwn(json, "id_token")) return answer?.body
  const { id_token: _, ...rest } = json
  return JSON.stringify(rest)
}

/**
 * The library's `fetch`, over the client of token requests: in the caller's context, so that spans, clock and deadline are
 * its own. The whole body is read here, so that interruption and limits cover it. Nothing below sends a request twice.
 */
export const oauthFetch = (limits: Limits, seen: Seen) =>
  Effect.map(Effect.context(), (context) =>
  async (
    url: string,
    { body, headers, signal }: CustomFetchOptions<"POST", URLSearchParams>
  ): Promise<Response> => {
    const request = HttpClientRequest.post(url, { headers }).pipe(
      HttpClientRequest.bodyText(body.toString(), "application/x-www-form-urlencoded;charset=UTF-8")
    )
    const noted = Effect.match(exchange(request, limits), {
      onFailure: (failure) => {
        seen.failure = failure
      },
      onSuccess: (answer) => {
        seen.answer = answer
        seen.json = parse(answer.body)
      }
    })
    await Effect.runPromiseWith(context)(noted, signal === undefined ? undefined : { signal })
    if (seen.answer === undefined) throw seen.failure ?? new Error("no answer")
    const { headers: received, status } = seen.answer
    return new Response(status === 204 || status === 205 || status === 304 ? null : readable(seen) ?? null, {
      status,
      headers: received
    })
  })
