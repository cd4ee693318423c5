import { assert, describe, it } from "@effect/vitest"
import { Conditional } from "@keelson/gateway"
import { forAll } from "@keelson/testing/properties"
import fc from "fast-check"

/**
 * A reference model over data, not text: conditions are drawn as values, decided by the model, and written as headers for the
 * module.
 */
interface Tag {
  readonly weak: boolean
  readonly opaque: string
}
type Tags = "*" | ReadonlyArray<Tag>
type Range =
  | { readonly kind: "first"; readonly first: number; readonly last: number | undefined }
  | { readonly kind: "suffix"; readonly count: number }
  | { readonly kind: "several" }
  | { readonly kind: "unit" }
interface Case {
  readonly method: "GET" | "HEAD" | "PUT" | "DELETE"
  readonly size: number
  readonly tag: Tag | undefined
  readonly modified: number | undefined
  readonly sent: number | undefined
  readonly ifMatch: Tags | undefined
  readonly ifNoneMatch: Tags | undefined
  readonly ifModifiedSince: number | undefined
  readonly ifUnmodifiedSince: number | undefined
  readonly ifRange: Tag | number | undefined
  readonly range: Range | undefined
}

const maybe = <A>(arbitrary: fc.Arbitrary<A>) => fc.option(arbitrary, { nil: undefined })
const tag: fc.Arbitrary<Tag> = fc.record({
  weak: fc.boolean(),
  opaque: fc.constantFrom("a", "b", "a-2", "", "x,y", "W/")
})
const tags: fc.Arbitrary<Tags> = fc.oneof(fc.constant("*" as const), fc.array(tag, { minLength: 1, maxLength: 3 }))
const second = fc.integer({ min: 0, max: 4 })
const range: fc.Arbitrary<Range> = fc.oneof(
  fc.record({ kind: fc.constant("first" as const), first: fc.nat(6), last: maybe(fc.nat(8)) }),
  fc.record({ kind: fc.constant("suffix" as const), count: fc.nat(8) }),
  fc.constantFrom({ kind: "several" as const }, { kind: "unit" as const })
)
const cases: fc.Arbitrary<Case> = fc.record({
  method: fc.constantFrom("GET", "GET", "GET", "HEAD", "PUT", "DELETE"),
  size: fc.nat(6),
  tag: maybe(tag),
  modified: maybe(second),
  sent: maybe(fc.integer({ min: 0, max: 6 })),
  ifMatch: maybe(tags),
  ifNoneMatch: maybe(tags),
  ifModifiedSince: maybe(second),
  ifUnmodifiedSince: maybe(second),
  ifRange: maybe(fc.oneof(tag, second)),
  range: maybe(range)
})

const writtenTag = ({ opaque, weak }: Tag): string => `${weak ? "W/" : ""}"${opaque}"`
const writtenTags = (value: Tags): string => value === "*" ? "*" : value.map(writtenTag).join(" , ")
const writtenDate = (value: number): string => new Date((1_700_000_000 + value) * 1000).toUTCString()
const writtenRange = (value: Range): string => {
  switch (value.kind) {
    case "first":
      return `bytes=${value.first}-${value.last ?? ""}`
    case "suffix":
      return `bytes=-${value.count}`
    case "several":
      return "bytes=0-0,2-3"
    case "unit":
      return "items=0-1"
  }
}

const model = (c: Case): Conditional.Outcome => {
  const has = (list: Tags, strong: boolean): boolean =>
    list === "*" ||
    list.some(({ opaque, weak }) =>
      c.tag !== undefined && c.tag.opaque === opaque && (!strong || (!weak && !c.tag.weak))
    )
  const isRead = c.method === "GET" || c.method === "HEAD"
  const notModified = { status: isRead ? 304 : 412 } as const
  // Steps 1 to 4.
  if (c.ifMatch !== undefined) {
    if (!has(c.ifMatch, true)) return { status: 412 }
  } else if (c.ifUnmodifiedSince !== undefined && c.modified !== undefined && c.modified > c.ifUnmodifiedSince) {
    return { status: 412 }
  }
  if (c.ifNoneMatch !== undefined) {
    if (has(c.ifNoneMatch, false)) return notModified
  } else if (isRead && c.ifModifiedSince !== undefined && c.modified !== undefined && c.modified <= c.ifModifiedSince) {
    return notModified
  }
  // Step 5 and the range.
  if (c.method !== "GET" || c.range === undefined) return { status: 200 }
  if (typeof c.ifRange === "number") {
    const strong = c.modified !== undefined && c.sent !== undefined && c.sent > c.modified
    if (!strong || c.modified !== c.ifRange) return { status: 200 }
  } else if (c.ifRange !== undefined && !has([c.ifRange], true)) return { status: 200 }
  const bytes = Array.from({ length: c.size }, (_, index) => index)
  const { range } = c
  switch (range.kind) {
    case "several":
    case "unit":
      return { status: 200 }
    case "suffix": {
      const wanted = range.count === 0 ? [] : bytes.slice(-range.count)
      return wanted.length === 0 ? { status: 416 } : { status: 206, from: wanted[0]!, to: wanted.at(-1)! }
    }
    case "first": {
      if (range.last !== undefined && range.last < range.first) return { status: 200 }
      const wanted = bytes.filter((at) => at >= range.first && at <= (range.last ?? Infinity))
      return wanted.length === 0 ? { status: 416 } : { status: 206, from: wanted[0]!, to: wanted.at(-1)! }
    }
  }
}

const evaluate = (c: Case): Conditional.Outcome =>
  Conditional.evaluate(c.method, {
    "if-match": c.ifMatch && writtenTags(c.ifMatch),
    "if-none-match": c.ifNoneMatch && writtenTags(c.ifNoneMatch),
    "if-modified-since": c.ifModifiedSince === undefined ? undefined : writtenDate(c.ifModifiedSince),
    "if-unmodified-since": c.ifUnmodifiedSince === undefined ? undefined : writtenDate(c.ifUnmodifiedSince),
    "if-range": typeof c.ifRange === "number" ? writtenDate(c.ifRange) : c.ifRange && writtenTag(c.ifRange),
    range: c.range && writtenRange(c.range)
  }, {
    size: c.size,
    etag: c.tag && writtenTag(c.tag),
    lastModified: c.modified === undefined ? undefined : writtenDate(c.modified),
    date: c.sent === undefined ? undefined : writtenDate(c.sent)
  })

describe("properties of conditional requests", () => {
  it("[G-6] [G-7] [G-14] the outcome is that of a reference model of RFC 9110, 13.2.2", (context) => {
    forAll(context, 20_000, cases, (c) => assert.deepStrictEqual(evaluate(c), model(c)))
  })

  it("[G-6] no header makes it throw, and a partial answer is always within the object", (context) => {
    const text = fc.oneof(
      fc.string({ unit: "binary", maxLength: 30 }),
      fc.array(
        fc.constantFrom(
          "bytes",
          "=",
          "-",
          ",",
          "0",
          "9".repeat(400),
          "W/",
          "\"",
          "*",
          "a",
          " ",
          "Mon, 01 Jan 2024 00:00:00 GMT"
        ),
        { maxLength: 12 }
      )
        .map((parts) => parts.join(""))
    )
    const headers = fc.dictionary(
      fc.constantFrom("if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "range"),
      fc.oneof(text, fc.array(text, { maxLength: 3 }))
    )
    forAll(
      context,
      10_000,
      fc.tuple(headers, fc.nat(100), maybe(text), maybe(text)),
      ([given, size, etag, lastModified]) => {
        const outcome = Conditional.evaluate("GET", given, { size, etag, lastModified })
        assert.include([200, 206, 304, 412, 416], outcome.status)
        if (outcome.status === 206) {
          assert.isTrue(outcome.from >= 0 && outcome.from <= outcome.to && outcome.to < size)
        }
      }
    )
  })
})
