import { assert, describe, it } from "@effect/vitest"
import { ObjectKey } from "@keelson/gateway"
import { encodeKey } from "../src/internal/store/objectPath.ts"

const reads = ["GET", "HEAD"] as const
const writes = ["GET", "HEAD", "PUT", "DELETE"] as const
const buckets = [
  { path: "/products", methods: reads },
  { path: "/products/new", methods: writes },
  { path: "/site", methods: writes, index: "index.html" }
]
const route = ObjectKey.router(buckets)
const withRoot = ObjectKey.router([...buckets, { path: "/", methods: reads, index: "start.html" }])

const keyOf = (target: string, method = "GET"): string => {
  const found = route(method, target)
  return found._tag === "Found" ? found.key : found._tag === "Refused" ? found.code : found._tag
}
const pathOf = (target: string): string | undefined => {
  const found = withRoot("GET", target)
  return found._tag === "Found" ? `${found.bucket.path} ${found.key}` : undefined
}

describe("ObjectKey", () => {
  it("[G-1] plus, space, brackets and letters beyond ASCII are the key's own", () => {
    assert.strictEqual(keyOf("/products/a+b"), "a+b")
    assert.strictEqual(keyOf("/products/a%20b%2Bc"), "a b+c")
    assert.strictEqual(keyOf("/products/()'!*"), "()'!*")
    assert.strictEqual(keyOf("/products/%C3%BC"), "ü")
    assert.strictEqual(encodeKey("a b+()'!*~/ü"), "a%20b%2B%28%29%27%21%2A~/%C3%BC")
  })

  it("[G-2] keys that look alike are different", () => {
    const targets = ["a%252Fb", "a%2Fb", "100%25.txt", "100%2525.txt", "%C3%A9", "e%CC%81", "A", "%41%41"]
    const keys = targets.map((target) => keyOf(`/products/${target}`))
    assert.deepStrictEqual(keys, ["a%2Fb", "a/b", "100%.txt", "100%25.txt", "é", "e\u0301", "A", "AA"])
    assert.strictEqual(new Set(keys.map((key) => encodeKey(key ?? ""))).size, keys.length)
    assert.strictEqual(keyOf("/products/100%.txt"), "GATEWAY_REQUEST_INVALID")
  })

  it("[G-3] dot segments stay in the bucket, or are refused", () => {
    for (const target of ["..", "../x", "a/../../x", "%2e%2e/x", ".%2E/x", "./../x", "//../x", "a//../../x"]) {
      assert.strictEqual(keyOf(`/products/${target}`), "GATEWAY_REQUEST_INVALID", target)
    }
    assert.strictEqual(keyOf("/products/./a"), "./a")
    assert.strictEqual(keyOf("/products/a/../b"), "a/../b")
    assert.strictEqual(keyOf("/products/..."), "...")
    assert.strictEqual(keyOf("/products/../products/a"), "GATEWAY_REQUEST_INVALID")
  })

  it("[G-4] repeated, leading and trailing slashes and semicolons are kept", () => {
    assert.strictEqual(keyOf("/products//a//b/"), "/a//b/")
    assert.strictEqual(keyOf("/products/a;b;c"), "a;b;c")
    assert.strictEqual(keyOf("/products/%2Fa"), "/a")
  })

  it("[R30] the longest path in whole segments wins, however it is spelled", () => {
    assert.strictEqual(pathOf("/products/new/x"), "/products/new x")
    assert.strictEqual(pathOf("/products/newer"), "/products newer")
    assert.strictEqual(pathOf("/productsx/a"), "/ productsx/a")
    assert.strictEqual(pathOf("/%70roducts/new/x"), "/products/new x")
    assert.strictEqual(pathOf("/products%2Fnew%2Fx"), "/products/new x")
    assert.strictEqual(pathOf("//products/x"), "/ /products/x")
    assert.strictEqual(pathOf("/Products/x"), "/ Products/x")
    assert.strictEqual(keyOf("/other/x"), "GATEWAY_BUCKET_NOT_FOUND")
    assert.strictEqual(keyOf("/"), "GATEWAY_BUCKET_NOT_FOUND")
  })

  it("[R30] NUL, bytes that are not UTF-8, bad escapes, fragments and raw bytes are refused", () => {
    for (
      const part of [
        "%00",
        "a%00b",
        "%ff",
        "%c0%af",
        "%ed%a0%80",
        "%",
        "%4",
        "%zz",
        "a#b",
        "a b",
        "ü",
        "\u0007",
        "%u0041"
      ]
    ) {
      assert.strictEqual(keyOf(`/products/${part}`), "GATEWAY_REQUEST_INVALID", part)
    }
    assert.strictEqual(keyOf(`/products/${"a".repeat(1024)}`), "a".repeat(1024))
    assert.strictEqual(keyOf(`/products/${"a".repeat(1025)}`), "GATEWAY_REQUEST_INVALID")
    assert.strictEqual(keyOf(`/products/${"%C3%BC".repeat(513)}`), "GATEWAY_REQUEST_INVALID")
    assert.strictEqual(keyOf("/products/%EF%BB%BFa"), "\ufeffa")
  })

  it("absolute-form names the same object as origin-form, and other forms are refused", () => {
    assert.strictEqual(keyOf("http://host:80/products/a//b?x"), "a//b")
    assert.strictEqual(keyOf("HTTPS://user@host/products/x"), "x")
    assert.strictEqual(keyOf("http://host"), "GATEWAY_BUCKET_NOT_FOUND")
    assert.strictEqual(keyOf("http://host?/products/x"), "GATEWAY_BUCKET_NOT_FOUND")
    for (const target of ["", "host:80", "products/x", "ftp://host/products/x", "javascript:x"]) {
      assert.strictEqual(keyOf(target), "GATEWAY_REQUEST_INVALID", target)
    }
    assert.strictEqual(route("OPTIONS", "*")._tag, "Server")
    assert.strictEqual(keyOf("*"), "GATEWAY_REQUEST_INVALID")
  })

  it("[G-19] queries that change what a store answers are refused, and others are kept from the store", () => {
    for (
      const query of [
        "versionId=1",
        "version%49d=1",
        "a=b&response-content-type=text/html",
        "X-Amz-Signature=1",
        "x-amz-date",
        "AWSAccessKeyId=1",
        "Signature=x"
      ]
    ) {
      assert.strictEqual(keyOf(`/products/a?${query}`), "GATEWAY_QUERY_REFUSED", query)
    }
    assert.strictEqual(keyOf("/products/a?v=1&utm_source=x&%=&acl"), "a")
    const found = route("GET", "/products/a?v=1?2")
    assert.strictEqual(found._tag === "Found" && found.query, "v=1?2")
  })

  it("[G-19] a write has no query, which could give it another meaning", () => {
    for (const query of ["acl", "tagging", "uploadId=1&partNumber=2", "v=1", "x-id=PutObject&acl"]) {
      assert.strictEqual(keyOf(`/site/a?${query}`, "PUT"), "GATEWAY_QUERY_REFUSED", query)
      assert.strictEqual(keyOf(`/site/a?${query}`, "DELETE"), "GATEWAY_QUERY_REFUSED", query)
    }
    assert.strictEqual(keyOf("/site/a?x-id=PutObject", "PUT"), "a")
    assert.strictEqual(keyOf("/site/a?", "PUT"), "a")
  })

  it("[G-20] an index document keeps the query, and has the prefix once", () => {
    assert.strictEqual(keyOf("/site/?a=b"), "index.html")
    assert.strictEqual(keyOf("/site/docs/"), "docs/index.html")
    assert.strictEqual(keyOf("/site/docs"), "docs")
    assert.strictEqual(keyOf("/site//"), "/index.html")
    const redirect = route("GET", "/%73ite?a=b&c=%2F")
    assert.deepStrictEqual(redirect, { _tag: "Redirect", bucket: buckets[2]!, location: "/site/?a=b&c=%2F" })
    assert.strictEqual(pathOf("/"), "/ start.html")
    assert.strictEqual(keyOf("/site/docs/", "PUT"), "docs/")
    assert.strictEqual(keyOf("/site/", "DELETE"), "GATEWAY_KEY_MISSING")
    assert.strictEqual(keyOf("/products"), "GATEWAY_KEY_MISSING")
    assert.strictEqual(keyOf("/products/"), "GATEWAY_KEY_MISSING")
  })

  it("[G-22] a method that the bucket does not serve is refused with the bucket", () => {
    assert.deepStrictEqual(route("PUT", "/products/a"), {
      _tag: "Refused",
      code: "GATEWAY_METHOD_NOT_ALLOWED",
      bucket: buckets[0]
    })
    for (const method of ["POST", "PATCH", "TRACE", "CONNECT", "get", "__proto__"]) {
      assert.strictEqual(keyOf("/site/a", method), "GATEWAY_METHOD_NOT_ALLOWED", method)
    }
    assert.strictEqual(keyOf("/products/a", "OPTIONS"), "a")
  })
})
