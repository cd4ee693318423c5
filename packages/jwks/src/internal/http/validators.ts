/**
 * Selects the response headers to keep, those that a refresh sends, and those that a 304 replaces.
 *
 * @see RFC 9111, section 4.3 and RFC 9110, section 13.1
 */
import { type HeaderRecord, httpDate } from "./freshness.ts"

/** Headers that identify a body, and belong to it. */
const validators = ["etag", "last-modified"]

/** Headers that apply until another response replaces them. */
const lasting = ["cache-control", "expires", "vary"]

/** Headers that apply to one message only. */
const momentary = ["age", "date"]

const pick = (headers: HeaderRecord, names: ReadonlyArray<string>): HeaderRecord =>
  Object.fromEntries(names.flatMap((name) => {
    const value = headers[name]
    return value === undefined ? [] : [[name, value]]
  }))

/** Longest validator that is kept. Each refresh sends it, and an origin may reject large headers every time (RFC 6585, 5). */
const maxLength = 1_024

/** Returns the validators of a response. One that is too long counts as absent. */
const validatorsOf = (headers: HeaderRecord): HeaderRecord =>
  pick(headers, validators.filter((name) => (headers[name]?.length ?? 0) <= maxLength))

/** One entity tag (RFC 9110, 8.8.3): neither a list, nor `*`, which every body matches. */
const entityTag = /^(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"$/u

/**
 * Returns the headers that make a refresh conditional: `if-none-match` and `if-modified-since`, if the stored response has a
 * valid `ETag` or `Last-Modified` of at most 1024 characters. A weak tag stays weak, since `If-None-Match` compares weakly.
 *
 * `no-store` and `Vary: *` do not prevent this: they forbid using a stored response without revalidation.
 *
 * @see RFC 9110, sections 13.1.2 and 13.1.3
 */
export const conditionalHeaders = (headers: HeaderRecord): HeaderRecord => {
  const stored = validatorsOf(headers)
  const etag = stored["etag"]?.trim() ?? ""
  const lastModified = stored["last-modified"]?.trim() ?? ""
  return {
    ...(entityTag.test(etag) ? { "if-none-match": etag } : undefined),
    ...(httpDate(lastModified) === undefined ? undefined : { "if-modified-since": lastModified })
  }
}

/** Returns the headers of a response to keep: validators that are not too long, and those that the lifetime depends on. */
export const kept = (headers: HeaderRecord): HeaderRecord => ({
  ...validatorsOf(headers),
  ...pick(headers, [...lasting, ...momentary])
})

/**
 * Returns the headers to keep after a 304. Headers of the 304 replace the stored ones; stored headers that it omits apply
 * again.
 *
 * - `Age` and `Date` are taken from the 304 only, since they describe when a message was generated. Without a `Date` the
 *   time of reception replaces it (RFC 9110, 6.6.1), so that a stored `Expires` does not start a full lifetime again.
 * - The stored validators stay, since they belong to the stored body, and a 304 has no body. If the tag of a 304 replaced
 *   them, an origin could confirm forever a body that was never fetched.
 *
 * @see RFC 9111, sections 3.2 and 4.3.4
 */
export const merged = (stored: HeaderRecord, notModified: HeaderRecord): HeaderRecord => ({
  ...pick(stored, [...validators, ...lasting]),
  ...pick(notModified, [...lasting, ...momentary])
})
