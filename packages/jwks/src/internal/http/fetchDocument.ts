import * as ErrorCode from "@keelson/core/ErrorCode"
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as RetryAfter from "@keelson/core/RetryAfter"
import { type Instant, now } from "@keelson/core/unstable/Instant"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Egress, EgressResponse, Rules } from "../../Egress.ts"
import type { HeaderRecord } from "./freshness.ts"
import { conditionalHeaders } from "./validators.ts"

/** A failed request, with the `Retry-After` of its response. The code decides whether the request is retried. */
export class FetchFailed extends Data.TaggedError("FetchFailed")<{
  readonly code: ErrorCode.ErrorCode
  readonly error: KeelsonError.NetworkError
  readonly retryAfter: Duration.Duration | undefined
}> {}

/** Wraps an error in a `FetchFailed`. */
export const failed = (error: KeelsonError.NetworkError, retryAfter?: Duration.Duration): FetchFailed =>
  new FetchFailed({ code: error.code, error, retryAfter })

/** Makes an error of the category NETWORK. */
export const failure = (
  code: KeelsonError.CodeOf<"NETWORK">,
  message: string,
  details: Readonly<Record<string, unknown>> = {}
): KeelsonError.NetworkError => new KeelsonError.NetworkError({ code, message, details })

/** A request for a document. */
export interface DocumentRequest {
  readonly egress: Egress["Service"]
  readonly url: string
  readonly accept: string
  readonly rules: Rules
  /** The headers of the cached document, which make the request conditional. */
  readonly cachedHeaders: HeaderRecord | undefined
  /** Whether HTTP caches on the way must revalidate. */
  readonly noCache: boolean
  /** The error code for a response that is not a document. */
  readonly invalid: Invalid
}

type Invalid = "DISCOVERY_INVALID" | "JWKS_INVALID"

/** A document, or the confirmation that the cached one is still valid. */
export type DocumentResponse =
  & {
    /** When the request was sent, from which the age is counted (RFC 9111, 4.2.3). */
    readonly sentAt: Instant
    /** Wall clock, milliseconds. */
    readonly receivedAt: number
    readonly headers: HeaderRecord
  }
  & ({ readonly _tag: "Document"; readonly body: string } | { readonly _tag: "NotModified" })

const text = (body: Uint8Array, invalid: Invalid): Effect.Effect<string, FetchFailed> =>
  Effect.fromResult(Result.try({
    try: () => new TextDecoder("utf-8", { fatal: true }).decode(body),
    catch: () => failed(failure(invalid, "Document is not UTF-8"))
  }))

const statusFailure = (response: EgressResponse, receivedAt: number, invalid: Invalid): FetchFailed => {
  const code = ErrorCode.statusCode(response.status)
  const retryAfter = RetryAfter.parse(response.headers["retry-after"], receivedAt)
  const details = { status: response.status }
  const error = code !== undefined && isNetwork(code)
    ? failure(code, `Provider responded with status ${response.status}`, details)
    : failure(invalid, "Provider's response is not a document", details)
  return failed(error, retryAfter)
}

const isNetwork = (code: ErrorCode.ErrorCode): code is KeelsonError.CodeOf<"NETWORK"> =>
  ErrorCode.codeInfo[code].category === "NETWORK"

/**
 * Requests a document under the rules of its egress. A 304 is valid for a conditional request only.
 *
 * @see RFC 9110, 13.1 and RFC 9111, 4.3
 */
export const fetchDocument = Effect.fnUntraced(function*(
  { accept, cachedHeaders, egress, invalid, noCache, rules, url }: DocumentRequest
): Effect.fn.Return<DocumentResponse, FetchFailed> {
  const clock = yield* Clock.Clock
  const conditional = cachedHeaders === undefined ? {} : conditionalHeaders(cachedHeaders)
  const headers = { accept, ...conditional, ...(noCache ? { "cache-control": "no-cache" } : undefined) }
  const sentAt = now(clock)
  const response = yield* Effect.mapError(egress.get({ url, headers, rules }), (error) => failed(error))
  const received = { sentAt, receivedAt: clock.currentTimeMillisUnsafe(), headers: response.headers }
  if (response.status === 200) return { _tag: "Document", ...received, body: yield* text(response.body, invalid) }
  if (response.status !== 304) return yield* Effect.fail(statusFailure(response, received.receivedAt, invalid))
  return Object.keys(conditional).length > 0
    ? { _tag: "NotModified", ...received }
    : yield* Effect.fail(failed(failure(invalid, "Provider responded with status 304 to a request without validators")))
})
