import * as ErrorCode from "@keelson/core/ErrorCode"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as RetryAfter from "@keelson/core/RetryAfter"
import { type Instant, now } from "@keelson/core/unstable/Instant"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Egress, EgressResponse, Rules } from "../../Egress.ts"
import { failed, failure, type FetchFailed } from "./fetchFailed.ts"
import type { HeaderRecord } from "./freshness.ts"
import { conditionalHeaders } from "./validators.ts"

/** What is asked for. */
export interface DocumentRequest {
  readonly egress: Egress["Service"]
  readonly url: string
  readonly accept: string
  readonly rules: Rules
  /** The headers of the document that is held, which makes the request conditional. */
  readonly held: HeaderRecord | undefined
  /** Whether caches on the way have to ask the origin. */
  readonly noCache: boolean
  /** The code of an answer that is no document. */
  readonly invalid: Invalid
}

type Invalid = "DISCOVERY_INVALID" | "JWKS_INVALID"

/** What came: a document, or that the one held is still good. */
export type DocumentAnswer =
  & {
    /** Before the request was sent: what comes later only seems younger than it is (RFC 9111, 4.2.3). */
    readonly sentAt: Instant
    /** Wall clock, milliseconds. */
    readonly receivedAt: number
    readonly headers: HeaderRecord
  }
  & ({ readonly _tag: "Document"; readonly body: string } | { readonly _tag: "NotModified" })

const text = (body: Uint8Array, invalid: Invalid): Effect.Effect<string, FetchFailed> =>
  Effect.fromResult(Result.try({
    try: () => new TextDecoder("utf-8", { fatal: true }).decode(body),
    catch: () => failed(failure(invalid, "The document is not UTF-8"))
  }))

const statusFailure = (response: EgressResponse, receivedAt: number, invalid: Invalid): FetchFailed => {
  const code = ErrorCode.statusCode(response.status)
  const retryAfter = RetryAfter.parse(response.headers["retry-after"], receivedAt)
  const details = { status: response.status }
  const error = code !== undefined && isNetwork(code)
    ? failure(code, `The provider answered with status ${response.status}`, details)
    : failure(invalid, "The provider's answer is not a document", details)
  return failed(error, retryAfter)
}

const isNetwork = (code: ErrorCode.ErrorCode): code is KeelsonError.CodeOf<"NETWORK"> =>
  ErrorCode.codeInfo[code].category === "NETWORK"

/**
 * One request for a document, bounded by the rules of its egress. A 304 is an answer, and only to a conditional request.
 *
 * @see RFC 9110, 13.1 and RFC 9111, 4.3
 */
export const fetchDocument = Effect.fnUntraced(function*(
  { accept, egress, held, invalid, noCache, rules, url }: DocumentRequest
): Effect.fn.Return<DocumentAnswer, FetchFailed> {
  const clock = yield* Clock.Clock
  const conditional = held === undefined ? {} : conditionalHeaders(held)
  const headers = { accept, ...conditional, ...(noCache ? { "cache-control": "no-cache" } : undefined) }
  const sentAt = now(clock)
  const response = yield* Effect.mapError(egress.get({ url, headers, rules }), (error) => failed(error))
  const received = { sentAt, receivedAt: clock.currentTimeMillisUnsafe(), headers: response.headers }
  if (response.status === 200) return { _tag: "Document", ...received, body: yield* text(response.body, invalid) }
  if (response.status !== 304) return yield* Effect.fail(statusFailure(response, received.receivedAt, invalid))
  return Object.keys(conditional).length > 0
    ? { _tag: "NotModified", ...received }
    : yield* Effect.fail(failed(failure(invalid, "A 304 came where nothing is held")))
})
