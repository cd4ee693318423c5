import { assert, describe, it } from "@effect/vitest"
import { Conditional } from "@keelson/gateway"

const object = {
  size: 1000,
  etag: "\"abc-3\"",
  lastModified: "Mon, 01 Jan 2024 00:00:00 GMT",
  date: "Tue, 02 Jan 2024 00:00:00 GMT"
}
const get = (headers: Conditional.RequestHeaders, of: Conditional.Representation = object) =>
  Conditional.evaluate("GET", headers, of)

describe("Conditional", () => {
  it("[G-5] a range of the whole object is a partial answer", () => {
    assert.deepStrictEqual(get({ range: "bytes=0-" }), { status: 206, from: 0, to: 999 })
    assert.deepStrictEqual(get({ range: "bytes=0-99999999999999999999999999" }), { status: 206, from: 0, to: 999 })
    assert.deepStrictEqual(get({ range: "Bytes = 10-19" }), { status: 206, from: 10, to: 19 })
    assert.deepStrictEqual(get({ range: "bytes=-5000" }), { status: 206, from: 0, to: 999 })
    assert.deepStrictEqual(get({ range: "bytes=007-8" }), { status: 206, from: 7, to: 8 })
  })

  it("[G-6] a range beyond the end is a 416 that names the length, after all preconditions", () => {
    const outcome = get({ range: "bytes=1000-" })
    assert.deepStrictEqual(outcome, { status: 416 })
    assert.strictEqual(Conditional.contentRange(outcome, 1000), "bytes */1000")
    assert.strictEqual(Conditional.contentRange(get({ range: "bytes=-1" }), 1000), "bytes 999-999/1000")
    assert.strictEqual(Conditional.contentRange(get({}), 1000), undefined)
    assert.deepStrictEqual(get({ range: "bytes=1000-", "if-match": "\"other\"" }), { status: 412 })
    assert.deepStrictEqual(get({ range: "bytes=1000-", "if-none-match": "\"abc-3\"" }), { status: 304 })
    assert.deepStrictEqual(get({ range: "bytes=1000-", "if-range": "\"other\"" }), { status: 200 })
    assert.deepStrictEqual(get({ range: "bytes=-0" }), { status: 416 })
  })

  it("several ranges, other units and malformed ranges get the whole object", () => {
    for (
      const range of [
        "bytes=0-1,5-6",
        "bytes=5-2",
        "bytes=99999999999999999999-9",
        "bytes=-",
        "bytes=a-b",
        "bytes 0-1",
        "items=0-1",
        "bytes=0x1-",
        "bytes=+1-",
        "bytes=1--2",
        ""
      ]
    ) {
      assert.deepStrictEqual(get({ range }), { status: 200 }, range)
    }
    assert.deepStrictEqual(Conditional.evaluate("HEAD", { range: "bytes=0-1" }, object), { status: 200 })
  })

  it("[G-7] If-None-Match takes lists, weak tags and *, and tags of parts are tags like others", () => {
    for (
      const list of [
        "\"abc-3\"",
        "W/\"abc-3\"",
        "\"x\", \"y\" ,W/\"abc-3\"",
        "*",
        " * ",
        ",, \"abc-3\"",
        "abc-3",
        "\"x\",abc-3"
      ]
    ) {
      assert.deepStrictEqual(get({ "if-none-match": list }), { status: 304 }, list)
    }
    for (const list of ["\"abc\"", "\"ABC-3\"", "w/\"abc-3\"", "\"abc-3", "\"x\" \"abc-3\"", "", "\"*\"", "*, \"x\""]) {
      assert.deepStrictEqual(get({ "if-none-match": list }), { status: 200 }, list)
    }
    assert.deepStrictEqual(get({ "if-none-match": ["\"x\"", "\"abc-3\""] }), { status: 304 })
    assert.deepStrictEqual(get({ "if-none-match": "\"a,b\"" }, { size: 1, etag: "\"a,b\"" }), { status: 304 })
  })

  it("If-Match and If-Range compare strongly", () => {
    assert.deepStrictEqual(get({ "if-match": "W/\"abc-3\"" }), { status: 412 })
    assert.deepStrictEqual(get({ "if-match": "\"abc-3\"" }, { size: 1, etag: "W/\"abc-3\"" }), { status: 412 })
    assert.deepStrictEqual(get({ "if-match": "*" }, { size: 1 }), { status: 200 })
    assert.deepStrictEqual(get({ "if-range": "W/\"abc-3\"", range: "bytes=0-0" }), { status: 200 })
    assert.deepStrictEqual(get({ "if-range": "\"abc-3\"", range: "bytes=0-0" }), { status: 206, from: 0, to: 0 })
    assert.deepStrictEqual(get({ "if-range": "abc-3", range: "bytes=0-0" }), { status: 206, from: 0, to: 0 })
  })

  it("If-Range takes a date only where it is a strong validator", () => {
    const headers = { "if-range": object.lastModified, range: "bytes=0-0" }
    assert.deepStrictEqual(get(headers), { status: 206, from: 0, to: 0 })
    assert.deepStrictEqual(get(headers, { ...object, date: object.lastModified }), { status: 200 })
    assert.deepStrictEqual(get(headers, { ...object, date: undefined }), { status: 200 })
    assert.deepStrictEqual(get({ ...headers, "if-range": object.date }), { status: 200 })
  })

  it("dates take all three forms, and one that cannot be read is ignored", () => {
    for (
      const date of ["Mon, 01 Jan 2024 00:00:00 GMT", "Monday, 01-Jan-24 00:00:00 GMT", "Mon Jan  1 00:00:00 2024"]
    ) {
      assert.deepStrictEqual(get({ "if-modified-since": date }), { status: 304 }, date)
      assert.deepStrictEqual(get({ "if-unmodified-since": date }), { status: 200 }, date)
    }
    assert.deepStrictEqual(get({ "if-unmodified-since": "Sun, 31 Dec 2023 23:59:59 GMT" }), { status: 412 })
    for (const date of ["", "yesterday", "2024-01-01T00:00:00Z", "0"]) {
      assert.deepStrictEqual(get({ "if-modified-since": date, "if-unmodified-since": date }), { status: 200 }, date)
    }
    assert.deepStrictEqual(get({ "if-modified-since": object.date }, { size: 1 }), { status: 200 })
  })

  it("entity tags come before dates", () => {
    assert.deepStrictEqual(get({ "if-none-match": "\"x\"", "if-modified-since": object.date }), { status: 200 })
    assert.deepStrictEqual(get({ "if-match": "\"abc-3\"", "if-unmodified-since": "Sun, 31 Dec 2023 00:00:00 GMT" }), {
      status: 200
    })
  })

  it("[G-14] an empty object is whole, and each of its ranges is a 416", () => {
    const empty = { size: 0, etag: "\"d41d8\"" }
    assert.deepStrictEqual(get({}, empty), { status: 200 })
    for (const range of ["bytes=0-", "bytes=0-0", "bytes=-1"]) {
      assert.deepStrictEqual(get({ range }, empty), { status: 416 }, range)
    }
    assert.strictEqual(Conditional.contentRange({ status: 416 }, 0), "bytes */0")
  })

  it("a write fails where a read is not modified", () => {
    assert.deepStrictEqual(Conditional.evaluate("PUT", { "if-none-match": "*" }, object), { status: 412 })
    assert.deepStrictEqual(Conditional.evaluate("DELETE", { "if-modified-since": object.date }, object), {
      status: 200
    })
  })
})
