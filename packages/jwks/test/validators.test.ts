import { assert, describe, it } from "@effect/vitest"
import { Duration } from "effect"
import { type HeaderRecord, statedLifetime } from "../src/internal/http/freshness.ts"
import { conditionalHeaders, kept, merged } from "../src/internal/http/validators.ts"

/** 2026-01-01T00:00:00Z */
const now = 1_767_225_600_000
const date = "Thu, 01 Jan 2026 00:00:00 GMT"
const earlier = "Wed, 31 Dec 2025 23:30:00 GMT"
const later = "Thu, 01 Jan 2026 00:10:00 GMT"

describe("conditionalHeaders", () => {
  const both = { "if-none-match": "\"a\"", "if-modified-since": earlier }
  const cases: ReadonlyArray<readonly [title: string, stored: HeaderRecord, sent: HeaderRecord]> = [
    ["nothing without validators", { "cache-control": "max-age=60", date }, {}],
    ["an ETag", { etag: "\"a\"" }, { "if-none-match": "\"a\"" }],
    ["a weak ETag as it is", { etag: "W/\"a\"" }, { "if-none-match": "W/\"a\"" }],
    ["a Last-Modified", { "last-modified": earlier }, { "if-modified-since": earlier }],
    ["both", { etag: "\"a\"", "last-modified": earlier }, both],
    ["both after no-store", { etag: "\"a\"", "last-modified": earlier, "cache-control": "no-store" }, both],
    ["both after no-cache", { etag: "\"a\"", "last-modified": earlier, "cache-control": "no-cache" }, both],
    ["both after private", { etag: "\"a\"", "last-modified": earlier, "cache-control": "private" }, both],
    ["both after Vary: *", { etag: "\"a\"", "last-modified": earlier, vary: "*" }, both],
    ["both once expired", { etag: "\"a\"", "last-modified": earlier, expires: "0" }, both],
    ["values without the space around them", { etag: " \"a\" ", "last-modified": ` ${earlier} ` }, both],
    ["the good one of two", { etag: "a", "last-modified": earlier }, { "if-modified-since": earlier }],
    ["the other good one of two", { etag: "\"a\"", "last-modified": "yesterday" }, { "if-none-match": "\"a\"" }]
  ]
  for (const [title, stored, sent] of cases) {
    it(`[S1-08] [K-01] sends ${title}`, () => {
      assert.deepStrictEqual(conditionalHeaders(stored), sent)
    })
  }

  for (const etag of ["\"\"", "\"!\"", "\"#~\"", "\"a,b\"", "\"a\\b\"", "W/\"\"", "\"\x80\xff\"", "\"*\""]) {
    it(`[S1-08] sends the entity tag ${JSON.stringify(etag)}`, () => {
      assert.deepStrictEqual(conditionalHeaders({ etag }), { "if-none-match": etag })
      assert.isNotEmpty(conditionalHeaders({ etag }))
    })
  }

  const malformed = [
    "",
    "*",
    "W/*",
    "a",
    "\"",
    "\"a",
    "a\"",
    "'a'",
    "w/\"a\"",
    "W\"a\"",
    "\"a\"b",
    "b\"a\"",
    "\"a\", \"b\"",
    "\"a\",\"b\"",
    "\"a b\"",
    "\"a\tb\"",
    "\"a\r\nx: y\"",
    "\"\x7f\"",
    "\"\u{100}\"",
    "\"\u{1f511}\""
  ]
  for (const etag of malformed) {
    it(`[S1-08] sends nothing for ${JSON.stringify(etag)}, which is not an entity tag`, () => {
      assert.deepStrictEqual(conditionalHeaders({ etag }), {})
      assert.isEmpty(conditionalHeaders({ etag }))
    })
  }

  for (const value of ["", "0", "yesterday", "2026-01-01T00:00:00Z", `${date}, ${date}`]) {
    it(`[S1-08] sends nothing for the Last-Modified ${JSON.stringify(value)}, which is not a date`, () => {
      assert.deepStrictEqual(conditionalHeaders({ "last-modified": value }), {})
      assert.isEmpty(conditionalHeaders({ "last-modified": value }))
    })
  }
})

describe("kept", () => {
  const needed = {
    etag: "\"a\"",
    "last-modified": earlier,
    "cache-control": "max-age=60",
    expires: later,
    vary: "accept",
    age: "5",
    date
  }

  it("[S1-08] keeps the headers that validation and lifetime need, also with empty values", () => {
    assert.deepStrictEqual(kept(needed), needed)
    assert.deepStrictEqual(kept({ expires: "" }), { expires: "" })
    assert.deepStrictEqual(kept({}), {})
  })

  it("[S1-08] [R18] neither keeps nor sends a validator of more than 1024 characters", () => {
    const tagOf = (length: number) => `"${"a".repeat(length - 2)}"`
    assert.deepStrictEqual(kept({ etag: tagOf(1_024), expires: "0" }), { etag: tagOf(1_024), expires: "0" })
    assert.deepStrictEqual(conditionalHeaders({ etag: tagOf(1_024) }), { "if-none-match": tagOf(1_024) })
    const long = { etag: tagOf(1_025), "last-modified": earlier.padEnd(1_025) }
    assert.deepStrictEqual(kept({ ...long, expires: "0" }), { expires: "0" })
    assert.deepStrictEqual(conditionalHeaders(long), {})
  })

  it("[S1-08] drops cookies and all else", () => {
    const rest = { "set-cookie": "a=b", "content-type": "application/json", "content-length": "9", pragma: "no-cache" }
    assert.deepStrictEqual(kept({ ...rest, ...needed, "x-request-id": "1" }), needed)
    assert.deepStrictEqual(kept(rest), {})
  })
})

describe("merged", () => {
  const secondsOf = (headers: HeaderRecord): number | undefined => {
    const stated = statedLifetime(headers, now)
    return stated === undefined ? undefined : Duration.toSeconds(stated)
  }

  const stored = { etag: "\"a\"", "last-modified": earlier, "cache-control": "max-age=60", vary: "accept" }

  it("[S1-08] keeps headers that a 304 omits, and the lifetime starts again", () => {
    const aged = { ...stored, age: "50", date: earlier }
    assert.strictEqual(secondsOf(aged), 10)
    assert.deepStrictEqual(merged(aged, {}), stored)
    assert.strictEqual(secondsOf(merged(aged, {})), 60)
  })

  it("[S1-08] replaces headers that a 304 has, and so the lifetime", () => {
    const changed = { "cache-control": "max-age=600", expires: later, vary: "origin", date, age: "20" }
    const both = merged({ ...stored, expires: earlier, date: earlier, age: "50" }, changed)
    assert.deepStrictEqual(both, { etag: "\"a\"", "last-modified": earlier, ...changed })
    assert.strictEqual(secondsOf(both), 580)
  })

  it("[K-01] replaces a Cache-Control as a whole, so that a 304 can remove a max-age", () => {
    assert.isUndefined(secondsOf(merged(stored, { "cache-control": "must-revalidate" })))
    assert.strictEqual(secondsOf(merged(stored, { "cache-control": "no-store" })), 0)
    assert.strictEqual(
      secondsOf(merged({ ...stored, "cache-control": "no-store" }, { "cache-control": "max-age=9" })),
      9
    )
  })

  it("[K-01] leaves a stored max-age before the Expires of a 304", () => {
    assert.strictEqual(secondsOf(merged(stored, { expires: later })), 60)
  })

  it("[K-01] uses the Date of the 304, so that a stored Expires does not start again", () => {
    const held = { expires: later, date: earlier }
    assert.strictEqual(secondsOf(held), 2400)
    assert.strictEqual(secondsOf(merged(held, { date })), 600)
    assert.strictEqual(secondsOf(merged(held, {})), 600)
    assert.deepStrictEqual(merged(held, {}), { expires: later })
    assert.strictEqual(secondsOf(merged({ expires: date, date: earlier }, { date: later })), 0)
  })

  it("[S1-08] keeps the validators of the body that is held, whatever a 304 says of them", () => {
    const both = merged(stored, { etag: "\"b\"", "last-modified": later })
    assert.deepStrictEqual(both, stored)
    assert.deepStrictEqual(merged({ "last-modified": earlier }, { etag: "\"b\"" }), { "last-modified": earlier })
    assert.deepStrictEqual(merged({ etag: "W/\"a\"" }, { etag: "\"a\"" }), { etag: "W/\"a\"" })
  })

  it("[S1-08] drops cookies and all else of both", () => {
    const rest = { "set-cookie": "a=b", "content-length": "9" }
    assert.deepStrictEqual(merged({ ...stored, ...rest }, { ...rest, server: "x" }), stored)
  })
})
