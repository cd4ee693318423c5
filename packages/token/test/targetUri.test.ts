import { assert, describe, it } from "@effect/vitest"
import { isTarget, normalizeUri, pathOf } from "../src/internal/dpop/targetUri.ts"

const base = ["https://api.example"]

describe("targetUri", () => {
  it("[K-23] has one normal form for all spellings of a URL that RFC 3986 calls equivalent", () => {
    const spellings = [
      "https://api.example/a/b~c?x#y",
      "HTTPS://API.Example:443/a/b~c",
      "https://api.example/./a/../a/b%7Ec",
      "https://api.example/%61/b%7ec",
      "https://api.example/a/%62~%63#",
      "https://api.example/a/b~c?"
    ]
    for (const spelling of spellings) assert.strictEqual(normalizeUri(spelling), "https://api.example/a/b~c", spelling)
    assert.strictEqual(normalizeUri("http://api.example"), "http://api.example/")
    assert.strictEqual(normalizeUri("http://[::1]:80/%2f%3Fx"), "http://[::1]/%2F%3Fx")
    assert.strictEqual(
      normalizeUri("http://a.example/{x}|\"^`<>"),
      normalizeUri("http://a.example/%7Bx%7D%7c%22%5e%60%3c%3e")
    )
  })

  it("[K-23] keeps apart what is not equivalent", () => {
    const different = [
      "https://api.example/a",
      "https://api.example/A",
      "https://api.example/a/",
      "https://api.example//a",
      "https://api.example/a%2F",
      "https://api.example/a;b",
      "https://api.example:8443/a",
      "http://api.example/a",
      "https://api.example./a",
      "https://www.api.example/a"
    ]
    assert.strictEqual(new Set(different.map(normalizeUri)).size, different.length)
  })

  it("[K-23] is undefined for what is no URL of a server", () => {
    for (
      const text of [
        "",
        "/a",
        "https://",
        "https:///a",
        "https:api.example",
        "https://a@b.example/",
        "https://a.example/%",
        "https://a.example/%2",
        "https://a.example/%zz",
        "https://a.example/ ",
        "https://a.example/\u00e9",
        "https://a.example\\b",
        "https://a.example:99999/",
        "ftp://a.example/",
        "https://%61.example/"
      ]
    ) {
      assert.isUndefined(normalizeUri(text), text)
    }
  })

  it("[K-23] takes the path of a target in origin form and in absolute form, and no host from it", () => {
    assert.strictEqual(pathOf("/a/b?c=/d#e"), "/a/b")
    assert.strictEqual(pathOf("/a#b?c"), "/a")
    assert.strictEqual(pathOf("//evil.example/a"), "//evil.example/a")
    assert.strictEqual(pathOf("http://evil.example/a?b"), "/a")
    assert.strictEqual(pathOf("http://evil.example"), "/")
    for (const target of ["*", "", "a", "evil.example:443"]) assert.isUndefined(pathOf(target), target)
    assert.isTrue(isTarget("https://api.example/a", "http://evil.example/a?b", base))
    assert.isFalse(isTarget("http://evil.example/a", "http://evil.example/a?b", base))
    assert.isFalse(isTarget("https://api.example*", "*", base))
  })

  it("[K-23] accepts each URL of the API, with the path that a proxy removes", () => {
    const several = ["https://api.example", "https://example.com/api", "http://localhost:3000"]
    for (const htu of ["https://api.example/a", "https://example.com/api/a", "https://EXAMPLE.com/%61pi/a"]) {
      assert.isTrue(isTarget(htu, "/a", several), htu)
    }
    for (
      const htu of [
        "https://example.com/a",
        "https://api.example/api/a",
        "http://localhost/a",
        "https://localhost:3000/a"
      ]
    ) {
      assert.isFalse(isTarget(htu, "/a", several), htu)
    }
  })
})
