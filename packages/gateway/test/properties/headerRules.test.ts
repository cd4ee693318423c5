import { assert, describe, it } from "@effect/vitest"
import { HeaderRules } from "@keelson/gateway"
import { forAll } from "@keelson/testing/properties"
import fc from "fast-check"
import { validateHeaderName, validateHeaderValue } from "node:http"

const name = fc.oneof(
  fc.constantFrom(
    "range",
    "etag",
    "content-encoding",
    "connection",
    "x-amz-meta-a",
    "x-amz-checksum-crc32",
    "set-cookie",
    "cookie",
    "authorization",
    "transfer-encoding",
    "x-amz-content-sha256",
    "__proto__",
    "constructor"
  ),
  fc.string({ unit: "binary-ascii", maxLength: 8 }).map((text) => text.toLowerCase())
)
const value = fc.oneof(
  fc.string({ unit: "binary", maxLength: 12 }),
  fc.constantFrom("a", "aws-chunked", "range, etag", "a\r\nset-cookie: b", "", " ", "\xff")
)
const everything = HeaderRules.make({ request: ["*"], response: ["*"] })

describe("properties of header rules", () => {
  it("[R34] whatever comes, only headers that Node.js sends cross, and never those that must not", (context) => {
    const headers = fc.array(fc.tuple(name, value), { maxLength: 6 }).map((entries) => Object.fromEntries(entries))
    forAll(
      context,
      10_000,
      fc.tuple(headers, fc.constantFrom("GET", "HEAD", "PUT", "DELETE"), fc.constantFrom(200, 206, 304)),
      ([given, method, status]) => {
        const sets = [everything.toStore(method, given) ?? {}, everything.fromStore(status, given)]
        for (const set of sets) {
          for (const [header, text] of Object.entries(set)) {
            validateHeaderName(header)
            validateHeaderValue(header, text)
            assert.notInclude([
              "connection",
              "set-cookie",
              "cookie",
              "authorization",
              "transfer-encoding",
              "x-amz-content-sha256"
            ], header)
          }
        }
        assert.isString(HeaderRules.cacheControl(Object.values(given)[0], false))
      }
    )
  })
})
