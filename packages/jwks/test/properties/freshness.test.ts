import { assert, describe, it } from "@effect/vitest"
import { forAll } from "@keelson/testing/properties"
import { DateTime, Duration } from "effect"
import { Headers } from "effect/http"
import fc from "fast-check"
import { clockSkew, type HeaderRecord, lifetime, statedLifetime } from "../../src/internal/http/freshness.ts"
import { conditionalHeaders, kept, merged } from "../../src/internal/http/validators.ts"

/** Whole seconds of the years 1970 to 2099, in milliseconds. */
const instant = fc.integer({ min: 0, max: 4_102_444_799 }).map((seconds) => seconds * 1000)

const httpDate = (millis: number): string => Headers.formatHttpDate(DateTime.makeUnsafe(millis))

const garbage = fc.oneof(fc.string({ unit: "binary", maxLength: 20 }), fc.string({ maxLength: 20 }))

const number = fc.oneof(
  fc.nat(100_000).map(String),
  fc.constantFrom("0", "-1", "1e30", "60.5", "\"60\"", "\"60", "2147483648", "9".repeat(400), "NaN", "Infinity", ""),
  garbage
)

const names = ["max-age", "s-maxage", "MAX-AGE", "no-cache", "no-store", "private", "immutable", "must-revalidate"]

const directive = fc.oneof(
  fc.tuple(fc.constantFrom(...names), number).map(([name, value]) => `${name}=${value}`),
  fc.constantFrom(...names),
  fc.tuple(fc.constantFrom("stale-while-revalidate", "stale-if-error"), number).map((pair) => pair.join("=")),
  garbage
)

const date = fc.oneof(
  { weight: 3, arbitrary: instant.map(httpDate) },
  fc.constantFrom("Fri, 31 Dec 9999 23:59:59 GMT", "Sat, 01 Jan 0000 00:00:00 GMT"),
  number
)

/** The headers of a response, from good to absurd. */
const headers: fc.Arbitrary<HeaderRecord> = fc.record({
  "cache-control": fc.array(directive, { maxLength: 4 }).map((all) => all.join(", ")),
  expires: date,
  date,
  age: number,
  vary: fc.oneof(fc.constantFrom("accept", "*", "accept, *"), garbage),
  etag: fc.oneof(fc.constantFrom("\"a\"", "W/\"a\"", "\"b\"", "*"), garbage),
  "last-modified": date,
  "set-cookie": garbage,
  pragma: fc.constant("no-cache")
}, { requiredKeys: [] })

/** When a response was received: instants that a clock may show, and some that none does. */
const reception = fc.oneof(instant, fc.double({ noNaN: true, noDefaultInfinity: true }))

const millisOf = (record: HeaderRecord, receivedAt: number): number | undefined => {
  const stated = statedLifetime(record, receivedAt)
  return stated === undefined ? undefined : Duration.toMillis(stated)
}

describe("freshness", () => {
  it("[S1-07] [K-01] any headers give a lifetime from 0 to 2^31 s, or none", (context) => {
    forAll(context, 2000, fc.tuple(headers, reception), ([record, receivedAt]) => {
      const millis = millisOf(record, receivedAt) ?? 0
      assert.isTrue(millis >= 0 && millis <= 1000 * 2 ** 31, String(millis))
    })
  })

  it("[S1-07] a lifetime is within the bounds, or ttl if the response states none", (context) => {
    const seconds = fc.integer({ min: 30, max: 200_000 }).map((n) => Duration.seconds(n))
    const all = fc.tuple(headers, reception, seconds, seconds, seconds)
    forAll(context, 2000, all, ([record, receivedAt, ttl, one, other]) => {
      const minTtl = Duration.min(one, other)
      const maxTtl = Duration.max(one, other)
      const held = lifetime(record, receivedAt, { ttl, minTtl, maxTtl })
      const isSilent = statedLifetime(record, receivedAt) === undefined
      if (isSilent) assert.deepEqual(held, ttl)
      else assert.isTrue(Duration.between(held, { minimum: minTtl, maximum: maxTtl }))
    })
  })

  it("[S1-06] [K-01] plain headers give the result of the arithmetic of RFC 9111, 4.2", (context) => {
    const seconds = fc.nat(10_000)
    const optional = fc.option(seconds, { nil: undefined })
    const all = fc.tuple(optional, optional, fc.option(fc.integer({ min: -10_000, max: 10_000 }), { nil: undefined }))
    const rest = fc.tuple(optional, fc.option(instant, { nil: undefined }), instant)
    forAll(context, 2000, fc.tuple(all, rest), ([[shared, max, ahead], [age, dated, receivedAt]]) => {
      const own = [shared === undefined ? [] : `s-maxage=${shared}`, max === undefined ? [] : `max-age=${max}`].flat()
      const record = {
        ...(own.length === 0 ? {} : { "cache-control": own.join(", ") }),
        ...(ahead === undefined ? {} : { expires: httpDate((dated ?? receivedAt) + ahead * 1000) }),
        ...(age === undefined ? {} : { age: String(age) }),
        ...(dated === undefined ? {} : { date: httpDate(dated) })
      }
      const fresh = shared ?? max ?? ahead
      const expected = fresh === undefined ? undefined : 1000 * Math.max(0, Math.max(0, fresh) - (age ?? 0))
      assert.strictEqual(millisOf(record, receivedAt), expected)
    })
  })

  it("[R29] a lifetime depends on the time of reception only if Expires has no Date", (context) => {
    const dated = fc.tuple(headers, instant).map(([record, on]) => ({ ...record, date: httpDate(on) }))
    forAll(context, 1000, fc.tuple(dated, instant, instant), ([record, one, other]) => {
      assert.strictEqual(millisOf(record, one), millisOf(record, other))
    })
  })

  it("[R24] any headers give a finite skew, never beyond that of Date alone and never of the other sign", (context) => {
    forAll(context, 2000, fc.tuple(headers, instant), ([record, receivedAt]) => {
      const skew = clockSkew(record, receivedAt)
      const { age: _, ...ageless } = record
      const alone = clockSkew(ageless, receivedAt)
      if (skew === undefined || alone === undefined) return assert.strictEqual(skew, alone)
      assert.isTrue(Math.abs(skew) <= Math.abs(alone) && skew * alone >= 0, `${skew}, ${alone}`)
    })
  })
})

describe("validators", () => {
  it("[S1-08] sent header values are valid, and every valid validator is sent", (context) => {
    forAll(context, 2000, headers, (record) => {
      const sent = conditionalHeaders(record)
      assert.doesNotThrow(() => new globalThis.Headers({ ...sent }))
      assert.notStrictEqual(sent["if-none-match"], "*")
      assert.deepStrictEqual(conditionalHeaders(kept(record)), sent)
    })
  })

  it("[S1-08] keeping changes no lifetime and is idempotent", (context) => {
    forAll(context, 1000, fc.tuple(headers, instant), ([record, receivedAt]) => {
      assert.deepStrictEqual(kept(kept(record)), kept(record))
      assert.strictEqual(millisOf(kept(record), receivedAt), millisOf(record, receivedAt))
    })
  })

  it("[S1-08] merging is idempotent, and keeps the validators", (context) => {
    forAll(context, 2000, fc.tuple(headers, headers), ([stored, notModified]) => {
      const once = merged(stored, notModified)
      assert.deepStrictEqual(merged(once, notModified), once)
      assert.deepStrictEqual(kept(once), once)
      assert.deepStrictEqual(conditionalHeaders(once), conditionalHeaders(stored))
    })
  })

  it("[S1-08] a lifetime in a 304 applies, whatever was stored", (context) => {
    const all = fc.tuple(headers, fc.nat(100_000), fc.nat(1000), instant)
    forAll(context, 1000, all, ([stored, maxAge, age, receivedAt]) => {
      const own = { "cache-control": `max-age=${maxAge}`, age: String(age), vary: "accept" }
      assert.strictEqual(millisOf(merged(stored, own), receivedAt), 1000 * Math.max(0, maxAge - age))
    })
  })
})
