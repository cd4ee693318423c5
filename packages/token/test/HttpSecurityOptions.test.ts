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

/** The defaults of the options of bound tokens. */
const unbound = { dpop: "off", mtls: "off", requireBinding: false, unsupportedBinding: "refuse" } as const

describe("HttpSecurityOptions", () => {
  it("[K-23] rejects dpop without the URLs of the API, and a binding that is required and off", () => {
    const make = (options: object) => () => HttpSecurityOptions.make(options)
    for (const dpop of ["allowed", "required", {}, { mode: "allowed" }] as const) {
      assert.throws(make({ dpop }), /baseUrls/)
      assert.strictEqual(pathOf({ dpop, baseUrls: ["https://api.example"] }), undefined)
    }
    assert.doesNotThrow(make({ dpop: { mode: "off" } }))
    assert.throws(make({ requireBinding: true }), /dpop or mtls/)
    assert.doesNotThrow(make({ requireBinding: true, mtls: "allowed" }))
    for (
      const url of ["", "api.example", "/x", "https://u:p@a.example", "https://a.example/?x", "https://a.example#"]
    ) {
      assert.strictEqual(pathOf({ baseUrls: [url] }), "baseUrls.0", url)
    }
    assert.strictEqual(pathOf({ baseUrls: [] }), "baseUrls")
    assert.strictEqual(
      pathOf({ dpop: { algorithms: ["HS256"] }, baseUrls: ["http://localhost:1"] }),
      "dpop.algorithms.0"
    )
    assert.strictEqual(pathOf({ dpop: { maxAge: "1 hour" }, baseUrls: ["http://localhost:1"] }), "dpop.maxAge")
    for (const proxies of [[], ["proxy.example"], ["10.0.0.1/8"], ["10.0.0.0/33"]]) {
      assert.match(String(pathOf({ mtls: { header: { name: "Client-Cert", proxies } } })), /^mtls\.header\.proxies/)
    }
    for (const proxy of ["10.0.0.0/8", "10.1.2.3", "::1", "fd00::/8"]) {
      assert.strictEqual(pathOf({ mtls: { header: { name: "Client-Cert", proxies: [proxy] } } }), undefined, proxy)
    }
  })

  it("[R7] takes tokens from the header alone by default", () => {
    assert.deepStrictEqual(HttpSecurityOptions.make(), { realm: "api", ...unbound })
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
      assert.deepStrictEqual(fromText, { realm: "invoices", cookie, ...unbound })
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
        ...unbound,
        realm: "invoices",
        cookie: { ...cookie, origins: ["https://app.example", "https://b.example"] }
      })
    }))
})
