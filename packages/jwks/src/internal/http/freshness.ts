/**
 * For how long a response is fresh, and how far its origin's clock is from ours.
 *
 * Everything is evaluated once, when the response arrives. Only the lifetime lives on, and is counted on the monotonic
 * clock.
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

/** The lifetimes that a provider's options allow. */
export interface Bounds {
  /** Where a response says nothing. It has a range of its own, and is not held within the other two. */
  readonly ttl: Duration.Duration
  /** The least of what a response says. */
  readonly minTtl: Duration.Duration
  /** The most of what a response says; not below `minTtl`. */
  readonly maxTtl: Duration.Duration
}

/** Parses an HTTP date (RFC 9110, 5.6.7); `undefined` if it is absent or invalid. */
export const httpDate = (value: string | undefined): DateTime.Utc | undefined =>
  value === undefined ? undefined : Result.getOrUndefined(Headers.parseHttpDate(value))

/** The first member counts, and an invalid one not at all (RFC 9111, 5.1). */
const age = (headers: HeaderRecord): number => CacheControl.deltaSeconds(headers["age"]?.split(",")[0]?.trim()) ?? 0

/** No stored response fits a `*` without its origin being asked (RFC 9111, 4.1). */
const variesOnAnything = (headers: HeaderRecord): boolean =>
  (headers["vary"] ?? "").split(",").some((member) => member.trim() === "*")

/** In the one date format that every engine has to read in the same way. */
const isoDate = (value: string | undefined): string | undefined => {
  const date = httpDate(value)
  return date === undefined ? undefined : DateTime.formatIso(date)
}

/**
 * The lifetime less the age, in milliseconds, by headers that hold nothing but what is valid and concerns us. Time to
 * live would count `stale-while-revalidate` and `stale-if-error` too.
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
 * For how long a response says that it is fresh, less its `Age`: from 0 to 2^31 s. `undefined` where it says nothing, so
 * that `ttl` applies. `receivedAt` is in wall-clock milliseconds.
 *
 * - `no-store`, `no-cache` (with field names too) and `Vary: *` are zero: the next use is a refresh, as soon as `minTtl`
 *   allows. Otherwise `s-maxage` counts before `max-age`, and that before `Expires`.
 * - `s-maxage` counts since a key set is shared by all users of an application. For the same reason nothing in it is
 *   anybody's own, and `private` and `Set-Cookie` change nothing.
 * - What is invalid is zero, never silence: text, a sign, a fraction, one directive with two values, an `Expires` that
 *   is no date.
 * - `Expires` is measured against the origin's own `Date`, so that a wrong clock there does no harm; without a valid
 *   one, against `receivedAt`. For the same reason age is what `Age` says, and not how old `Date` looks.
 * - `stale-while-revalidate`, `stale-if-error`, `immutable`, `must-revalidate`, `Pragma` and `Last-Modified` say nothing.
 *   How long stale keys are served is up to `staleWindow`.
 *
 * @see RFC 9111, sections 4.2 and 5.2.2
 */
export const statedLifetime = (headers: HeaderRecord, receivedAt: number): Duration.Duration | undefined => {
  const directives = CacheControl.parse(headers["cache-control"] ?? "")
  if (variesOnAnything(headers) || directives.some(({ name }) => name === "no-store" || name === "no-cache")) {
    return Duration.zero
  }
  const stated = (["s-maxage", "max-age"] as const).flatMap((name) => {
    const seconds = CacheControl.seconds(directives, name)
    return seconds === undefined ? [] : [`${name}=${seconds}`]
  })
  const expires = headers["expires"]
  if (stated.length === 0 && expires === undefined) return undefined
  const left = remaining({
    "cache-control": stated.join(", "),
    // Without one that is valid, nothing is left.
    expires: isoDate(expires),
    date: isoDate(headers["date"]),
    age: String(age(headers))
  }, receivedAt)
  return Duration.millis(Math.min(left, 1000 * CacheControl.maxSeconds))
}

/**
 * The lifetime of a response: what it says, held within `minTtl` and `maxTtl`; `ttl` as it is where it says nothing.
 */
export const lifetime = (headers: HeaderRecord, receivedAt: number, bounds: Bounds): Duration.Duration => {
  const stated = statedLifetime(headers, receivedAt)
  return stated === undefined
    ? bounds.ttl
    : Duration.clamp(stated, { minimum: bounds.minTtl, maximum: bounds.maxTtl })
}

/**
 * How many seconds the origin's clock is ahead of ours; negative where it is behind, `undefined` without a valid `Date`.
 * A `Date` has whole seconds, so that up to one second is noise. `receivedAt` is in wall-clock milliseconds.
 *
 * A cache in between keeps the origin's `Date`, which is then older by the `Age`; some replace it with the time of
 * sending. Which one it was cannot be seen, so that the clock is taken to be off only by what both readings agree on.
 *
 * @see RFC 9110, section 6.6.1 and RFC 9111, section 5.1
 */
export const clockSkew = (headers: HeaderRecord, receivedAt: number): number | undefined => {
  const date = httpDate(headers["date"])
  if (date === undefined) return undefined
  const ahead = (DateTime.toEpochMillis(date) - receivedAt) / 1000
  return Math.min(ahead + age(headers), Math.max(ahead, 0))
}
