import { assert, describe, it } from "@effect/vitest"
import { forAllEffect } from "@keelson/testing/properties"
import { Effect } from "effect"
import { HttpBody, HttpClientRequest } from "effect/http"
import fc from "fast-check"
import { guardOver, makeSource, scripted } from "../guardSupport.ts"

/** URLs of the guard, and others that resemble them. */
const own = ["https://api.example/v1", "https://api.example/v1/a", "https://files.example", "https://files.example/b"]
const others = [
  "https://api.example/v2",
  "https://api.example/v10",
  "https://api.example/v1/..%2fv2",
  "https://api.example:444/v1",
  "https://api.example.evil/v1",
  "https://evil.example/https://api.example/v1",
  "http://api.example/v1",
  "https://user@api.example/v1",
  "https://files.example.evil",
  "https://127.0.0.1/v1"
]
const isOwn = (url: string): boolean => /^https:\/\/(?:api\.example\/v1(?:\/(?!.*%2f)|\?|$)|files\.example\/)/.test(url)

const place = fc.oneof(fc.constantFrom(...own), fc.constantFrom(...others))
const hop = fc.record({
  status: fc.constantFrom(200, 301, 302, 303, 307, 308, 401, 503),
  location: fc.oneof(
    place,
    fc.constantFrom("", "?x", "/v1/c", "/v2", "//evil.example/v1", "../v2", "\\\\evil.example", "https:")
  )
})
const call = fc.record({
  first: place,
  method: fc.constantFrom("GET" as const, "POST" as const, "PUT" as const, "DELETE" as const, "QUERY" as const),
  hops: fc.array(hop, { maxLength: 8 }),
  maxRedirects: fc.integer({ min: 0, max: 10 })
})

describe("TokenGuard redirects", () => {
  it("[R12] with any redirects, the token is sent to the guard's origins only, and credentials to no other origin", (test) =>
    forAllEffect(test, 500, call, ({ first, hops, maxRedirects, method }) =>
      Effect.gen(function*() {
        const api = scripted((_, number) =>
          Effect.sync(() => {
            const { location, status } = hops[number - 1] ?? { status: 200, location: "" }
            return new Response(null, { status, headers: { location } })
          })
        )
        const guard = yield* guardOver(api, {
          source: makeSource().source,
          origins: ["https://api.example/v1", "https://files.example"],
          maxRedirects
        })
        const request = HttpClientRequest.make(method)(first, {
          headers: { cookie: "a=b", authorization: "Basic eDp5", "x-api-key": "k", host: "api.example" }
        })
        yield* Effect.exit(
          guard.execute(method === "GET" ? request : HttpClientRequest.setBody(request, HttpBody.text("x")))
        )
        // One repetition after a 401 for the whole call.
        assert.isAtMost(api.received.length, maxRedirects + 2)
        for (const [index, { authorization, hasBody, headers, method: sent, url }] of api.received.entries()) {
          if (isOwn(url)) assert.match(authorization ?? "", /^Bearer token-[12]$/, url)
          else {
            assert.strictEqual(authorization, undefined, url)
            assert.include(["GET", "HEAD", "QUERY"], sent, url)
            assert.isFalse(hasBody, url)
            for (const name of ["cookie", "x-api-key", "host"]) assert.strictEqual(headers[name], undefined, url)
          }
          assert.strictEqual(new URL(url).protocol, "https:")
          if (index > 0 && (headers["cookie"] ?? headers["x-api-key"]) !== undefined) {
            assert.strictEqual(new URL(url).origin, new URL(api.received[0]!.url).origin)
          }
        }
      })))
})
