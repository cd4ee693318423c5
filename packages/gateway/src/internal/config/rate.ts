import * as Schema from "effect/Schema"

/** A rate: how many requests in which time. */
export interface ParsedRate {
  readonly limit: number
  readonly windowMillis: number
}

const form =
  /^\s*(\d{1,9})\s*(?:per|\/)\s*(?:(\d{1,9})\s*)?(millisecond|milli|second|minute|hour|day|ms|s|m|h|d)s?\s*$/i

const millisOf: Readonly<Record<string, number>> = {
  millisecond: 1,
  milli: 1,
  ms: 1,
  second: 1000,
  s: 1000,
  minute: 60_000,
  m: 60_000,
  hour: 3_600_000,
  h: 3_600_000,
  day: 86_400_000,
  d: 86_400_000
}

const longest = 86_400_000

/** Upper bound of the requests in a sliding window, which keeps the time of each. */
export const maxSlidingLimit = 10_000

/** Reads a rate, as `100 per second` or `5 per 10 seconds`; `undefined` for other text, and for a rate out of its range. */
export const parseRate = (text: string): ParsedRate | undefined => {
  const [, count, amount = "1", unit = ""] = form.exec(text) ?? []
  if (count === undefined) return undefined
  const windowMillis = Number(amount) * (millisOf[unit.toLowerCase()] ?? 0)
  const limit = Number(count)
  return limit >= 1 && limit <= 1_000_000 && windowMillis >= 1 && windowMillis <= longest
    ? { limit, windowMillis }
    : undefined
}

/** Text of a rate. */
export const Rate = Schema.String.check(
  Schema.makeFilter((text: string) => parseRate(text) !== undefined, {
    expected: "a rate, as 100 per second: 1 to 1000000 requests per 1 milli to 24 hours"
  })
)
