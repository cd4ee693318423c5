import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type { CustomFetchOptions } from "oauth4webapi"
import { type AnswerBody, readBody } from "./answerBody.ts"
import { exchange, type ExchangeFailed, type ExchangeLimits, type ReceivedResponse } from "./exchange.ts"

/** What one call of the OAuth library exchanged with the server. */
export interface ExchangeRecord {
  response: ReceivedResponse | undefined
  failure: ExchangeFailed | undefined
  /** The members of the response body. */
  answer: AnswerBody
}

/**
 * A `fetch` for the OAuth library, which makes the request; the response is read from the record. It uses the client of token
 * requests, and runs in the caller's context, for spans, clock and deadline. It reads the whole body here, so that interruption
 * and limits cover the body too. Nothing below it retries.
 */
export const oauthFetch = (limits: ExchangeLimits, record: ExchangeRecord) =>
  Effect.map(Effect.context(), (context) =>
  async (
    url: string,
    { body, headers, signal }: CustomFetchOptions<"POST", URLSearchParams>
  ): Promise<Response> => {
    const request = HttpClientRequest.post(url, { headers }).pipe(
      // Without a charset, which some servers refuse (RFC 6749, appendix B).
      HttpClientRequest.bodyText(body.toString(), "application/x-www-form-urlencoded")
    )
    const recorded = Effect.match(exchange(request, limits), {
      onFailure: (failure) => {
        record.failure = failure
      },
      onSuccess: (response) => {
        record.response = response
        record.answer = readBody(response)
      }
    })
    await Effect.runPromiseWith(context)(recorded, signal === undefined ? undefined : { signal })
    return new Response()
  })
