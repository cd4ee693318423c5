import { assert, describe, it } from "@effect/vitest"
import { forAll } from "@keelson/testing/properties"
import { Headers, HttpServerRequest } from "effect/http"
import fc from "fast-check"
import { findToken } from "../../src/internal/http/requestToken.ts"

const bare = HttpServerRequest.fromWeb(new Request("http://api.example/"))

const requestOf = (headers: Readonly<Record<string, string>>, url = "/") =>
  bare.modify({ headers: Headers.fromRecordUnsafe(headers), url })

/** What a token may be written with, and what surrounds it by mistake or by intent. */
const token = fc.stringMatching(/^[\w.~+/-]{1,20}={0,2}$/)
const noise = fc.string({
  unit: fc.constantFrom(" ", "\t", ",", "=", "\"", "a", ".", "B", "\u00e9", ";", ":"),
  maxLength: 8
})
const scheme = fc.constantFrom("Bearer", "bearer", "BEARER", "Basic", "DPoP", "", "Bearer:", "Bearers")
const value = fc.oneof(
  fc.tuple(scheme, fc.constantFrom(" ", "  ", "\t", "", " \t"), token, noise).map((parts) => parts.join("")),
  fc.tuple(noise, scheme, fc.constant(" "), token).map((parts) => parts.join("")),
  fc.string({ unit: "binary", maxLength: 40 })
)

const sources = { queryParameter: "access_token", cookie: { name: "token", origins: ["https://app.example"] } }

describe("findToken", () => {
  it("[R7] [K-27] finds a token in a header of the form of RFC 6750 alone, and just that token", (context) =>
    forAll(context, 2000, value, (authorization) => {
      const found = findToken(requestOf({ authorization }), {})
      const expected = /^bearer +([\w.~+/-]+=*)$/i.exec(authorization)?.[1]
      assert.strictEqual(found._tag === "Token" ? found.text : undefined, expected)
    }))

  it("[R7] [K-27] takes no token of a request that has two, wherever they are, and has no two for one", (context) =>
    forAll(
      context,
      500,
      fc.tuple(fc.option(token), fc.array(token, { maxLength: 2 }), fc.array(token, { maxLength: 2 })),
      ([
        inHeader,
        inUrl,
        inCookie
      ]) => {
        const headers = {
          ...(inHeader === null ? undefined : { authorization: `Bearer ${inHeader}` }),
          ...(inCookie.length === 0 ? undefined : { cookie: inCookie.map((text) => `token=${text}`).join("; ") })
        }
        const query = new URLSearchParams(inUrl.map((text) => ["access_token", text]))
        const found = findToken(requestOf(headers, `/?${query}`), sources)
        const all = [...(inHeader === null ? [] : [inHeader]), ...inUrl, ...inCookie]
        assert.strictEqual(found._tag, all.length === 0 ? "None" : all.length === 1 ? "Token" : "Invalid")
        if (found._tag === "Token") assert.strictEqual(found.text, all[0])
      }
    ))
})
