import { assert, describe, it } from "@effect/vitest"
import { KeelsonError } from "@keelson/core"
import * as Configuration from "@keelson/core/Configuration"
import { ConfigProvider, Effect } from "effect"
import { HttpSecurityOptions } from "../src/index.ts"

const pathOf = (options: object): unknown => {
  try {
    Effect.runSync(Configuration.decode(HttpSecurityOptions.HttpSecurityOptions)(options))
    return undefined
  } catch (error) {
    return error instanceof KeelsonError.ConfigurationError ? error.details["path"] : error
  }
}

const cookie = { name: "__Host-token", origins: ["https://app.example"] }

describe("HttpSecurityOptions", () => {
  it("[R7] takes tokens from the header alone by default", () => {
    assert.deepStrictEqual(HttpSecurityOptions.make(), { realm: "api" })
  })

  it("refuses a realm that is empty, too long, or not of ASCII", () => {
    for (const realm of ["", "x".repeat(257), "a\nb", "\u00e9", "\u0000"]) {
      assert.strictEqual(pathOf({ realm }), "realm")
    }
    for (const realm of ["x", "x".repeat(256), "a \"b\" \\ ~"]) assert.strictEqual(pathOf({ realm }), undefined)
  })

  it("rejects a metadata URL that is not https", () => {
    for (
      const resourceMetadata of ["", "http://a.example/", "/x", "https://a.example/\u00e9", "https://a.example/ b"]
    ) {
      assert.strictEqual(pathOf({ resourceMetadata }), "resourceMetadata")
    }
    assert.strictEqual(pathOf({ resourceMetadata: "https://a.example/.well-known/x" }), undefined)
  })

  it("[R7] rejects a cookie without origins, and origins in another form than browsers send", () => {
    assert.strictEqual(pathOf({ cookie: { ...cookie, origins: [] } }), "cookie.origins")
    const many = Array.from({ length: 65 }, (_, index) => `https://a${index}.example`)
    assert.strictEqual(pathOf({ cookie: { ...cookie, origins: many } }), "cookie.origins")
    assert.strictEqual(pathOf({ cookie: { ...cookie, origins: many.slice(1) } }), undefined)
    const wrong = [
      "",
      "*",
      "null",
      "app.example",
      "https://app.example/",
      "https://App.example",
      "https://app.example:443"
    ]
    for (const origin of [...wrong, "file://", "https://u@app.example"]) {
      assert.strictEqual(pathOf({ cookie: { ...cookie, origins: [origin] } }), "cookie.origins.0", origin)
    }
    assert.strictEqual(pathOf({ cookie: { ...cookie, origins: ["http://localhost:3000"] } }), undefined)
    assert.strictEqual(pathOf({ cookie: { name: cookie.name } }), "cookie.origins")
  })

  it("[R7] rejects invalid names", () => {
    for (const name of ["", "a b", "a=b", "a;b", "a,b", "\"a\"", "x".repeat(129), "\u00e9"]) {
      assert.strictEqual(pathOf({ queryParameter: name }), "queryParameter")
      assert.strictEqual(pathOf({ cookie: { ...cookie, name } }), "cookie.name")
    }
    assert.strictEqual(pathOf({ queryParameter: "access_token" }), undefined)
    for (const header of ["", "a b", "a:b", "x".repeat(129), "Authorization", "COOKIE"]) {
      assert.strictEqual(pathOf({ header }), "header")
    }
    assert.strictEqual(pathOf({ header: "Cf-Access-Jwt-Assertion" }), undefined)
  })

  it.effect("decodes from text and from the environment", () =>
    Effect.gen(function*() {
      const text = `api:\n  realm: invoices\n  cookie: { name: ${cookie.name}, origins: [https://app.example] }`
      const fromText = yield* Configuration.decodeText(HttpSecurityOptions.HttpSecurityOptions, {
        format: "yaml",
        text,
        section: "api"
      })
      assert.deepStrictEqual(fromText, { realm: "invoices", cookie })
      const env = {
        API_REALM: "invoices",
        API_COOKIE_NAME: cookie.name,
        API_COOKIE_ORIGINS: "https://app.example,https://b.example"
      }
      const fromEnv = yield* Effect.provideService(
        Configuration.fromEnvironment(HttpSecurityOptions.HttpSecurityOptions, ["api"]),
        ConfigProvider.ConfigProvider,
        ConfigProvider.fromEnv({ env })
      )
      assert.deepStrictEqual(fromEnv, {
        realm: "invoices",
        cookie: { ...cookie, origins: ["https://app.example", "https://b.example"] }
      })
    }))
})
