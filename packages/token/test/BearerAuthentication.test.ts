import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { KeelsonError } from "@keelson/core"
import { errorOf } from "@keelson/testing/exits"
import { keysOf, pairOf } from "@keelson/testing/tokens"
import { Effect, Layer } from "effect"
import type { IncomingMessage } from "node:http"
import {
  BearerAuthentication,
  type Claims,
  HttpSecurity,
  HttpSecurityError,
  type HttpSecurityOptions,
  type Principal
} from "../src/index.ts"
import { tokenWith } from "./HttpSecuritySuite.ts"
import { Caller, Tokens, tokensOf } from "./protectedServer.ts"

const cookie = { name: "token", origins: ["https://app.example"] }

const authentication = Effect.fnUntraced(function*(options: HttpSecurityOptions.Options = {}) {
  const tokens = tokensOf(keysOf([yield* pairOf("ES256")]))
  return yield* Effect.provide(
    BearerAuthentication.make({ validator: Tokens, principal: Caller, ...options }),
    Layer.merge(tokens, HttpSecurity.layerRedaction())
  )
})

/** A request in each supported form. */
const formsOf = (method: string, url: string, ...headers: ReadonlyArray<[string, string]>) => [
  { method, url, headers },
  { method, url, rawHeaders: headers.flat() },
  // Node's `rawHeaders` has both; its `headers` has only one of them.
  { method, url, rawHeaders: headers.flat(), headers: Object.fromEntries(headers) }
]

const ofWeb = (sent: Record<string, string> | Array<[string, string]>) => {
  const { headers, method, url } = new Request("http://api.example/me", { headers: sent })
  return { method, url, headers: [...headers] }
}

describe("BearerAuthentication", () => {
  it("accepts Node's request, and no headers that may be incomplete", () => {
    expectTypeOf<IncomingMessage>().toExtend<BearerAuthentication.Request>()
    expectTypeOf<Pick<IncomingMessage, "method" | "url" | "headers">>().not.toExtend<BearerAuthentication.Request>()
    expectTypeOf<BearerAuthentication.BearerAuthentication<Claims.AccessToken>["authenticate"]>().returns.toExtend<
      Effect.Effect<Principal.Principal<Claims.AccessToken>, unknown>
    >()
    assert.isFunction(BearerAuthentication.make)
  })

  it.live("[K-26] takes a Request of the web platform as it is", () =>
    Effect.gen(function*() {
      const { authenticate, cacheHeaders } = yield* authentication({ cookie, queryParameter: "access_token" })
      const token = yield* tokenWith({ scope: "a" })
      const request = (headers: Array<[string, string]>, url = "http://api.example/me") => new Request(url, { headers })
      assert.isTrue((yield* authenticate(request([["authorization", `Bearer ${token}`]]))).hasScope("a"))
      assert.isTrue((yield* authenticate(request([], `http://api.example/me?access_token=${token}`))).hasScope("a"))
      const twice = request([["authorization", `Bearer ${token}`], ["authorization", `Bearer ${token}`]])
      assert.strictEqual(errorOf(yield* Effect.exit(authenticate(twice))).code, "TOKEN_REQUEST_INVALID")
      assert.include(cacheHeaders(request([["cookie", `token=${token}`]]), {})["cache-control"] ?? "", "private")
    }))

  it.live("[R7] [K-26] a request whose headers cannot be read, as JavaScript may pass one, is a 400 and not cached", () =>
    Effect.gen(function*() {
      const { authenticate, cacheHeaders } = yield* authentication()
      const token = yield* tokenWith({})
      const unreadable: ReadonlyArray<unknown> = [
        { headers: { authorization: `Bearer ${token}` } },
        { method: "GET", url: "/me" },
        { headers: null },
        { headers: [[1, 2]] },
        { rawHeaders: { authorization: `Bearer ${token}` } },
        { rawHeaders: ["authorization", `Bearer ${token}`], method: 7 },
        "GET /me",
        null
      ]
      for (const request of unreadable) {
        const given: BearerAuthentication.Request = JSON.parse(JSON.stringify(request))
        const error = errorOf(yield* Effect.exit(authenticate(given)))
        assert.isTrue(HttpSecurityError.isHttpSecurityError(error), JSON.stringify(request))
        assert.include(["TOKEN_REQUEST_INVALID", "TOKEN_MISSING"], error.code)
        if (error.code === "TOKEN_REQUEST_INVALID") {
          assert.deepStrictEqual(cacheHeaders(given, {}), { "cache-control": "no-store" })
        }
      }
    }))

  it.live("[R7] [K-26] finds the one token in each form of a request", () =>
    Effect.gen(function*() {
      const { authenticate } = yield* authentication()
      const token = yield* tokenWith({ scope: "a" })
      const value = `Bearer ${token}`
      const good = [
        ...formsOf("GET", "/me", ["AUTHORIZATION", value], ["__proto__", "x"], ["constructor", "y"]),
        ofWeb({ authorization: value })
      ]
      for (const request of good) assert.isTrue((yield* authenticate(request)).hasScope("a"))
      const twice = [
        ...formsOf("GET", "/me", ["Authorization", value], ["authorization", value]),
        ...formsOf("GET", "/me", ["Authorization", "Basic abc"], ["X", "y"], ["Authorization", ""]),
        ofWeb([["authorization", value], ["authorization", value]])
      ]
      for (const request of twice) {
        assert.deepInclude(errorOf(yield* Effect.exit(authenticate(request))), { code: "TOKEN_REQUEST_INVALID" })
      }
      for (const request of [{ headers: [] }, { rawHeaders: [] }, ...formsOf("GET", "/", ["__proto__", value])]) {
        assert.deepInclude(errorOf(yield* Effect.exit(authenticate(request))), { code: "TOKEN_MISSING" })
      }
    }))

  it.live("[R7] joins repeated cookies and origins, and accepts a method in any case", () =>
    Effect.gen(function*() {
      const { authenticate } = yield* authentication({ cookie })
      const sent: [string, string] = ["Cookie", `token=${yield* tokenWith()}`]
      const origin: [string, string] = ["Origin", "https://app.example"]
      const codeOf = (request: BearerAuthentication.Request) =>
        Effect.match(authenticate(request), { onFailure: ({ code }) => code, onSuccess: () => "OK" })
      const table = [
        ["OK", formsOf("get", "/me", ["Cookie", "a=b"], sent, ["cookie", "c=d"])],
        ["TOKEN_REQUEST_INVALID", formsOf("GET", "/me", sent, ["cookie", "token=x"])],
        ["OK", formsOf("POST", "/me", sent, origin)],
        ["FORBIDDEN", formsOf("POST", "/me", sent)],
        ["FORBIDDEN", formsOf("POST", "/me", sent, origin, ["origin", "https://app.example"])],
        // An unknown method may change state.
        ["FORBIDDEN", [{ headers: [sent] }]]
      ] as const
      for (const [code, requests] of table) {
        for (const request of requests) assert.strictEqual(yield* codeOf(request), code)
      }
    }))

  it.live("[R7] returns cache headers for responses to tokens in URLs and cookies only", () =>
    Effect.gen(function*() {
      const { cacheHeaders } = yield* authentication({ cookie, queryParameter: "access_token" })
      const token = yield* tokenWith()
      for (const request of formsOf("GET", "/me?access_token=x", ["Authorization", `Bearer ${token}`])) {
        assert.deepStrictEqual(cacheHeaders(request, { "cache-control": "public" }), {
          "cache-control": "private, no-store"
        })
      }
      for (const request of formsOf("GET", "/me", ["Cookie", `token=${token}`])) {
        assert.deepStrictEqual(cacheHeaders(request, {}), { "cache-control": "private", vary: "cookie" })
        assert.deepStrictEqual(
          cacheHeaders(request, { "cache-control": "public", vary: ["Origin", "Accept"], age: 1 }),
          {
            "cache-control": "public",
            vary: "Origin, Accept, cookie"
          }
        )
      }
      const [inHeader] = formsOf("GET", "/me", ["Authorization", `Bearer ${token}`])
      assert.deepStrictEqual(cacheHeaders(inHeader ?? { headers: [] }, { vary: "Origin" }), {})
      const plain = yield* authentication()
      for (const request of formsOf("GET", "/me?access_token=x", ["Cookie", `token=${token}`])) {
        assert.deepStrictEqual(plain.cacheHeaders(request, {}), {})
      }
    }))

  it.live("[R7] fails with invalid options, and for tokens in URLs that spans would show", () =>
    Effect.gen(function*() {
      const wrong = errorOf(yield* Effect.exit(authentication({ realm: "" })))
      assert.instanceOf(wrong, KeelsonError.ConfigurationError)
      const shown = errorOf(yield* Effect.exit(authentication({ queryParameter: "ticket" })))
      assert.instanceOf(shown, KeelsonError.ConfigurationError)
      assert.deepInclude(shown.details, { path: "queryParameter" })
    }))
})
