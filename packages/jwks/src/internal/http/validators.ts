/**
 * What is kept of a response's headers, what a refresh sends of them, and what a 304 changes in them.
 *
 * @see RFC 9111, section 4.3 and RFC 9110, section 13.1
 */
import { type HeaderRecord, httpDate } from "./freshness.ts"

/** They tell one body from another, and belong to the body. */
const validators = ["etag", "last-modified"]

/** They hold until another response replaces them. */
const lasting = ["cache-control", "expires", "vary"]

/** They are about one message alone. */
const momentary = ["age", "date"]

const pick = (headers: HeaderRecord, names: ReadonlyArray<string>): HeaderRecord =>
  Object.fromEntries(names.flatMap((name) => {
    const value = headers[name]
    return value === undefined ? [] : [[name, value]]
  }))

/** More of one would be sent back with every refresh, to an origin that may refuse such a request for ever (RFC 6585, 5). */
const maxLength = 1_024

/** The validators of a response. One that is too long counts as absent. */
const validatorsOf = (headers: HeaderRecord): HeaderRecord =>
  pick(headers, validators.filter((name) => (headers[name]?.length ?? 0) <= maxLength))

/** One entity tag (RFC 9110, 8.8.3). Never `*`, which any body would match, nor a list. */
const entityTag = /^(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"$/u

/**
 * The headers that make a refresh conditional: `if-none-match` and `if-modified-since`, each where the stored response
 * has a valid `ETag` or `Last-Modified` of at most 1024 characters; none without. A weak tag stays weak, since `If-None-Match` compares weakly.
 *
 * Neither `no-store` nor `Vary: *` hinders them: they forbid using what is held without asking, and this is asking.
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

/** The headers that are kept of a response: validators of a fair length, and what its lifetime depends on. */
export const kept = (headers: HeaderRecord): HeaderRecord => ({
  ...validatorsOf(headers),
  ...pick(headers, [...lasting, ...momentary])
})

/**
 * The headers to keep after a 304. Each that it has replaces the stored one, and those that it lacks apply anew.
 *
 * - `Age` and `Date` are those of the 304 or none: they tell when a message was made. Without a `Date` the time of
 *   reception stands for it (RFC 9110, 6.6.1), so that a stored `Expires` is not counted from its start again.
 * - The validators stay those stored, as they are of the body that is held, and a 304 brings none. With another tag
 *   taken over, an origin could confirm for ever a body that was never fetched.
 *
 * @see RFC 9111, sections 3.2 and 4.3.4
 */
export const merged = (stored: HeaderRecord, notModified: HeaderRecord): HeaderRecord => ({
  ...pick(stored, [...validators, ...lasting]),
  ...pick(notModified, [...lasting, ...momentary])
})
