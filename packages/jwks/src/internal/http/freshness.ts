/**
 * Computes how long a response is fresh, and how far the clock of its origin differs from the local clock.
 *
 * Everything is evaluated once, when the response arrives. Only the lifetime is kept, and is then measured on the
 * monotonic clock.
 *
 * @see RFC 9111, section 4.2
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Headers from "effect/http/Headers"
import * as Result from "effect/Result"
import CachePolicy from "http-cache-semantics"
import * as CacheControl from "./cacheControl.ts"

/** Headers of a response: names in lower case, values of the same name joined with a comma. */
export type HeaderRecord = Readonly<Record<string, string>>

/** The bounds of a lifetime in a provider's options. */
export interface Bounds {
  /** Lifetime of a response that states none. It is not clamped to the other two. */
  readonly ttl: Duration.Duration
  /** Lower bound of the lifetime that a response states. */
  readonly minTtl: Duration.Duration
  /** Upper bound of the lifetime that a response states; at least `minTtl`. */
  readonly maxTtl: Duration.Duration
}

/** Parses an HTTP date (RFC 9110, 5.6.7); `undefined` if it is absent or invalid. */
export const httpDate = (value: string | undefined): DateTime.Utc | undefined =>
  value === undefined ? undefined : Result.getOrUndefined(Headers.parseHttpDate(value))

/** Returns the `Age` in seconds: its first member, or 0 if that is absent or invalid (RFC 9111, 5.1). */
const age = (headers: HeaderRecord): number => CacheControl.deltaSeconds(headers["age"]?.split(",")[0]?.trim()) ?? 0

/** Whether `Vary` contains `*`: the stored response then must be revalidated before each use (RFC 9111, 4.1). */
const variesOnAnything = (headers: HeaderRecord): boolean =>
  (headers["vary"] ?? "").split(",").some((member) => member.trim() === "*")

/** The directive of `Cache-Control` that forbids reusing a response without revalidation; `undefined` if there is none. */
export const forbiddenBy = (headers: HeaderRecord): "no-store" | "no-cache" | undefined => {
  const directives = CacheControl.parse(headers["cache-control"] ?? "")
  return (["no-store", "no-cache"] as const).find((name) => directives.some((directive) => directive.name === name))
}

/** Converts an HTTP date to ISO 8601, the only format that all engines must parse alike. */
const isoDate = (value: string | undefined): string | undefined => {
  const date = httpDate(value)
  return date === undefined ? undefined : DateTime.formatIso(date)
}

/**
 * Returns the lifetime less the age, in milliseconds. The headers must contain only valid values, and neither
 * `stale-while-revalidate` nor `stale-if-error`, which `timeToLive` would add.
 */
const remaining = (headers: Readonly<Record<string, string | undefined>>, receivedAt: number): number => {
  class AtReception extends CachePolicy {
    now(): number {
      return receivedAt
    }
  }
  return new AtReception({ method: "GET", url: "/", headers: {} }, { status: 200, headers }).timeToLive()
}

/**
 * Returns the lifetime that a response states, less its `Age`: from 0 to 2^31 s. `undefined` if it states none, so that `ttl`
 * applies. `receivedAt` is in wall-clock milliseconds.
 *
 * - `no-store`, `no-cache` (also with field names) and `Vary: *` give zero: the next refresh is due as soon as `minTtl`
 *   allows. Otherwise `s-maxage` takes precedence over `max-age`, and `max-age` over `Expires`.
 * - `s-maxage` applies because all users of an application share a key set. A key set contains nothing private, so `private`
 *   and `Set-Cookie` are ignored.
 * - Invalid values count as zero, not as absent: text, a sign, a fraction, one directive with two values, an `Expires` that
 *   is not a date.
 * - `Expires` is compared with the origin's own `Date`, so that a wrong clock at the origin has no effect; without a valid
 *   `Date`, with `receivedAt`. For the same reason the age is taken from `Age`, not computed from `Date`.
 * - `stale-while-revalidate`, `stale-if-error`, `immutable`, `must-revalidate`, `Pragma` and `Last-Modified` are ignored.
 *   `staleWindow` decides how long stale keys are used.
 *
 * @see RFC 9111, sections 4.2 and 5.2.2
 */
export const statedLifetime = (headers: HeaderRecord, receivedAt: number): Duration.Duration | undefined => {
  const directives = CacheControl.parse(headers["cache-control"] ?? "")
  if (variesOnAnything(headers) || forbiddenBy(headers) !== undefined) return Duration.zero
  const stated = (["s-maxage", "max-age"] as const).flatMap((name) => {
    const seconds = CacheControl.seconds(directives, name)
    return seconds === undefined ? [] : [`${name}=${seconds}`]
  })
  const expires = headers["expires"]
  if (stated.length === 0 && expires === undefined) return undefined
  const left = remaining({
    "cache-control": stated.join(", "),
    // An invalid `Expires` is left out, which gives a lifetime of zero.
    expires: isoDate(expires),
    date: isoDate(headers["date"]),
    age: String(age(headers))
  }, receivedAt)
  return Duration.millis(Math.min(left, 1000 * CacheControl.maxSeconds))
}

/** Returns the lifetime of a response: the stated one clamped to `minTtl` and `maxTtl`, or `ttl` if it states none. */
export const lifetime = (headers: HeaderRecord, receivedAt: number, bounds: Bounds): Duration.Duration => {
  const stated = statedLifetime(headers, receivedAt)
  return stated === undefined
    ? bounds.ttl
    : Duration.clamp(stated, { minimum: bounds.minTtl, maximum: bounds.maxTtl })
}

/**
 * Returns by how many seconds the origin's clock is ahead of the local clock; negative if it is behind, `undefined` without a valid
 * `Date`. `Date` has whole seconds, so a difference of up to one second is noise. `receivedAt` is in wall-clock milliseconds.
 *
 * Most caches between keep the origin's `Date`, which is then older by the `Age`; some replace it with the time of sending.
 * The response does not show which, so the result is the smaller skew: the part that both interpretations agree on.
 *
 * @see RFC 9110, section 6.6.1 and RFC 9111, section 5.1
 */
export const clockSkew = (headers: HeaderRecord, receivedAt: number): number | undefined => {
  const date = httpDate(headers["date"])
  if (date === undefined) return undefined
  const ahead = (DateTime.toEpochMillis(date) - receivedAt) / 1000
  return Math.min(ahead + age(headers), Math.max(ahead, 0))
}
