import { assert, describe, it } from "@effect/vitest"
import { challengeOf, defaultProtection } from "../src/internal/http/challenge.ts"
import { malformed, notGet, several } from "../src/internal/http/found.ts"

describe("challenge", () => {
  it("has the form of RFC 6750, 3", () => {
    assert.strictEqual(challengeOf({ realm: "example" }), "Bearer realm=\"example\"")
    assert.strictEqual(
      challengeOf({ realm: "example" }, { error: "invalid_token", description: "The access token expired" }),
      "Bearer realm=\"example\", error=\"invalid_token\", error_description=\"The access token expired\""
    )
    assert.strictEqual(
      challengeOf(
        { realm: "example", resourceMetadata: "https://a.example/m" },
        { error: "insufficient_scope", description: "d", scopes: ["a", "b"] }
      ),
      "Bearer realm=\"example\", error=\"insufficient_scope\", error_description=\"d\", scope=\"a b\", " +
        "resource_metadata=\"https://a.example/m\""
    )
  })

  it("has a parameter always, as RFC 6750, 3 wants it", () => {
    assert.match(challengeOf(defaultProtection), /^Bearer \w+="/)
    assert.notInclude(challengeOf(defaultProtection, { error: "invalid_token", description: "d", scopes: [] }), "scope")
  })

  it("escapes quotes and backslashes, and nothing else", () => {
    assert.strictEqual(challengeOf({ realm: String.raw`"\$&'` }), String.raw`Bearer realm="\"\\$&'"`)
  })

  it("[R21] describes problems in the characters that RFC 6750, 3 allows, and nothing of the request", () => {
    for (const found of [malformed, several, notGet]) {
      assert.match(found._tag === "Invalid" ? found.problem : "", /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/)
    }
  })
})
