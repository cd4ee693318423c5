import * as Duration from "effect/Duration"
import * as Headers from "effect/http/Headers"
import * as Result from "effect/Result"
import { parse } from "./parseRetryAfter.ts"
import { exhausted } from "./rateLimitFields.ts"

/** What a response says about repeating its request. */
export interface Hints {
  /** How long to wait before the next request; `undefined` if the response does not say it. */
  readonly delay: Duration.Duration | undefined
  /** Whether to repeat the request at all (`x-should-retry`); `undefined` if the response does not say it. */
  readonly shouldRetry: boolean | undefined
}

type Fields = Readonly<Record<string, string | undefined>>

/** The part of a response that hints are read from. The names of its headers are in lower case. */
export interface Response {
  readonly status: number
  readonly headers: Fields
}

const number = /^\d{1,20}(?:\.\d{1,20})?$/

const numberIn = (value: string | undefined): number | undefined => {
  const text = value?.trim()
  return text !== undefined && number.test(text) ? Number(text) : undefined
}

/** A fraction is rounded up, since a hint is the least time to wait. */
const millis = (value: number | undefined): Duration.Duration | undefined =>
  value === undefined ? undefined : Duration.millis(Math.ceil(value))

const seconds = (value: number | undefined): Duration.Duration | undefined =>
  value === undefined ? undefined : millis(Number((value * 1000).toFixed(3)))

/** When the response was sent by the server's clock, if it says so, so that a client whose clock is wrong waits as long. */
const sentAt = (headers: Fields, now: number): number => {
  const date = Headers.parseRetryAfter(headers["date"] ?? "")
  if (Result.isFailure(date) || date.success._tag !== "DateTime") return now
  return date.success.dateTime.epochMilliseconds + (numberIn(headers["age"]) ?? 0) * 1000
}

const until = (instant: number, headers: Fields, now: number): Duration.Duration | undefined => {
  const left = instant - sentAt(headers, now)
  return left > 0 ? millis(left) : undefined
}

/**
 * The end of a window, which servers write as seconds from now, as seconds since 1970, or as milliseconds since 1970. The
 * ranges do not overlap: 1e9 seconds are 31 years from now or 2001, and 1e11 milliseconds are 1973.
 */
const reset = (value: string | undefined, headers: Fields, now: number): Duration.Duration | undefined => {
  const amount = numberIn(value)
  if (amount === undefined) {
    const date = Headers.parseRetryAfter(value ?? "")
    return Result.isSuccess(date) && date.success._tag === "DateTime"
      ? until(date.success.dateTime.epochMilliseconds, headers, now)
      : undefined
  }
  if (amount < 1e9) return seconds(amount)
  if (amount < 1e14) return until(amount < 1e11 ? amount * 1000 : amount, headers, now)
  return undefined
}

/**
 * Fields that report the state of a limit with every response. They are a request to wait only if nothing remains, or if the
 * response says that there were too many requests and not how many remain.
 */
const ofLimit = (prefix: "x-ratelimit" | "ratelimit", { headers, status }: Response, now: number) => {
  const remaining = headers[`${prefix}-remaining`]
  const isSpent = remaining === undefined ? status === 429 : /^\s*(?:-\d+|0+(?:\.0+)?)\s*$/.test(remaining)
  if (!isSpent) return undefined
  return seconds(numberIn(headers[`${prefix}-reset-after`])) ?? reset(headers[`${prefix}-reset`], headers, now)
}

/** Seconds, or a date by the server's clock. */
const retryAfter = (headers: Fields, now: number): Duration.Duration | undefined => {
  const value = headers["retry-after"]
  return value === undefined ? undefined : parse(value, sentAt(headers, now))
}

/** The first of these that is there and valid: the precise before the coarse, a request to wait before a report of a limit. */
const delayOf = (response: Response, now: number): Duration.Duration | undefined => {
  const { headers } = response
  return millis(numberIn(headers["retry-after-ms"])) ??
    millis(numberIn(headers["x-ms-retry-after-ms"])) ??
    millis(numberIn(headers["x-amz-retry-after"])) ??
    retryAfter(headers, now) ??
    seconds(exhausted(headers["ratelimit"], headers["ratelimit-policy"])) ??
    ofLimit("x-ratelimit", response, now) ??
    ofLimit("ratelimit", response, now)
}

const shouldRetryOf = (value: string | undefined): boolean | undefined => {
  const text = value?.trim().toLowerCase()
  return text === "true" ? true : text === "false" ? false : undefined
}

/** Reads the hints of a response, at a time of the wall clock in milliseconds. */
export const hints = (response: Response, now: number): Hints => ({
  delay: delayOf(response, now),
  shouldRetry: shouldRetryOf(response.headers["x-should-retry"])
})
