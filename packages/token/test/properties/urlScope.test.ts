import { assert, describe, it } from "@effect/vitest"
import * as SafeUrl from "@keelson/core/unstable/SafeUrl"
import { forAll } from "@keelson/testing/properties"
import { Result } from "effect"
import fc from "fast-check"
import * as UrlScope from "../../src/internal/guard/urlScope.ts"

const label = fc.stringMatching(/^[a-z][a-z0-9]{0,5}$/)
const host = fc.array(label, { minLength: 1, maxLength: 3 }).map((labels) => labels.join("."))
const port = fc.option(fc.constantFrom(444, 8443, 65_535), { nil: undefined })
const segment = fc.stringMatching(/^[A-Za-z0-9_~-]{1,4}$/)
const scope = fc.record({ host, port, path: fc.array(segment, { maxLength: 3 }) })

type Parts = typeof scope extends fc.Arbitrary<infer A> ? A : never
const origin = ({ host: name, port: number }: Parts) => `https://${name}${number === undefined ? "" : `:${number}`}`
const written = (parts: Parts) => [origin(parts), ...parts.path].join("/")

const contains = (of: Parts, url: string): boolean =>
  Result.match(SafeUrl.check(url), {
    onFailure: () => false,
    onSuccess: (checked) => UrlScope.contains(Result.getOrThrow(UrlScope.parse(written(of))), checked)
  })

/** Texts of separators, dot segments and escapes in any order. */
const hostile = fc.array(
  fc.constantFrom(
    "/",
    "\\",
    ".",
    "..",
    "%2e",
    "%2E",
    "%2f",
    "%5c",
    "%25",
    "%252e",
    ";",
    "a",
    "b",
    "?",
    "#",
    "@",
    ":",
    "%"
  ),
  { maxLength: 10 }
).map((parts) => parts.join(""))

/** The path as read by a server that repeatedly decodes escapes and backslashes, then resolves dot segments. */
const readBy = (path: string): ReadonlyArray<string> => {
  let text = path
  for (let reading = 0; reading < 12; reading++) {
    text = text.replaceAll(/%([\dA-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
      .replaceAll("\\", "/")
  }
  const taken: Array<string> = []
  for (const one of text.split("/").map((found) => found.replace(/;.*$/, ""))) {
    if (one === "..") taken.pop()
    else if (one !== "" && one !== ".") taken.push(one)
  }
  return taken
}

describe("UrlScope", () => {
  it("[S3-08] a scope contains everything below it, in any spelling of its host", (test) =>
    forAll(
      test,
      300,
      fc.tuple(scope, fc.array(segment, { maxLength: 3 }), fc.boolean(), fc.boolean()),
      ([of, below, upper, dot]) => {
        const name = `${upper ? of.host.toUpperCase() : of.host}${dot ? "." : ""}`
        assert.isTrue(contains(of, [origin({ ...of, host: name }), ...of.path, ...below].join("/")))
      }
    ))

  it("[S3-08] [R12] a scope contains no URL of another origin, whatever surrounds its text", (test) =>
    forAll(test, 500, fc.tuple(scope, scope, hostile, hostile), ([of, other, before, after]) => {
      for (
        const url of [
          `${written(of)}${after}`,
          `https://${before}${of.host}${after}`,
          `${origin(other)}/${written(of)}`
        ]
      ) {
        if (contains(of, url)) assert.strictEqual(new URL(url).host.replace(/\.(?=:|$)/, ""), new URL(origin(of)).host)
      }
    }))

  it("[S3-08] [R12] no server reads a path outside the scope from a URL in the scope", (test) =>
    forAll(test, 2000, fc.tuple(scope, hostile), ([of, after]) => {
      const url = `${written(of)}${after}`
      if (of.path.length === 0 || !contains(of, url)) return
      assert.deepStrictEqual(readBy(new URL(url).pathname).slice(0, of.path.length), of.path)
    }))

  it("[S3-08] format and parse round-trip", (test) =>
    forAll(test, 200, scope, (of) => {
      const parsed = Result.getOrThrow(UrlScope.parse(written(of)))
      assert.deepStrictEqual(Result.getOrThrow(UrlScope.parse(UrlScope.format(parsed))), parsed)
    }))
})
