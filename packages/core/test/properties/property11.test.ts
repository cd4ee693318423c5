import { assert, describe, it } from "@effect/vitest"
import { forAll } from "@keelson/testing/properties"
import { DateTime, Duration } from "effect"
import { Headers } from "effect/http"
import fc from "fast-check"
import * as RetryAfter from "../../src/RetryAfter.ts"

/** Whole seconds of the years 2000 to 2099. */
const instant = fc.integer({ min: 946_684_800, max: 4_102_444_799 }).map((seconds) => seconds * 1000)

describe("Property 11: Retry-After", () => {
  it("Property 11: [S0-05] [S0-13] n seconds, from 1 to 3600, is read as exactly n seconds", (context) => {
    forAll(context, 1000, fc.tuple(fc.integer({ min: 1, max: 3600 }), instant), ([seconds, now]) => {
      const parsed = RetryAfter.parse(String(seconds), now)
      assert.isDefined(parsed)
      assert.strictEqual(Duration.toMillis(parsed), seconds * 1000)
    })
  })

  it("Property 11: [S0-06] an HTTP date n seconds ahead is read as exactly n seconds", (context) => {
    const ahead = fc.integer({ min: 1, max: 100_000_000 })
    forAll(context, 1000, fc.tuple(ahead, instant), ([seconds, now]) => {
      const date = Headers.formatHttpDate(DateTime.makeUnsafe(now + seconds * 1000))
      const parsed = RetryAfter.parse(date, now)
      assert.isDefined(parsed)
      assert.strictEqual(Duration.toMillis(parsed), seconds * 1000)
    })
  })

  it("Property 11: [S0-06] a date that is not ahead is absent", (context) => {
    forAll(context, 1000, fc.tuple(fc.nat(100_000_000), instant), ([seconds, now]) => {
      assert.isUndefined(RetryAfter.parse(Headers.formatHttpDate(DateTime.makeUnsafe(now - seconds * 1000)), now))
    })
  })

  it("Property 11: [S0-06] negative seconds and text that is no number or date are absent", (context) => {
    const negative = fc.integer({ min: 1, max: 3600 }).map((n) => `-${n}`)
    const text = fc.string({ unit: "binary" }).filter((value) => !/^\s*\d+\s*$/.test(value))
    forAll(context, 1000, fc.tuple(fc.oneof(negative, text), instant), ([value, now]) => {
      assert.isUndefined(RetryAfter.parse(value, now))
    })
  })
})
