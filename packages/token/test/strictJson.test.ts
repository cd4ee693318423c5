import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { type JsonLimits, own, parseObject } from "../src/internal/validation/strictJson.ts"

const limits: JsonLimits = { maxDepth: 8, maxMembers: 256 }

const parsedBytes = (bytes: Uint8Array, limited: Partial<JsonLimits> = {}) =>
  parseObject(bytes, { ...limits, ...limited })
const parsed = (text: string, limited?: Partial<JsonLimits>) => parsedBytes(new TextEncoder().encode(text), limited)

const problemOf = (text: string, limited?: Partial<JsonLimits>) =>
  Result.match(parsed(text, limited), { onFailure: (problem) => problem, onSuccess: () => undefined })
const objectOf = (text: string, limited?: Partial<JsonLimits>) => Result.getOrThrow(parsed(text, limited)).object
const sizeOf = (text: string) => Result.getOrThrow(parsed(text)).bytes

describe("parseObject", () => {
  it("gives an object as it is written", () => {
    const value = { a: 1, b: "c", d: [true, false, null, { e: -1.5e3 }], "": {}, f: [] }
    assert.deepStrictEqual(objectOf(JSON.stringify(value)), value)
    assert.deepStrictEqual(objectOf(JSON.stringify(value, null, 2)), value)
    assert.deepStrictEqual(objectOf("{}"), {})
    assert.deepStrictEqual(objectOf(" \n{ \"a\" : 1 }\t"), { a: 1 })
  })

  it("rejects what is not a JSON object", () => {
    for (
      const text of ["", " ", "[]", "[{}]", "null", "1", "\"a\"", "{", "{\"a\":1}x", "{a:1}", "{'a':1}", "{\"a\":1,}"]
    ) {
      assert.strictEqual(problemOf(text), "json", text)
    }
    for (
      const text of ["{\"a\":NaN}", "{\"a\":01}", "{\"a\":undefined}", "{\"a\":\"\n\"}", "{\"a\":1}{}", "\u00A0{}"]
    ) {
      assert.strictEqual(problemOf(text), "json", text)
    }
  })

  it("rejects invalid UTF-8, and a byte order mark", () => {
    const within = (...bytes: ReadonlyArray<number>) =>
      Result.getFailure(parsedBytes(Uint8Array.of(0x7B, 0x22, 0x61, 0x22, 0x3A, 0x22, ...bytes, 0x22, 0x7D)))
    const broken = [[0xFF], [0xC0, 0xAF], [0xED, 0xA0, 0x80], [0xC3], [0xF5, 0x80, 0x80, 0x80], [0x80]]
    for (const bytes of broken) assert.deepStrictEqual(within(...bytes), within(0xFE), String(bytes))
    assert.strictEqual(Result.getOrThrow(Result.flip(parsedBytes(Uint8Array.of(0xFF)))), "encoding")
    assert.strictEqual(problemOf("\uFEFF{}"), "json")
    assert.deepStrictEqual(objectOf("{\"a\":\"\uFEFFé😀\"}"), { a: "\uFEFFé😀" })
  })

  it("rejects unpaired surrogates in strings and names at any depth, and accepts pairs", () => {
    for (const half of ["\\ud800", "\\uDFFF", "\\udc00\\ud800", "x\\uD83Dx"]) {
      for (const text of [`{"a":"${half}"}`, `{"${half}":1}`, `{"a":[{"b":"${half}"}]}`, `{"a":{"${half}":1}}`]) {
        assert.strictEqual(problemOf(text), "encoding", text)
      }
    }
    assert.deepStrictEqual(objectOf("{\"a\":\"\\ud83d\\ude00\"}"), { a: "😀" })
    const beside = (text: string) => `{"a":null,"b":1,"c":[true,{"d":"\\ud83d\\ude00"}],"e":"${text}"}`
    assert.deepStrictEqual(objectOf(beside("f")), { a: null, b: 1, c: [true, { d: "😀" }], e: "f" })
    assert.strictEqual(problemOf(beside("\\ud83d")), "encoding")
    assert.deepStrictEqual(objectOf("{\"a\":\"\\\\ud83d\"}"), { a: "\\ud83d" })
  })
})

describe("duplicate members", () => {
  it("[R2] [K-08] are refused at any depth, however they are spelt", () => {
    const spelt = [
      "{\"a\":1,\"a\":1}",
      "{\"a\":1,\"b\":2,\"a\":3}",
      "{\"a\":1,\"\\u0061\":2}",
      "{\"a\\/\":1,\"a/\":2}",
      "{\"x\":{\"a\":1,\"a\":2}}",
      "{\"x\":[{\"a\":1},{\"b\":1,\"b\":2}]}",
      "{\"\":1,\"\":2}",
      "{\"__proto__\":1,\"__proto__\":2}",
      "{\"a\" : 1 , \"a\"\n:\t2}",
      "{\"a\":{\"b\":1},\"a\":{\"c\":2}}",
      "{\"a\\\"\":1,\"a\\\"\":2}",
      "{\"\\\\\":1,\"\\\\\":2}"
    ]
    for (const text of spelt) assert.strictEqual(problemOf(text), "duplicate", text)
  })

  it("[R2] are not seen where there are none: in texts with quotes, colons and backslashes", () => {
    const texts = [
      "\"",
      "\\",
      "\\\\",
      "\\\"",
      ":",
      "\":\"",
      "\\\":",
      "{\"a\":1,\"a\":2}",
      "\\\\\":1,\"",
      "a\\",
      "\"\"\"",
      "::::"
    ]
    for (const text of texts) {
      for (const value of [{ a: text }, { [text]: 1 }, { [text]: text, b: [text, { [text]: text }] }]) {
        assert.deepStrictEqual(objectOf(JSON.stringify(value)), value, text)
      }
    }
  })

  it("[R2] two objects may have a member of one name each", () => {
    assert.deepStrictEqual(objectOf("{\"a\":{\"b\":1},\"c\":{\"b\":1},\"b\":[{\"b\":1},{\"b\":2}]}"), {
      a: { b: 1 },
      c: { b: 1 },
      b: [{ b: 1 }, { b: 2 }]
    })
  })
})

describe("limits", () => {
  const nested = (levels: number, of: "[" | "{"): string => {
    let text = "1"
    for (let level = 1; level < levels; level++) text = of === "[" ? `[${text}]` : `{"a":${text}}`
    return `{"a":${text}}`
  }

  it("[R2] the object itself is the first level; lists are levels too", () => {
    for (const  of of["[", "{"] as const) {
      assert.strictEqual(problemOf(nested(8, of)), undefined)
      assert.strictEqual(problemOf(nested(9, of)), "depth")
      assert.strictEqual(problemOf(nested(1, of), { maxDepth: 1 }), undefined)
      assert.strictEqual(problemOf(nested(2, of), { maxDepth: 1 }), "depth")
    }
    assert.strictEqual(problemOf(nested(5000, "[")), "depth")
  })

  it("[R2] members of all objects count together; elements of lists do not", () => {
    const members = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`m${index}`, 1]))
    assert.strictEqual(problemOf(JSON.stringify(members(256))), undefined)
    assert.strictEqual(problemOf(JSON.stringify(members(257))), "members")
    const inLists = (count: number) => JSON.stringify({ a: [members(count), members(count)] })
    assert.strictEqual(problemOf(inLists(4), { maxMembers: 9 }), undefined)
    assert.strictEqual(problemOf(inLists(4), { maxMembers: 8 }), "members")
    assert.strictEqual(
      problemOf(JSON.stringify({ a: Array.from({ length: 1000 }, () => 0) }), { maxMembers: 1 }),
      undefined
    )
  })

  it("[R2] [K-08] numbers are finite, wherever they are", () => {
    for (const text of ["{\"exp\":1e999}", "{\"a\":-1e999}", "{\"a\":[1,[1e400]]}", "{\"a\":{\"b\":1e309}}"]) {
      assert.strictEqual(problemOf(text), "number", text)
    }
    assert.deepStrictEqual(objectOf("{\"a\":1e308,\"b\":-0}"), { a: 1e308, b: -0 })
  })
})

describe("the size of an object in memory", () => {
  it("[R6] grows with its text, its members, its elements, and what they are in", () => {
    assert.strictEqual(sizeOf("{}"), 64 + 2)
    assert.strictEqual(sizeOf("{\"a\":1}"), 64 + 112 + 7)
    assert.strictEqual(sizeOf("{\"a\":\"bc\"}"), 64 + 112 + 32 + 10)
    assert.strictEqual(sizeOf("{\"a\":[1,\"b\",null]}"), 64 + 112 + 64 + 3 * 32 + 32 + 18)
    assert.strictEqual(sizeOf("{\"a\":{\"b\":true}}"), 2 * (64 + 112) + 16)
  })

  it("[R6] takes two bytes for each character of a text with one beyond ASCII", () => {
    assert.strictEqual(sizeOf("{\"a\":\"é\"}"), 64 + 112 + 32 + 2 * 9)
  })
})

describe("own", () => {
  it("gives an object's own members alone", () => {
    const object = objectOf("{\"a\":1,\"__proto__\":{\"b\":2},\"c\":null}")
    assert.strictEqual(own(object, "a"), 1)
    assert.deepStrictEqual(own(object, "__proto__"), { b: 2 })
    assert.isNull(own(object, "c"))
    for (const name of ["b", "toString", "constructor", "hasOwnProperty"]) assert.isUndefined(own(object, name), name)
  })
})
