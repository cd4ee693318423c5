import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type { CustomFetchOptions } from "oauth4webapi"
import { exchange, type ExchangeFailed, type ExchangeLimits, type ReceivedResponse } from "./exchange.ts"

/** What one call of the OAuth library exchanged with the server. Says more than the library's errors. */
export interface ExchangeRecord {
  response: ReceivedResponse | undefined
  failure: ExchangeFailed | undefined
  /** The response body, if it is a JSON object. */
  json: Readonly<Record<string, unknown>> | undefined
}

const parse = (body: Uint8Array): Readonly<Record<string, unknown>> | undefined => {
  const json = Result.getOrUndefined(Result.try((): unknown => JSON.parse(new TextDecoder().decode(body))))
  return Predicate.isObject(json) ? { ...json } : undefined
}

/** The body without an ID token: nothing reads it, and the library would check its times against another clock than Effect's. */
const bodyForLibrary = ({ json, response }: ExchangeRecord): BodyInit | undefined => {
  if (json === undefined || !Object.hasOwn(json, "id_token")) return response?.body
  const { id_token: _, ...rest } = json
  return JSON.stringify(rest)
}

/**
 * A `fetch` for the OAuth library that uses the client of token requests. It runs in the caller's context, for spans, clock and
 * deadline. It reads the whole body here, so that interruption and limits cover the body too. Nothing below it retries.
 */
export const oauthFetch = (limits: ExchangeLimits, record: ExchangeRecord) =>
  Effect.map(Effect.context(), (context) =>
  async (
    url: string,
    { body, headers, signal }: CustomFetchOptions<"POST", URLSearchParams>
  ): Promise<Response> => {
    const request = HttpClientRequest.post(url, { headers }).pipe(
      HttpClientRequest.bodyText(body.toString(), "application/x-www-form-urlencoded;charset=UTF-8")
    )
    const recorded = Effect.match(exchange(request, limits), {
      onFailure: (failure) => {
        record.failure = failure
      },
      onSuccess: (response) => {
        record.response = response
        record.json = parse(response.body)
      }
    })
    await Effect.runPromiseWith(context)(recorded, signal === undefined ? undefined : { signal })
    if (record.response === undefined) throw record.failure ?? new Error("no response")
    const { headers: received, status } = record.response
    return new Response(status === 204 || status === 205 || status === 304 ? null : bodyForLibrary(record) ?? null, {
      status,
      headers: received
    })
  })
