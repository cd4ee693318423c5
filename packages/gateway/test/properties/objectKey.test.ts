import { assert, describe, it } from "@effect/vitest"
import { CacheKey } from "@keelson/cache"
import { ObjectKey } from "@keelson/gateway"
import { forAll } from "@keelson/testing/properties"
import fc from "fast-check"
import { encodeKey } from "../../src/internal/store/objectPath.ts"

const methods = ["GET", "HEAD", "PUT", "DELETE"] as const
const buckets = [
  { name: "root", path: "/", methods },
  { name: "a", path: "/a", methods },
  { name: "ab", path: "/a/b", methods },
  { name: "abc", path: "/abc", methods },
  { name: "indexed", path: "/i", methods, index: "index.html" }
]
const route = ObjectKey.router(buckets)

/** A key of text, escapes and separators that a careless parser changes. */
const part = fc.oneof(
  fc.constantFrom(
    "/",
    "//",
    ".",
    "..",
    "%",
    "%2F",
    "%25",
    "+",
    " ",
    ";",
    "?",
    "#",
    "\\",
    "a",
    "A",
    "é",
    "e\u0301",
    "😀",
    "\n",
    "*",
    "'()!"
  ),
  fc.string({ unit: "grapheme", maxLength: 4 })
)
const key = fc.array(part, { minLength: 1, maxLength: 8 }).map((parts) =>
  parts.join("").replaceAll("\0", "").toWellFormed()
)
  .filter((text) => text !== "")

const encodeEverything = (text: string): string =>
  [...new TextEncoder().encode(text)].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("")

/** Whether a key leaves its bucket when its dot segments are resolved, by the resolution itself. */
const leaves = (text: string): boolean => {
  const stack: Array<string> = []
  for (const segment of text.split("/")) {
    if (segment === "..") {
      if (stack.pop() === undefined) return true
    } else if (segment !== "" && segment !== ".") stack.push(segment)
  }
  return false
}

/** The path of a key as it is sent; nothing for what is no key. */
const encode = (text: string): string => encodeKey(text) ?? ""

describe("properties of object keys", () => {
  it("[G-1] [G-2] [G-4] decoding what encode writes gives the key back, whatever it has", (context) => {
    forAll(context, 3000, key, (text) => {
      for (const written of [encode(text), encodeEverything(text)]) {
        const found = route("GET", `/z/${written}`)
        if (leaves(text) || new TextEncoder().encode(`z/${text}`).length > 1024) {
          // "z/" is one level of the key, so that only what climbs out of the whole key is refused.
          continue
        }
        assert.deepStrictEqual(found, { _tag: "Found", bucket: buckets[0]!, key: `z/${text}`, query: "" })
      }
    })
  })

  it("[G-3] a key with dot segments is itself, or is refused when it would climb out of the bucket", (context) => {
    const segments = fc.array(fc.constantFrom("..", ".", "", "x", "...", "..x", "%2e%2e", "%2E."), {
      minLength: 1,
      maxLength: 7
    })
    forAll(context, 3000, segments, (list) => {
      const raw = list.join("/")
      const text = decodeURIComponent(raw)
      const found = route("GET", `/a/q/${raw}`)
      const name = `q/${text}`
      if (leaves(name)) assert.strictEqual(found._tag === "Refused" && found.code, "GATEWAY_REQUEST_INVALID")
      else assert.strictEqual(found._tag === "Found" && found.key, name)
    })
  })

  it("[R30] every spelling of a path reaches one bucket and one key, and other keys have other cache entries", (context) => {
    const spelled = fc.tuple(
      fc.constantFrom("/a/", "/a/b/", "/abc/", "/ab/", "/"),
      key,
      fc.array(fc.boolean(), { minLength: 1, maxLength: 9 })
    )
    const identity = (target: string): string | undefined => {
      const found = route("GET", target)
      return found._tag === "Found" ? CacheKey.makeUnsafe({ bucket: found.bucket.name, key: found.key }).id : undefined
    }
    const seen = new Map<string, string>()
    forAll(context, 3000, spelled, ([prefix, text, choices]) => {
      const bytes = [...new TextEncoder().encode(`${prefix}${text}`)]
      const target = bytes.map((byte, at) =>
        /[A-Za-z0-9/]/.test(String.fromCharCode(byte)) && (at === 0 || choices[at % choices.length] === true)
          ? String.fromCharCode(byte)
          : `%${byte.toString(16)}`.replace(/^%(.)$/, "%0$1")
      ).join("")
      const id = identity(target)
      assert.strictEqual(id, identity(prefix + encode(text)))
      if (id === undefined) return
      const earlier = seen.get(id)
      if (earlier !== undefined) assert.strictEqual(earlier, `${prefix}${text}`)
      seen.set(id, `${prefix}${text}`)
    })
  })

  it("[R30] no target makes the router throw, and none gives a key with NUL, bad Unicode or more than 1024 bytes", (context) => {
    const hostile = fc.oneof(
      fc.string({ unit: "binary", maxLength: 60 }),
      fc.string({ unit: "binary-ascii", maxLength: 60 }).map((text) => `/${text}`),
      fc.array(
        fc.constantFrom(
          "/",
          "%",
          "%0",
          "%00",
          "%c0%ae",
          "%ed%a0%80",
          "%ff",
          "?",
          "#",
          "*",
          "..",
          ":",
          "//",
          "http://",
          "h",
          "&",
          "=",
          "\ud800",
          "%u0041"
        ),
        { maxLength: 20 }
      )
        .map((parts) => parts.join("")),
      fc.integer({ min: 1000, max: 20_000 }).map((length) => `/${"ü".repeat(length)}`),
      fc.integer({ min: 1000, max: 20_000 }).map((length) => `/${"%c3%bc".repeat(length)}`)
    )
    forAll(
      context,
      10_000,
      fc.tuple(fc.constantFrom(...methods, "OPTIONS", "TRACE", "", "CONNECT"), hostile),
      ([method, target]) => {
        const found = route(method, target)
        if (found._tag !== "Found") return
        assert.isTrue(found.key.isWellFormed())
        assert.isFalse(found.key.includes("\0"))
        assert.isAtMost(new TextEncoder().encode(found.key).length, 1024)
      }
    )
  })

  it("[R30] encode never throws, and writes only what a request target may have", (context) => {
    forAll(context, 10_000, fc.string({ unit: "binary", maxLength: 40 }), (text) => {
      assert.match(encode(text), /^(?:[A-Za-z0-9\-._~/]|%[0-9A-F]{2})*$/)
    })
  })
})
