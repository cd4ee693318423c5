import { assert, describe, it } from "@effect/vitest"
import { challenge, defaultProtectionSpace } from "../src/internal/http/challenge.ts"
import { malformed, notGet, several } from "../src/internal/http/requestToken.ts"

describe("challenge", () => {
  it("has the form of RFC 6750, 3", () => {
    assert.strictEqual(challenge({ realm: "example" }), "Bearer realm=\"example\"")
    assert.strictEqual(
      challenge({ realm: "example" }, { error: "invalid_token", description: "The access token expired" }),
      "Bearer realm=\"example\", error=\"invalid_token\", error_description=\"The access token expired\""
    )
    assert.strictEqual(
      challenge(
        { realm: "example", resourceMetadata: "https://a.example/m" },
        { error: "insufficient_scope", description: "d", scopes: ["a", "b"] }
      ),
      "Bearer realm=\"example\", error=\"insufficient_scope\", error_description=\"d\", scope=\"a b\", " +
        "resource_metadata=\"https://a.example/m\""
    )
  })

  it("always has a parameter, as RFC 6750, 3 requires", () => {
    assert.match(challenge(defaultProtectionSpace), /^Bearer \w+="/)
    assert.notInclude(
      challenge(defaultProtectionSpace, { error: "invalid_token", description: "d", scopes: [] }),
      "scope"
    )
  })

  it("escapes quotes and backslashes, and nothing else", () => {
    assert.strictEqual(challenge({ realm: String.raw`"\$&'` }), String.raw`Bearer realm="\"\\$&'"`)
  })

  it("[R21] describes problems in the characters that RFC 6750, 3 allows, and nothing of the request", () => {
    for (const token of [malformed, several, notGet]) {
      assert.match(token._tag === "Invalid" ? token.problem.description : "", /^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/)
    }
  })
})
