import { assert, describe, it } from "@effect/vitest"
import { BucketOptions, Cors, HeaderRules } from "@keelson/gateway"
import * as Schema from "effect/Schema"

const rules = HeaderRules.make({ request: [], response: [] })
const custom = HeaderRules.make({
  request: ["X-Tenant", "authorization", "x-amz-meta-*"],
  response: ["x-amz-meta-*", "Set-Cookie", "x-amz-version-id", "*"]
})

describe("HeaderRules", () => {
  it("[R34] a read sends the store ranges and preconditions only", () => {
    const kept = {
      range: "bytes=0-1",
      "if-match": "\"a\"",
      "if-none-match": "*",
      "if-range": "\"a\"",
      "if-modified-since": "x",
      "if-unmodified-since": "x"
    }
    const others = {
      authorization: "Bearer secret",
      cookie: "a=b",
      "x-amz-acl": "private",
      "x-amz-security-token": "t",
      "x-forwarded-for": "1.1.1.1",
      "accept-encoding": "gzip",
      host: "gateway",
      "content-type": "text/plain",
      te: "trailers"
    }
    assert.deepStrictEqual(rules.toStore("GET", { ...kept, ...others }), kept)
    assert.deepStrictEqual(rules.toStore("HEAD", { ...kept, ...others }), kept)
  })

  it("[R34] headers that Connection names do not cross, in either direction", () => {
    assert.deepStrictEqual(rules.toStore("GET", { connection: "close, Range", range: "bytes=0-1" }), {})
    assert.deepStrictEqual(rules.fromStore(200, { connection: "ETag", etag: "\"a\"", "content-type": "a/b" }), {
      "content-type": "a/b"
    })
  })

  it("[R34] a value that would end a line is refused from a client, and removed from a store", () => {
    for (const value of ["a\r\nx: y", "a\nb", "a\u0000", "\u007f", "ā"]) {
      assert.strictEqual(rules.toStore("GET", { range: value }), undefined)
      assert.deepStrictEqual(rules.fromStore(200, { etag: value, "content-type": "a/b" }), { "content-type": "a/b" })
    }
    assert.deepStrictEqual(
      custom.fromStore(200, { "x-amz-meta-a b": "1", "x-amz-meta-\r\n": "2", "x-amz-meta-ok": "\xfc\t" }),
      { "x-amz-meta-ok": "\xfc\t" }
    )
  })

  it("[R34] a store's cookies, ids, owners and unknown headers do not reach clients", () => {
    const headers = {
      etag: "\"a\"",
      "content-type": "text/plain",
      "content-length": "3",
      "set-cookie": "a=b",
      server: "AmazonS3",
      "x-amz-id-2": "i",
      "x-amz-request-id": "r",
      "x-amz-meta-owner": "me",
      "x-amz-version-id": "v",
      "access-control-allow-origin": "*",
      "strict-transport-security": "max-age=1",
      "transfer-encoding": "chunked"
    }
    assert.deepStrictEqual(rules.fromStore(200, headers), { etag: "\"a\"", "content-type": "text/plain" })
    const more = custom.fromStore(200, headers)
    assert.strictEqual(more["x-amz-meta-owner"], "me")
    assert.strictEqual(more["x-amz-version-id"], "v")
    for (const name of ["set-cookie", "server", "transfer-encoding", "content-length", "x-amz-request-id"]) {
      assert.notProperty(more, name)
    }
  })

  it("[R34] the checksum of a whole object is removed from a part of it", () => {
    const headers = {
      "x-amz-checksum-sha256": "a",
      "x-amz-checksum-type": "FULL_OBJECT",
      "content-range": "bytes 0-0/2"
    }
    assert.deepStrictEqual(rules.fromStore(206, headers), { "content-range": "bytes 0-0/2" })
    assert.deepStrictEqual(rules.fromStore(200, headers), headers)
  })

  it("[R32] a header of the configuration's list reaches the store, and turns the cache off", () => {
    assert.deepStrictEqual(custom.toStore("GET", { "x-tenant": "a", "x-amz-meta-b": "c" }), {
      "x-tenant": "a",
      "x-amz-meta-b": "c"
    })
    assert.isTrue(custom.isUncacheable({ "x-tenant": "a" }))
    assert.isFalse(custom.isUncacheable({ range: "bytes=0-1", authorization: "Bearer a" }))
    assert.isFalse(rules.isUncacheable({ "x-tenant": "a" }))
    assert.deepStrictEqual(custom.toStore("GET", { authorization: "Bearer secret" }), {})
  })

  it("[G-10] Content-Encoding is as stored, without aws-chunked", () => {
    assert.deepStrictEqual(rules.fromStore(200, { "content-encoding": "gzip" }), { "content-encoding": "gzip" })
    assert.deepStrictEqual(rules.fromStore(200, { "content-encoding": "AWS-Chunked, gzip" }), {
      "content-encoding": "gzip"
    })
    assert.deepStrictEqual(rules.fromStore(200, { "content-encoding": "aws-chunked" }), {})
  })

  it("[G-21] a body with the framing aws-chunked is refused", () => {
    for (
      const headers of [
        { "content-encoding": "aws-chunked" },
        { "content-encoding": "gzip,Aws-Chunked" },
        { "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER" },
        { "x-amz-decoded-content-length": "3" },
        { "x-amz-trailer": "x-amz-checksum-crc32" }
      ]
    ) assert.strictEqual(rules.toStore("PUT", headers), undefined)
    assert.deepStrictEqual(
      rules.toStore("PUT", {
        "content-type": "a/b",
        "content-encoding": "gzip",
        "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
        "x-amz-acl": "public-read",
        "x-amz-copy-source": "/b/k",
        "x-amz-meta-a": "b"
      }),
      { "content-type": "a/b", "content-encoding": "gzip" }
    )
  })

  it("[G-17] what needed authorization is private for outer caches", () => {
    const closed = (value: string | undefined) => HeaderRules.cacheControl(value, false)
    assert.strictEqual(closed("public"), "private")
    assert.strictEqual(closed("Public, max-age=5, S-MaxAge=\"9\""), "private, max-age=5")
    assert.strictEqual(closed("private=\"set-cookie\", max-age=5"), "private, max-age=5")
    assert.strictEqual(closed("no-store"), "no-store")
    assert.strictEqual(closed("no-cache, immutable"), "private, no-cache, immutable")
    assert.strictEqual(closed(""), "private")
    assert.strictEqual(HeaderRules.cacheControl("public, max-age=5", true), "public, max-age=5")
  })
})

const cors = (options: BucketOptions.CorsOptions) =>
  Cors.make(["GET", "HEAD"], Schema.decodeUnknownSync(BucketOptions.Cors)(options))

describe("Cors", () => {
  it("[G-9] every answer varies by Origin, also without one and for a foreign one", () => {
    const listed = cors({ origins: ["https://app.example", "https://b.example"] })
    assert.deepStrictEqual(listed.headers(undefined), { vary: "Origin" })
    assert.deepStrictEqual(listed.headers("https://evil.example"), { vary: "Origin" })
    assert.deepStrictEqual(listed.headers("null"), { vary: "Origin" })
    assert.deepStrictEqual(listed.headers("https://b.example"), {
      vary: "Origin",
      "access-control-allow-origin": "https://b.example",
      "access-control-expose-headers": "etag, content-range, x-correlation-id"
    })
    assert.deepStrictEqual(cors({ origins: ["*"], expose: [] }).headers("https://any.example"), {
      "access-control-allow-origin": "*"
    })
    assert.deepStrictEqual(Cors.make(["GET"], undefined).headers("https://app.example"), {})
  })

  it("[G-9] OPTIONS is answered, for a preflight and without one", () => {
    const listed = cors({
      origins: ["https://app.example"],
      headers: ["range", "authorization"],
      credentials: true,
      maxAge: "90 seconds"
    })
    assert.deepStrictEqual(
      listed.preflight({ origin: "https://app.example", "access-control-request-method": "GET" }),
      {
        vary: "Origin",
        allow: "GET, HEAD, OPTIONS",
        "access-control-allow-origin": "https://app.example",
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET, HEAD",
        "access-control-allow-headers": "range, authorization",
        "access-control-max-age": "90"
      }
    )
    assert.deepStrictEqual(listed.preflight({ origin: "https://app.example" }), {
      vary: "Origin",
      allow: "GET, HEAD, OPTIONS"
    })
    assert.deepStrictEqual(listed.preflight({}), { vary: "Origin", allow: "GET, HEAD, OPTIONS" })
    assert.deepStrictEqual(Cors.make(["GET"], undefined).preflight({}), { allow: "GET, OPTIONS" })
  })

  it("[G-9] an origin is compared whole", () => {
    const listed = cors({ origins: ["https://app.example"] })
    for (
      const origin of [
        "https://app.example.evil.example",
        "http://app.example",
        "https://app.example:444",
        "https://APP.example",
        "*",
        "__proto__"
      ]
    ) {
      assert.deepStrictEqual(listed.headers(origin), { vary: "Origin" }, origin)
    }
  })
})
