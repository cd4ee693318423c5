/**
 * Answers from an entry of the cache.
 */
import type { CacheEntry } from "@keelson/cache/CacheEntry"
import type { CacheError } from "@keelson/cache/CacheError"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Conditional from "../../Conditional.ts"
import { type CacheResult, hit } from "./cacheStatus.ts"
import { refusals } from "./errorBody.ts"
import type { NodeExchange } from "./NodeExchange.ts"
import type { ServedBucket } from "./NodeServed.ts"
import { type PreparedEntry, prepareEntry } from "./preparedEntry.ts"

/** What is made once for an entry that stays in memory. */
const preparedOf = (bucket: ServedBucket, entry: CacheEntry): PreparedEntry => {
  const existing = bucket.prepared.get(entry)
  if (existing !== undefined) return existing
  const prepared = prepareEntry(
    entry,
    (headers) => bucket.headers.fromStore(200, headers),
    bucket.vary,
    bucket.options.public
  )
  bucket.prepared.set(entry, prepared)
  return prepared
}

/** How an answer came about, where it is not a plain hit. */
export interface Origin {
  readonly result: CacheResult
  readonly cacheStatus: string
}

/** Answers from an entry. Returns the effect that sends the body, where that is not in memory. */
export const answerEntry = (
  x: NodeExchange,
  bucket: ServedBucket,
  entry: CacheEntry,
  origin?: Origin
): Effect.Effect<void, CacheError> | undefined => {
  const prepared = preparedOf(bucket, entry)
  const now = x.shared.clock.currentTimeMillisUnsafe()
  const ttl = Math.floor((prepared.expiresAt - now) / 1000)
  x.result = origin?.result ?? "hit"
  x.cacheStatus = origin?.cacheStatus ?? hit(Number.isFinite(ttl) ? Math.max(0, ttl) : undefined)
  const headers = prepared.headers.slice()
  const confirmedAt = origin?.result === "revalidated" ? now : prepared.confirmedAt
  headers.push("age", String(Math.max(0, Math.floor((now - confirmedAt) / 1000))))
  const outcome = conditionsOf(x, { ...prepared, size: entry.length })
  switch (outcome.status) {
    case 200:
      return sendBody(x, entry, 200, headers, 0, entry.length)
    case 206: {
      const { from, to } = outcome
      const part = withoutChecksums(headers)
      part.push("content-range", `bytes ${from}-${to}/${entry.length}`)
      return sendBody(x, entry, 206, part, from, to - from + 1)
    }
    case 304:
      x.sendEmpty(304, notModified(headers))
      return undefined
    case 412:
      x.refuse(refusals.preconditionFailed)
      return undefined
    case 416:
      x.refuse(refusals.rangeInvalid, ["content-range", `bytes */${entry.length}`])
      return undefined
  }
}

const whole: Conditional.Outcome = { status: 200 }

/** What the preconditions and the range of a request say of an object. */
export const conditionsOf = (x: NodeExchange, object: Conditional.Representation): Conditional.Outcome => {
  const { headers, method = "GET" } = x.request
  for (const name of conditionNames) {
    if (headers[name] !== undefined) return Conditional.evaluate(method, headers, object)
  }
  return whole
}

const conditionNames = ["if-none-match", "range", "if-modified-since", "if-match", "if-unmodified-since"]

/** The headers that a 304 has (RFC 9110, 15.4.5); those of the body are left out. */
export const notModified = (headers: ReadonlyArray<string>): Array<string> =>
  pairsWithout(
    headers,
    (name) => !["etag", "cache-control", "vary", "expires", "age", "content-location", "last-modified"].includes(name)
  )

/** Checksums are those of the whole object. */
const withoutChecksums = (headers: ReadonlyArray<string>): Array<string> =>
  pairsWithout(headers, (name) => name.startsWith("x-amz-checksum-"))

const pairsWithout = (headers: ReadonlyArray<string>, leaves: (name: string) => boolean): Array<string> => {
  const kept: Array<string> = []
  for (let index = 0; index < headers.length; index += 2) {
    const [name = "", value = ""] = [headers[index], headers[index + 1]]
    if (!leaves(name)) kept.push(name, value)
  }
  return kept
}

const sendBody = (
  x: NodeExchange,
  { body }: CacheEntry,
  status: number,
  headers: Array<string>,
  start: number,
  length: number
): Effect.Effect<void, CacheError> | undefined => {
  if (body._tag === "Bytes") {
    const { bytes } = body
    x.send(status, headers, length === bytes.length ? bytes : bytes.subarray(start, start + length))
    return undefined
  }
  headers.push("content-length", String(length))
  if (x.isHead) {
    x.head(status, headers)
    x.response.end()
    return undefined
  }
  return sendStream(x, body.stream, status, headers, start, length)
}

/** Waits until the response takes more, or is closed. */
const drained = (x: NodeExchange): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const { response } = x
    const done = () => {
      response.off("drain", done)
      response.off("close", done)
      resume(Effect.void)
    }
    response.on("drain", done)
    response.on("close", done)
    if (response.destroyed || !response.writableNeedDrain) done()
  })

/**
 * Sends a part of a body that is read while it is sent. The head is sent with the first chunk: an entry that cannot be read at all is a
 * miss. A body that turns out to be damaged breaks the connection off.
 */
const sendStream = (
  x: NodeExchange,
  stream: Stream.Stream<Uint8Array, CacheError>,
  status: number,
  headers: Array<string>,
  start: number,
  length: number
): Effect.Effect<void, CacheError> => {
  let skip = start
  let left = length
  const write = (chunk: Uint8Array): Effect.Effect<void> => {
    const part = chunk.subarray(Math.min(skip, chunk.length), Math.min(chunk.length, skip + left))
    skip = Math.max(0, skip - chunk.length)
    if (!x.response.headersSent) x.head(status, headers)
    if (part.length === 0) return Effect.void
    left -= part.length
    x.sent += part.length
    return x.response.write(part) ? Effect.void : drained(x)
  }
  return Stream.takeUntil(stream, () => left === 0).pipe(
    Stream.runForEach((chunk) => Effect.suspend(() => write(chunk))),
    Effect.andThen(Effect.sync(() => {
      if (!x.response.headersSent) x.head(status, headers)
      x.response.end()
    })),
    Effect.catch((error) => {
      if (!x.response.headersSent) return Effect.fail(error)
      x.response.destroy()
      return Effect.void
    })
  )
}
