import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration } from "effect"
import { Headers } from "effect/http"
import { onTestFinished, vi } from "vitest"
import { type Bounds, clockSkew, type HeaderRecord, lifetime, statedLifetime } from "../src/internal/http/freshness.ts"

/** 2026-01-01T00:00:00Z */
const now = 1_767_225_600_000

/** An HTTP date, in seconds from `now`. */
const at = (seconds: number): string => Headers.formatHttpDate(DateTime.makeUnsafe(now + seconds * 1000))

const secondsOf = (headers: HeaderRecord, receivedAt = now): number | undefined => {
  const stated = statedLifetime(headers, receivedAt)
  return stated === undefined ? undefined : Duration.toMillis(stated) / 1000
}

const cacheControl = (value: string): HeaderRecord => ({ "cache-control": value })

const titleOf = (headers: HeaderRecord): string =>
  Object.entries(headers).map(([name, value]) => `${name}: ${JSON.stringify(value)}`).join(", ")

/** One test per case: the stated lifetime of the headers, in seconds. */
const states = (ids: string, cases: ReadonlyArray<readonly [HeaderRecord, number | undefined]>): void => {
  for (const [headers, expected] of cases) {
    it(`${ids} reads ${titleOf(headers)} as ${expected === undefined ? "silent" : `${expected} s`}`, () => {
      assert.strictEqual(secondsOf(headers), expected)
    })
  }
}

describe("statedLifetime", () => {
  describe("which header counts", () => {
    states("[S1-06] [K-01]", [
      [cacheControl("max-age=3600"), 3600],
      [cacheControl("public, max-age=3600"), 3600],
      [{ expires: at(900) }, 900],
      [{ "cache-control": "max-age=60", expires: at(900) }, 60],
      [{ "cache-control": "max-age=900", expires: at(60) }, 900],
      [{ "cache-control": "max-age=0", expires: at(900) }, 0],
      [{ "cache-control": "max-age=900", expires: "0" }, 900],
      [{ "cache-control": "s-maxage=60", expires: at(900) }, 60],
      [cacheControl("s-maxage=60, max-age=900"), 60],
      [cacheControl("max-age=60, s-maxage=900"), 900],
      [cacheControl("max-age=60, s-maxage=0"), 0],
      [{ "cache-control": "public", expires: at(900) }, 900]
    ])
  })

  describe("silence", () => {
    states("[S1-07]", [
      [{}, undefined],
      [cacheControl(""), undefined],
      [cacheControl("public"), undefined],
      [cacheControl("must-revalidate"), undefined],
      [cacheControl("proxy-revalidate"), undefined],
      [cacheControl("private"), undefined],
      [cacheControl("immutable"), undefined],
      [cacheControl("stale-while-revalidate=600, stale-if-error=86400"), undefined],
      [cacheControl("x-max-age=5, max-agent=6"), undefined],
      [cacheControl("extension=\"max-age=5, no-store\""), undefined],
      [{ pragma: "no-cache" }, undefined],
      [{ date: at(0), "last-modified": at(-864_000) }, undefined],
      [{ date: at(0), age: "60" }, undefined],
      [{ "set-cookie": "a=b" }, undefined],
      [{ vary: "" }, undefined],
      [{ vary: "Accept, Accept-Encoding" }, undefined]
    ])
  })

  describe("directives that require revalidation", () => {
    states("[S1-07] [K-01]", [
      [cacheControl("no-store"), 0],
      [cacheControl("no-cache"), 0],
      [cacheControl("NO-STORE"), 0],
      [cacheControl("max-age=3600, no-cache"), 0],
      [cacheControl("no-store, s-maxage=3600"), 0],
      [cacheControl("no-cache=\"set-cookie\", max-age=3600"), 0],
      [{ "cache-control": "no-store", expires: at(900) }, 0],
      [{ "cache-control": "no-cache", expires: at(900) }, 0],
      [{ vary: "*" }, 0],
      [{ vary: "*", "cache-control": "max-age=3600" }, 0],
      [{ vary: "accept, *", "cache-control": "max-age=3600" }, 0],
      [{ vary: "*,accept", expires: at(900) }, 0]
    ])
  })

  describe("ignored headers and directives", () => {
    states("[K-01]", [
      [cacheControl("private, max-age=3600"), 3600],
      [{ "cache-control": "max-age=3600", "set-cookie": "a=b" }, 3600],
      [{ "set-cookie": "a=b", expires: at(900) }, 900],
      [{ "cache-control": "max-age=3600", pragma: "no-cache" }, 3600],
      [{ expires: at(900), pragma: "no-cache" }, 900],
      [{ "cache-control": "max-age=3600", vary: "accept, x-*" }, 3600],
      [cacheControl("proxy-revalidate, max-age=3600"), 3600],
      [cacheControl("must-revalidate, s-maxage=3600"), 3600],
      [cacheControl("max-age=15, stale-while-revalidate=600, stale-if-error=86400"), 15],
      [{ "cache-control": "immutable", expires: at(900) }, 900],
      [cacheControl("pre-check=0, post-check=0, max-age=3600"), 3600],
      [{ "cache-control": "max-age=60", "last-modified": at(-864_000) }, 60]
    ])
  })

  describe("Age", () => {
    states("[K-01]", [
      [{ "cache-control": "max-age=3600", age: "0" }, 3600],
      [{ "cache-control": "max-age=3600", age: "600" }, 3000],
      [{ "cache-control": "s-maxage=3600", age: "600" }, 3000],
      [{ "cache-control": "max-age=3600", age: "3599" }, 1],
      [{ "cache-control": "max-age=3600", age: "3600" }, 0],
      [{ "cache-control": "max-age=3600", age: "3601" }, 0],
      [{ date: at(-600), expires: at(3000), age: "600" }, 3000],
      [{ expires: at(3600), age: "600" }, 3000],
      [{ "cache-control": "max-age=3600", age: " 600 " }, 3000],
      [{ "cache-control": "max-age=3600", age: "600, 5" }, 3000],
      [{ "cache-control": "max-age=3600", age: "old, 600" }, 3600],
      [{ "cache-control": "max-age=3600", age: "" }, 3600],
      [{ "cache-control": "max-age=3600", age: "-600" }, 3600],
      [{ "cache-control": "max-age=3600", age: "600.5" }, 3600],
      [{ "cache-control": "max-age=3600", age: "1e30" }, 3600],
      [{ "cache-control": "max-age=3600", age: "9".repeat(400) }, 0]
    ])

    it("[K-01] is taken from Age, not computed from Date by our clock", () => {
      assert.strictEqual(secondsOf({ "cache-control": "max-age=3600", date: at(-86_400) }), 3600)
    })
  })

  describe("Expires", () => {
    states("[S1-06] [K-01]", [
      [{ expires: at(1) }, 1],
      [{ expires: at(0) }, 0],
      [{ expires: at(-1) }, 0],
      [{ expires: at(-86_400) }, 0],
      [{ expires: "" }, 0],
      [{ expires: "0" }, 0],
      [{ expires: "-1" }, 0],
      [{ expires: "9999" }, 0],
      [{ expires: "0", date: "Fri, 01 Jan 1999 00:00:00 GMT" }, 0],
      [{ expires: "never" }, 0],
      [{ expires: "2030-01-01T00:00:00Z" }, 0],
      [{ expires: "Thu, 01 Jan 2026 00:15:00" }, 0],
      [{ expires: `${at(900)}, ${at(900)}` }, 0],
      [{ expires: "Thursday, 01-Jan-26 00:15:00 GMT" }, 900],
      [{ expires: "Thu Jan  1 00:15:00 2026" }, 900],
      [{ expires: "Fri, 31 Dec 9999 23:59:59 GMT" }, 2 ** 31]
    ])

    it("[S1-06] counts from the millisecond of reception without a Date", () => {
      assert.strictEqual(secondsOf({ expires: at(900) }, now + 250), 899.75)
    })

    for (const date of ["", "0", "yesterday", "2026-01-01"]) {
      it(`[S1-06] counts from reception with the Date ${JSON.stringify(date)}, which is none`, () => {
        assert.strictEqual(secondsOf({ date, expires: at(900) }), 900)
      })
    }

    for (const skew of [-315_360_000, -3600, -1, 1, 3600, 315_360_000]) {
      it(`[R24] counts from the origin's Date, whose clock is off by ${skew} s`, () => {
        assert.strictEqual(secondsOf({ date: at(skew), expires: at(skew + 900) }), 900)
        assert.strictEqual(secondsOf({ date: at(skew), expires: at(skew) }), 0)
        assert.strictEqual(secondsOf({ date: at(skew), expires: at(skew - 1) }), 0)
      })
    }
  })

  describe("how directives are written", () => {
    states("[K-01]", [
      [cacheControl("Max-Age=60"), 60],
      [cacheControl("MAX-AGE=60"), 60],
      [cacheControl("S-MaxAge=60"), 60],
      [cacheControl("max-age=\"60\""), 60],
      [cacheControl("max-age=\"\\6\\0\""), 60],
      [cacheControl("  max-age = 60  "), 60],
      [cacheControl("max-age=\t60 ,\tpublic"), 60],
      [cacheControl(",, public,max-age=60,,"), 60],
      [cacheControl("max-age=007"), 7],
      [cacheControl("max-age=1"), 1],
      [cacheControl("private=\"a, max-age=5\", max-age=60"), 60],
      [cacheControl("private=\"a\\\", max-age=5\", max-age=60"), 60],
      [cacheControl("private=\"a\\\\\", max-age=60"), 60],
      [cacheControl("private=\"\\\n, max-age=5\", max-age=60"), 60],
      [cacheControl("private=\"a, max-age=60"), undefined],
      [cacheControl("private=\"a, max-age=60\\"), undefined],
      [cacheControl("max-age=\"60"), 0]
    ])
  })

  describe("invalid values", () => {
    const values = [
      "",
      "\"\"",
      " ",
      "-1",
      "-3600",
      "+60",
      "60.5",
      "1e30",
      "1e3",
      "0x60",
      "sixty",
      "60s",
      "s60",
      "60; public",
      "6 0",
      "'60'",
      "\"60",
      "60\"",
      "\"60\"x",
      "x\"60\"",
      "60=60",
      "NaN",
      "Infinity",
      "６０"
    ]
    for (const value of values) {
      it(`[K-01] is stale with ${JSON.stringify(value)} as its seconds, whatever Expires says`, () => {
        assert.strictEqual(secondsOf({ "cache-control": `max-age=${value}`, expires: at(900) }), 0)
        assert.strictEqual(secondsOf({ "cache-control": `s-maxage=${value}, max-age=900` }), 0)
      })
    }

    states("[K-01]", [
      [cacheControl("max-age"), 0],
      [cacheControl("s-maxage, max-age=60"), 0],
      [cacheControl("max-age=60, max-age=60"), 60],
      [cacheControl("max-age=60, Max-Age=\"060\""), 60],
      [cacheControl("max-age=60, max-age=61"), 0],
      [cacheControl("max-age=60, max-age=soon"), 0],
      [cacheControl("max-age=60, max-age=60, max-age=5"), 0],
      [cacheControl("s-maxage=60, max-age=5, max-age=6"), 60],
      [cacheControl("max-age=2147483647"), 2_147_483_647],
      [cacheControl("max-age=2147483648"), 2 ** 31],
      [cacheControl("max-age=2147483649"), 2 ** 31],
      [cacheControl(`max-age=${"9".repeat(400)}`), 2 ** 31],
      [{ "cache-control": `max-age=${"9".repeat(400)}`, age: "48" }, 2 ** 31 - 48]
    ])
  })

  describe("the clock", () => {
    it("[R29] is never the system's: the time of reception is the argument", () => {
      const spy = vi.spyOn(Date, "now").mockImplementation(() => assert.fail("the system clock was read"))
      onTestFinished(() => {
        spy.mockRestore()
      })
      assert.strictEqual(secondsOf({ expires: "Thu, 01 Jan 1970 00:02:00 GMT" }, 60_000), 60)
      assert.strictEqual(secondsOf({ expires: "Thu, 01 Jan 1970 00:02:00 GMT" }, 120_000), 0)
      assert.strictEqual(secondsOf({ "cache-control": "max-age=60", age: "5" }, 0), 55)
      assert.strictEqual(clockSkew({ date: "Thu, 01 Jan 1970 00:02:00 GMT" }, 0), 120)
    })

    for (const receivedAt of [0, -1e15, 1e15, 8.64e15, 1e300]) {
      it(`[R29] changes nothing about max-age, not even at ${receivedAt}`, () => {
        assert.strictEqual(secondsOf({ "cache-control": "max-age=60", age: "5" }, receivedAt), 55)
        assert.strictEqual(secondsOf({ date: at(0), expires: at(60) }, receivedAt), 60)
      })
    }
  })
})

describe("lifetime", () => {
  const bounds: Bounds = {
    ttl: Duration.hours(1),
    minTtl: Duration.seconds(30),
    maxTtl: Duration.hours(24)
  }
  const heldTo = (headers: HeaderRecord, own: Partial<Bounds> = {}): number =>
    Duration.toSeconds(lifetime(headers, now, { ...bounds, ...own }))

  const cases: ReadonlyArray<readonly [seconds: number, held: number]> = [
    [0, 30],
    [29, 30],
    [30, 30],
    [31, 31],
    [3600, 3600],
    [86_399, 86_399],
    [86_400, 86_400],
    [86_401, 86_400],
    [2 ** 31, 86_400]
  ]
  for (const [seconds, held] of cases) {
    it(`[S1-07] holds ${seconds} s within 30 s and 24 h: ${held} s`, () => {
      assert.strictEqual(heldTo(cacheControl(`max-age=${seconds}`)), held)
    })
  }

  it("[S1-07] is minTtl for no-store, no-cache, an Expires in the past and invalid values", () => {
    for (const value of ["no-store", "no-cache", "max-age=soon"]) assert.strictEqual(heldTo(cacheControl(value)), 30)
    assert.strictEqual(heldTo({ expires: at(-1) }), 30)
    assert.strictEqual(heldTo({ vary: "*" }), 30)
    assert.strictEqual(heldTo(cacheControl("no-store"), { minTtl: Duration.seconds(45) }), 45)
  })

  it("[S1-07] clamps after the age is subtracted", () => {
    assert.strictEqual(heldTo({ "cache-control": "max-age=172800", age: "86401" }), 86_399)
    assert.strictEqual(heldTo({ "cache-control": "max-age=3600", age: "3580" }), 30)
  })

  it("[S1-07] is ttl if the response states none, even outside the bounds", () => {
    assert.strictEqual(heldTo({}), 3600)
    assert.strictEqual(heldTo({}, { ttl: Duration.seconds(60), minTtl: Duration.seconds(90) }), 60)
    assert.strictEqual(heldTo({}, { ttl: Duration.hours(5), maxTtl: Duration.hours(2) }), 18_000)
  })

  it("[S1-07] is constant if minTtl equals maxTtl", () => {
    const own = { minTtl: Duration.seconds(100), maxTtl: Duration.seconds(100) }
    for (const seconds of [0, 99, 100, 101]) assert.strictEqual(heldTo(cacheControl(`max-age=${seconds}`), own), 100)
  })
})

describe("clockSkew", () => {
  const cases: ReadonlyArray<readonly [HeaderRecord, number | undefined]> = [
    [{}, undefined],
    [{ age: "60" }, undefined],
    [{ date: "" }, undefined],
    [{ date: "0" }, undefined],
    [{ date: "2026-01-01T00:00:00Z" }, undefined],
    [{ date: at(0) }, 0],
    [{ date: at(90) }, 90],
    [{ date: at(-90) }, -90],
    // A cache that keeps the origin's Date, by a clock that is right, ahead or behind.
    [{ date: at(-600), age: "600" }, 0],
    [{ date: at(-700), age: "600" }, -100],
    [{ date: at(-600), age: "5" }, -595],
    // A cache that puts its own Date, by a clock that is right or ahead.
    [{ date: at(0), age: "600" }, 0],
    [{ date: at(90), age: "600" }, 90],
    // Either may have made these.
    [{ date: at(-1), age: "600" }, 0],
    [{ date: at(-599), age: "600" }, 0],
    [{ date: at(-601), age: "600" }, -1],
    [{ date: at(1), age: "600" }, 1],
    [{ date: at(-90), age: "soon" }, -90],
    [{ date: at(-90), age: "60, 90" }, -30]
  ]
  for (const [headers, expected] of cases) {
    it(`[R24] is ${expected} s for ${titleOf(headers)}`, () => {
      assert.strictEqual(clockSkew(headers, now), expected)
    })
  }

  it("[R24] keeps the milliseconds of reception", () => {
    assert.strictEqual(clockSkew({ date: at(0) }, now + 250), -0.25)
    assert.strictEqual(clockSkew({ date: at(60) }, now + 500), 59.5)
  })
})
