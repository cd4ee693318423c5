import { assert, describe, it } from "@effect/vitest"
import { forAll } from "@keelson/testing/properties"
import { Duration } from "effect"
import fc from "fast-check"
import { RetryAfter } from "../src/index.ts"

/** 30 November 2026, 12:00:00 UTC. */
const now = Date.UTC(2026, 10, 30, 12)
const epoch = now / 1000

type Fields = Readonly<Record<string, string>>

/** The delay that a response asks for, in milliseconds. */
const delayOf = (headers: Fields, status = 429): number | undefined => {
  const { delay } = RetryAfter.hints({ status, headers }, now)
  return delay === undefined ? undefined : Duration.toMillis(delay)
}

describe("RetryAfter.hints", () => {
  it.each<[string, number]>([["1.5", 2_000], ["0.001", 1_000], ["2.0", 2_000], [" 0.5 ", 1_000]])(
    "[K-32 D9] rounds a fraction of Retry-After up: %s",
    (value, millis) => {
      assert.deepStrictEqual(RetryAfter.parse(value, now), Duration.millis(millis))
      assert.strictEqual(delayOf({ "retry-after": value }, 503), millis)
    }
  )

  it.each<[string, Fields, number, number]>([
    ["milliseconds", { "retry-after-ms": "1250" }, 503, 1_250],
    ["milliseconds with a fraction", { "retry-after-ms": "99.2" }, 429, 100],
    ["milliseconds of Azure", { "x-ms-retry-after-ms": "30" }, 429, 30],
    ["milliseconds of AWS", { "x-amz-retry-after": "1500" }, 500, 1_500],
    ["seconds", { "retry-after": "7" }, 403, 7_000],
    ["a date", { "retry-after": "Mon, 30 Nov 2026 12:00:05 GMT" }, 503, 5_000],
    ["a spent limit", { ratelimit: "\"default\";r=0;t=30" }, 429, 30_000],
    ["a spent limit in another spelling", { ratelimit: " \"a;,b\" ; r=0 ; t=3 ; pk=:cHsdsRa894==: " }, 429, 3_000],
    ["the longest of the spent limits", { ratelimit: "\"a\";r=0;t=5, \"b\";r=0;t=9, \"c\";r=1;t=99" }, 429, 9_000],
    [
      "the window of a spent limit that has no time",
      { ratelimit: "\"burst\";r=0", "ratelimit-policy": "\"daily\";q=9;w=86400, \"burst\";q=100;w=60" },
      429,
      60_000
    ],
    ["a limit as in draft 08", { ratelimit: "default;r=0;t=4" }, 503, 4_000],
    ["a limit as in draft 07", { ratelimit: "limit=10, remaining=0, reset=6" }, 429, 6_000],
    ["a limit as in draft 06", { "ratelimit-remaining": "0", "ratelimit-reset": "8" }, 503, 8_000],
    ["seconds until a reset", { "x-ratelimit-remaining": "0", "x-ratelimit-reset": "20" }, 403, 20_000],
    ["the second of a reset", { "x-ratelimit-remaining": "0", "x-ratelimit-reset": `${epoch + 40}` }, 403, 40_000],
    ["the millisecond of a reset", { "x-ratelimit-reset": `${now + 2_500}` }, 429, 2_500],
    ["the date of a reset", { "x-ratelimit-reset": "Mon, 30 Nov 2026 12:01:00 GMT" }, 429, 60_000],
    ["seconds until a reset, with a fraction", { "x-ratelimit-reset-after": "1.2501" }, 429, 1_251],
    ["a reset of a response without what remains", { "x-ratelimit-reset": "3" }, 429, 3_000],
    ["a limit that is overdrawn", { "x-ratelimit-remaining": "-1", "x-ratelimit-reset-after": "2" }, 503, 2_000]
  ])("[K-32 D9] reads %s", (_, headers, status, millis) => {
    assert.strictEqual(delayOf(headers, status), millis)
  })

  it.each<[string, Fields, number]>([
    ["a limit of which something remains", { ratelimit: "\"default\";r=1;t=30" }, 429],
    ["a limit that is malformed", { ratelimit: "\"default;r=0;t=30" }, 429],
    ["one malformed limit among others", { ratelimit: "\"a\";r=0;t=30, =" }, 429],
    ["a limit whose time is no whole number", { ratelimit: "\"a\";r=0;t=1.5" }, 429],
    ["a field that is too long", { ratelimit: `"${"a".repeat(3_000)}";r=0;t=1` }, 429],
    [
      "a reset while something remains",
      { "x-ratelimit-remaining": "4999", "x-ratelimit-reset": `${epoch + 3_000}` },
      502
    ],
    ["a reset while something remains of a 429", { "x-ratelimit-remaining": "1", "x-ratelimit-reset": "9" }, 429],
    ["a reset of a 503 without what remains", { "x-ratelimit-reset": "9" }, 503],
    ["a reset in the past", { "x-ratelimit-reset": `${epoch - 1}` }, 429],
    ["a reset in microseconds", { "x-ratelimit-reset": `${epoch * 1e6}` }, 429],
    ["a reset in words", { "x-ratelimit-reset": "1h30m" }, 429],
    ["a negative wait", { "retry-after-ms": "-5" }, 429],
    ["two waits in one field", { "retry-after": "1, 2", "retry-after-ms": "1, 2" }, 429],
    ["nothing", {}, 429]
  ])("[K-32 D9] takes no notice of %s", (_, headers, status) => {
    assert.isUndefined(delayOf(headers, status))
  })

  it("[K-32 D9] prefers a request to wait to a report of a limit, and the precise one to the coarse one", () => {
    const ordered: ReadonlyArray<readonly [string, string, number]> = [
      ["retry-after-ms", "1", 1],
      ["x-ms-retry-after-ms", "2", 2],
      ["x-amz-retry-after", "3", 3],
      ["retry-after", "4", 4_000],
      ["ratelimit", "\"a\";r=0;t=5", 5_000],
      ["x-ratelimit-reset-after", "6", 6_000],
      ["x-ratelimit-reset", "7", 7_000],
      ["ratelimit-reset", "8", 8_000]
    ]
    for (const [index, [name, , millis]] of ordered.entries()) {
      const rest = Object.fromEntries(ordered.slice(index).map(([name, value]) => [name, value]))
      assert.strictEqual(delayOf(rest), millis, name)
    }
  })

  it("[K-32 D9] goes on to the next header where one is not valid", () => {
    assert.strictEqual(delayOf({ "retry-after-ms": "soon", "retry-after": "2" }), 2_000)
    assert.strictEqual(delayOf({ "retry-after": "later", ratelimit: "\"a\";r=0;t=3" }), 3_000)
  })

  it("[K-32 D9] compares a reset with the server's clock, so that a wrong one here does not matter", () => {
    const headers = { "x-ratelimit-reset": `${epoch + 10}`, date: "Mon, 30 Nov 2026 12:00:00 GMT" }
    for (const skew of [-7_200_000, 0, 7_200_000]) {
      assert.deepStrictEqual(RetryAfter.hints({ status: 429, headers }, now + skew).delay, Duration.seconds(10))
    }
    // A cache had the response for four seconds.
    assert.strictEqual(delayOf({ ...headers, age: "4" }), 6_000)
    assert.strictEqual(delayOf({ ...headers, date: "yesterday" }), 10_000)
  })

  it("[K-32 D9] compares a date of Retry-After with the server's clock too", () => {
    const headers = { "retry-after": "Mon, 30 Nov 2026 12:00:10 GMT", date: "Mon, 30 Nov 2026 12:00:00 GMT" }
    for (const skew of [-7_200_000, 0, 7_200_000]) {
      assert.deepStrictEqual(RetryAfter.hints({ status: 503, headers }, now + skew).delay, Duration.seconds(10))
    }
    assert.strictEqual(delayOf({ ...headers, age: "4" }), 6_000)
    assert.strictEqual(delayOf({ ...headers, "retry-after": "10", age: "4" }), 10_000)
    assert.strictEqual(delayOf({ "retry-after": headers["retry-after"] }), 10_000)
  })

  it.each<[string, boolean | undefined]>([
    ["true", true],
    [" False ", false],
    ["1", undefined],
    ["", undefined]
  ])("[K-32 D9] reads x-should-retry: %s", (value, shouldRetry) => {
    assert.strictEqual(
      RetryAfter.hints({ status: 503, headers: { "x-should-retry": value } }, now).shouldRetry,
      shouldRetry
    )
  })

  it("[K-32 D9] never throws, and never asks for a negative wait, for any text", (context) => {
    const names = ["retry-after", "retry-after-ms", "ratelimit", "ratelimit-policy", "x-ratelimit-reset", "date", "age"]
    const text = fc.oneof(
      fc.string({ unit: "grapheme" }),
      fc.stringMatching(/^["a-z0-9;,= .:\\-]{0,30}$/),
      fc.stringMatching(/^"[a-z]";r=0;t=\d{1,18}(?:, "[a-z]";r=\d;t=\d)?$/)
    )
    forAll(
      context,
      1_000,
      fc.tuple(fc.constantFrom(200, 429, 503), fc.dictionary(fc.constantFrom(...names), text)),
      ([status, headers]) => {
        const { delay } = RetryAfter.hints({ status, headers }, now)
        if (delay !== undefined) assert.isAtLeast(Duration.toMillis(delay), 0)
      }
    )
  })
})
