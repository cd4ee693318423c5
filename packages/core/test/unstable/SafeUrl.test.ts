import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as SafeUrl from "../../src/unstable/SafeUrl.ts"

const local = { allowLocalhost: true }

/** The URL to request, or the reason of a refusal. */
const verdict = (url: string | URL, options?: SafeUrl.Options): string =>
  Result.match(SafeUrl.check(url, options), { onFailure: (reason) => reason, onSuccess: ({ href }) => href })

const redirect = (from: string, location: string, options: SafeUrl.Options = local): string =>
  Result.match(SafeUrl.checkRedirect(new URL(from), location, (to) => SafeUrl.check(to, options)), {
    onFailure: (reason) => reason,
    onSuccess: ({ href }) => href
  })

describe("SafeUrl", () => {
  describe("check", () => {
    it("[S1-19] [R12] returns the URL without fragment, and leaves its argument as it is", () => {
      assert.strictEqual(verdict("HTTPS://API.Example.:443/a/../b?c=d#e"), "https://api.example/b?c=d")
      const given = new URL("https://api.example./#e")
      assert.strictEqual(verdict(given), "https://api.example/")
      assert.strictEqual(given.href, "https://api.example./#e")
    })

    it("[S1-19] [R12] allows http for this machine only, and only with allowLocalhost", () => {
      for (const host of ["localhost", "LOCALHOST", "127.0.0.1:8080", "127.1.2.3", "[::1]:1", "[::ffff:7f00:1]"]) {
        assert.strictEqual(verdict(`http://${host}/`), "scheme", host)
        assert.match(verdict(`http://${host}/`, local), /^http:/, host)
      }
      for (const host of ["localhost.example", "127.evil.example", "10.0.0.1", "a.localhost", "[64:ff9b::7f00:1]"]) {
        assert.strictEqual(verdict(`http://${host}/`, local), "scheme", host)
      }
    })

    it("[K-28 A6] allows http for named hosts, without their subdomains", () => {
      const options = { insecureHosts: ["Keycloak.", "10.0.0.7", "::1", "bücher.test"] }
      for (const host of ["keycloak", "KEYCLOAK.:8080", "10.0.0.7", "[::1]", "xn--bcher-kva.test"]) {
        assert.match(verdict(`http://${host}/`, options), /^http:/, host)
      }
      for (const host of ["a.keycloak", "keycloak.example", "10.0.0.8", "localhost"]) {
        assert.strictEqual(verdict(`http://${host}/`, options), "scheme", host)
      }
      assert.strictEqual(verdict("ftp://keycloak/", options), "scheme")
      assert.strictEqual(verdict("http://user@keycloak/", options), "credentials")
      assert.strictEqual(redirect("https://idp.example/", "http://keycloak/", options), "scheme")
    })

    it("[S1-19] [R12] gives the first reason of scheme, credentials and host", () => {
      const reasons: ReadonlyArray<readonly [string, SafeUrl.UrlRefusal]> = [
        ["idp", "url"],
        ["http://user@a..b/", "scheme"],
        ["ftp://user@a..b/", "scheme"],
        ["https://user@a..b/", "credentials"],
        ["https://:pw@idp.example/", "credentials"],
        ["https://a..b/", "host"]
      ]
      for (const [url, reason] of reasons) assert.strictEqual(verdict(url), reason, url)
    })
  })

  describe("checkRedirect", () => {
    it("[S1-21] [S3-08] resolves the location, and refuses https to http and others to this machine", () => {
      const cases: ReadonlyArray<readonly [from: string, location: string, expected: string]> = [
        ["https://idp.example/a/b", "../c#d", "https://idp.example/c"],
        ["https://idp.example/", "//other.example./", "https://other.example/"],
        ["https://idp.example/", "https://[", "redirect"],
        ["https://idp.example/", "http://idp.example/", "scheme"],
        ["https://localhost/", "http://localhost/", "scheme"],
        ["https://idp.example/", "https://localhost./", "address"],
        ["https://idp.example/", "https://127.0.0.1/", "address"],
        ["http://localhost/", "http://127.0.0.1/a", "http://127.0.0.1/a"],
        ["http://localhost/", "https://idp.example/", "https://idp.example/"]
      ]
      for (const [from, location, expected] of cases) {
        assert.strictEqual(redirect(from, location), expected, `${from} ${location}`)
      }
    })

    it("[S1-21] gives the reason of the caller's own lists first", () => {
      const refused = SafeUrl.checkRedirect(
        new URL("https://idp.example/"),
        "http://idp.example/",
        () => Result.fail("list")
      )
      assert.deepStrictEqual(refused, Result.fail("list"))
    })
  })
})
