import { assert, describe, it } from "@effect/vitest"
import * as SafeUrl from "@keelson/core/unstable/SafeUrl"
import { Result } from "effect"
import { matching } from "../src/internal/guard/servers.ts"
import * as UrlScope from "../src/internal/guard/urlScope.ts"

const scope = (text: string, options?: UrlScope.Options) => Result.getOrThrow(UrlScope.parse(text, options))
const has = (text: string, url: string, options?: UrlScope.Options): boolean =>
  Result.match(SafeUrl.check(url, options), {
    onFailure: () => false,
    onSuccess: (checked) => UrlScope.contains(scope(text, options), checked)
  })
const reason = (result: Result.Result<unknown, UrlScope.UrlReason>) =>
  Result.match(result, { onFailure: (found) => found, onSuccess: () => "none" })
const local = { allowLocalhost: true }

describe("UrlScope", () => {
  describe("contains", () => {
    it("[S3-08] [R12] contains URLs at its origin or below its path, however the host is written", () => {
      for (
        const [of, url] of [
          ["https://api.example", "https://api.example"],
          ["https://api.example", "https://api.example/any/path?q=1#part"],
          ["https://api.example", "HTTPS://API.Example:443/"],
          ["https://api.example", "https://api.example./x"],
          ["https://API.example.", "https://api.example/x"],
          ["https://api.example:8443", "https://api.example:8443/x"],
          ["https://api.example/a", "https://api.example/a"],
          ["https://api.example/a", "https://api.example/a/"],
          ["https://api.example/a/", "https://api.example/a"],
          ["https://api.example/a", "https://api.example/a?b=/../c"],
          ["https://api.example/a", "https://api.example/x/../a/b"],
          ["https://api.example/a", "https://api.example/%61/b"],
          ["https://api.example/%7e", "https://api.example/~/b"],
          ["https://api.example/a%C3%A9", "https://api.example/aé/b"],
          ["https://bücher.example", "https://xn--bcher-kva.example/"],
          ["https://[2001:db8::1]", "https://[2001:0DB8:0:0:0:0:0:1]/x"],
          ["https://192.0.2.1", "https://0xC0.0.0x2.1/x"]
        ] as const
      ) assert.isTrue(has(of, url), `${of} ${url}`)
    })

    it("[S3-08] [R12] contains no other host, port, scheme or user", () => {
      for (
        const url of [
          "https://api.example.evil/",
          "https://api.example.evil@other.example/",
          "https://api.example@evil.example/",
          "https://api.example:443@evil.example/",
          "https://user:secret@api.example/",
          "https://evil.example/https://api.example/",
          "https://evilapi.example/",
          "https://sub.api.example/",
          "https://api.example:444/",
          "https://api.example../",
          "http://api.example/",
          "ftp://api.example/",
          "https://api.example%2eevil/",
          "https://api.example%00.evil/",
          "https://аpi.example/",
          "https:///",
          "//api.example/",
          "/x",
          ""
        ]
      ) assert.isFalse(has("https://api.example", url), url)
    })

    it("[S3-08] [R12] contains neither sibling paths nor paths that a server might read differently", () => {
      for (
        const path of [
          "ab",
          "",
          "A/b",
          "/a/b",
          "a/../b",
          "a/%2e%2e/b",
          "a/.%2E/b",
          "a\\..\\b",
          "a/..%2fb",
          "a/%2e%2e%2fb",
          "a%2fb",
          "a/b%5cc",
          "a/%252e%252e/b",
          "a/..%252fb",
          "a/..;/b",
          "a/..;x=1/b",
          "a/%2e%2e;/b",
          "a/..%3b/b",
          "a/%00",
          "a/%",
          "a/%zz"
        ]
      ) assert.isFalse(has("https://api.example/a", `https://api.example/${path}`), path)
    })

    it("[S3-08] [R12] contains a path that is escaped up to seven times, and none that is escaped more often", () => {
      for (let times = 0; times < 12; times++) {
        const path = `a/x${"%25".repeat(times > 0 ? 1 : 0)}${"25".repeat(Math.max(0, times - 1))}`
        assert.strictEqual(has("https://api.example/a", `https://api.example/${path}`), times <= 7, path)
      }
    })

    it("[S3-08] contains names that only resemble dot segments", () => {
      for (const path of ["a/...", "a/..b", "a/b..", "a/.well-known/x", "a/100%25", "a/x;v=1", "a/b//c"]) {
        assert.isTrue(has("https://api.example/a", `https://api.example/${path}`), path)
      }
    })
  })

  describe("parse", () => {
    it("[R12] accepts https, and http to this machine if allowed", () => {
      for (const text of ["http://localhost:8080", "http://127.0.0.1", "http://[::1]:3000/v1", "http://127.8.0.1"]) {
        assert.strictEqual(reason(UrlScope.parse(text)), "scheme", text)
        assert.isTrue(Result.isSuccess(UrlScope.parse(text, local)), text)
      }
      for (const text of ["http://api.example", "http://localhost.example", "http://10.0.0.1", "ws://localhost"]) {
        assert.strictEqual(reason(UrlScope.parse(text, local)), "scheme", text)
      }
    })

    it("[S3-08] fails with the reason for a URL that cannot be a scope", () => {
      const reasons: ReadonlyArray<readonly [string, UrlScope.UrlReason]> = [
        ["", "url"],
        ["api.example", "url"],
        ["https://", "url"],
        ["https:///a", "url"],
        ["https:api.example", "url"],
        ["https:\\\\api.example", "url"],
        ["https://api.example\\a", "url"],
        [" https://api.example", "url"],
        ["https://api.ex\nample", "url"],
        ["https://user@api.example", "credentials"],
        ["https://:pw@api.example", "credentials"],
        ["https://api..example", "host"],
        ["https://api.example/a?", "query"],
        ["https://api.example/a?b=c", "query"],
        ["https://api.example#", "query"],
        ["https://api.example/a/../b", "path"],
        ["https://api.example/a/%2e%2e/b", "path"],
        ["https://api.example/a%2fb", "path"],
        ["https://api.example/a//b", "path"],
        ["https://api.example//", "path"]
      ]
      for (const [text, expected] of reasons) {
        assert.strictEqual(reason(UrlScope.parse(text)), expected, text)
      }
    })
  })

  describe("SafeUrl.check", () => {
    it("[R12] returns the URL to request", () => {
      const checked = Result.getOrThrow(SafeUrl.check("https://API.example.:443/a/./b?c=d#e"))
      assert.strictEqual(checked.href, "https://api.example/a/b?c=d")
      assert.strictEqual(reason(SafeUrl.check("https://a@api.example")), "credentials")
    })
  })

  it("[S3-08] the longest path comes first", () => {
    const all = ["https://api.example", "https://api.example/a/b", "https://api.example/a", "https://other.example/a/b"]
      .map((text) => ({ scope: scope(text) }))
    const containing = matching(all, new URL("https://api.example/a/b/c"))
    assert.deepStrictEqual(containing.map((one) => UrlScope.format(one.scope)), [
      "https://api.example/a/b",
      "https://api.example/a",
      "https://api.example/"
    ])
  })
})
