/**
 * Preconditions and ranges: what a request gets of an object whose validators are known.
 *
 * The rules are those of RFC 9110, for an object that exists. They need no body, and never throw.
 */
import * as Headers from "effect/http/Headers"
import * as Result from "effect/Result"
import { byteRange } from "./internal/conditional/byteRange.ts"
import { entityTagOf, isStrongly, listHas } from "./internal/conditional/entityTags.ts"

/** What is known of the object. */
export interface Representation {
  /** The length of the whole body in bytes. */
  readonly size: number
  /** The value of `ETag`. */
  readonly etag?: string | undefined
  /** The value of `Last-Modified`. */
  readonly lastModified?: string | undefined
  /** The value of `Date` of the response that had `lastModified`. Without it, `lastModified` does not count as a strong validator. */
  readonly date?: string | undefined
}

/** The headers of a request, by name in lower case, as Node.js has them. */
export type RequestHeaders = Readonly<Record<string, string | ReadonlyArray<string> | undefined>>

/** The whole body. */
export interface Whole {
  readonly status: 200
}

/** The bytes from `from` to `to`, both included, with `Content-Range: bytes from-to/size`. */
export interface Partial {
  readonly status: 206
  readonly from: number
  readonly to: number
}

/** `If-None-Match` or `If-Modified-Since` says that the client has the object. */
export interface NotModified {
  readonly status: 304
}

/** `If-Match` or `If-Unmodified-Since` does not hold; or, for a write, `If-None-Match`. */
export interface PreconditionFailed {
  readonly status: 412
}

/** The range has no byte of the object. The response has `Content-Range: bytes *\/size`. */
export interface NotSatisfiable {
  readonly status: 416
}

/** What a request gets. */
export type Outcome = Whole | Partial | NotModified | PreconditionFailed | NotSatisfiable

const whole: Whole = { status: 200 }
const notModified: NotModified = { status: 304 }
const failed: PreconditionFailed = { status: 412 }
const notSatisfiable: NotSatisfiable = { status: 416 }

/** A header's value; the lines of one that is repeated are one list (RFC 9110, 5.3). */
const valueOf = (headers: RequestHeaders, name: string): string | undefined => {
  const value = headers[name]
  return value === undefined || typeof value === "string" ? value : value.join(", ")
}

/** A date in milliseconds; `undefined` for text that is none, which is ignored (RFC 9110, 13.1.3 and 13.1.4). */
const dateOf = (text: string | undefined): number | undefined => {
  if (text === undefined) return undefined
  const parsed = Headers.parseHttpDate(text)
  return Result.isSuccess(parsed) ? parsed.success.epochMilliseconds : undefined
}

/** Whether the object was modified after a date. `undefined` if one of the dates is unknown: the condition is then ignored. */
const modifiedAfter = (lastModified: string | undefined, text: string): boolean | undefined => {
  const modified = dateOf(lastModified)
  const given = dateOf(text)
  return modified === undefined || given === undefined ? undefined : modified > given
}

/** Steps 1 and 2: whether the object is still the one that the client expects. */
const isExpected = (headers: RequestHeaders, object: Representation): boolean => {
  const match = valueOf(headers, "if-match")
  if (match !== undefined) return listHas(match, entityTagOf(object.etag), true)
  const since = valueOf(headers, "if-unmodified-since")
  return since === undefined || modifiedAfter(object.lastModified, since) !== true
}

/** Steps 3 and 4: whether the client has the object already. */
const isKnown = (headers: RequestHeaders, object: Representation, isRead: boolean): boolean => {
  const noneMatch = valueOf(headers, "if-none-match")
  if (noneMatch !== undefined) return listHas(noneMatch, entityTagOf(object.etag), false)
  const since = valueOf(headers, "if-modified-since")
  return isRead && since !== undefined && modifiedAfter(object.lastModified, since) === false
}

/** Step 5: whether the range may be used, because the client's other parts are of the same object (RFC 9110, 13.1.5). */
const isSameObject = (condition: string, object: Representation): boolean => {
  if (/^\s*(?:W\/)?"/.test(condition)) return isStrongly(condition.trim(), entityTagOf(object.etag))
  const given = dateOf(condition)
  // Clients of S3 write entity tags without quotes.
  if (given === undefined) return isStrongly(condition.trim(), entityTagOf(object.etag))
  const modified = dateOf(object.lastModified)
  const sent = dateOf(object.date)
  return modified !== undefined && sent !== undefined && modified === given && sent - modified >= 1000
}

/**
 * Evaluates the preconditions of a request in the order of RFC 9110, 13.2.2, then its range.
 *
 * - Entity tags: `If-Match` and `If-Range` compare strongly, `If-None-Match` weakly. Tags without quotes are accepted, as S3 does. The
 *   text of a tag has no meaning: those with `-N`, of objects that were uploaded in parts, are tags like others.
 * - Dates that cannot be read are ignored.
 * - Ranges: of `GET` only. One range is answered with 206; several ones, and those of other units, with the whole body. A range that
 *   begins after the end, and each range of an empty object, is a 416.
 *
 * **Example** (A range of an object)
 *
 * ```ts import.meta.vitest
 * import { Conditional } from "@keelson/gateway"
 *
 * const object = { size: 10, etag: "\"a-2\"" }
 * Conditional.evaluate("GET", { range: "bytes=-4" }, object) // => { status: 206, from: 6, to: 9 }
 * Conditional.evaluate("GET", { "if-none-match": "W/\"a-2\"" }, object) // => { status: 304 }
 * Conditional.evaluate("GET", { "if-match": "\"b\"", range: "bytes=0-" }, object) // => { status: 412 }
 * ```
 *
 * @see RFC 9110, 8.8.3.2, 13.1, 13.2.2 and 14.2
 */
export const evaluate = (method: string, headers: RequestHeaders, object: Representation): Outcome => {
  const isRead = method === "GET" || method === "HEAD"
  if (!isExpected(headers, object)) return failed
  if (isKnown(headers, object, isRead)) return isRead ? notModified : failed
  const range = method === "GET" ? valueOf(headers, "range") : undefined
  if (range === undefined) return whole
  const condition = valueOf(headers, "if-range")
  if (condition !== undefined && !isSameObject(condition, object)) return whole
  const bytes = byteRange(range, object.size)
  if (bytes === undefined) return whole
  return bytes === "unsatisfiable" ? notSatisfiable : { status: 206, from: bytes.from, to: bytes.to }
}

/** The value of `Content-Range` for a 206 and a 416 (RFC 9110, 14.4); `undefined` for others. */
export const contentRange = (outcome: Outcome, size: number): string | undefined => {
  if (outcome.status === 206) return `bytes ${outcome.from}-${outcome.to}/${size}`
  return outcome.status === 416 ? `bytes */${size}` : undefined
}
