import { assert, describe, it } from "@effect/vitest"
import { errorOf } from "@keelson/testing/exits"
import { skewedClock } from "@keelson/testing/virtualTime"
import { Clock, Duration, Effect } from "effect"
import { TestClock } from "effect/testing"
import type { Egress } from "../src/index.ts"
import { type DocumentRequest, fetchDocument } from "../src/internal/http/fetchDocument.ts"

const url = "https://idp.example/jwks"
const rules = { maxBytes: 10, maxRedirects: 0, allowedHosts: undefined, pins: undefined }

interface Answer {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  readonly takes?: Duration.Input
}

/** Fetches from an egress with this response. Returns the exit and the request. */
const ask = (answer: Answer, request: Partial<DocumentRequest> = {}) =>
  Effect.gen(function*() {
    const asked: Array<Egress.EgressRequest> = []
    const egress: Egress.Egress["Service"] = {
      check: () => Effect.succeed(new URL(url)),
      get: (one) => {
        asked.push(one)
        return TestClock.adjust(answer.takes ?? 0).pipe(
          Effect.as({ status: 200, headers: {}, body: new Uint8Array(), ...answer, url: new URL(url) })
        )
      }
    }
    const wanted = {
      accept: "a/b",
      cachedHeaders: undefined,
      noCache: false,
      invalid: "JWKS_INVALID",
      ...request
    } as const
    const fetched = fetchDocument({ egress, url, rules, ...wanted })
    return { exit: yield* Effect.exit(fetched), asked }
  })

const cachedHeaders = { etag: "W/\"a\"", "last-modified": "Thu, 01 Jan 1970 00:00:00 GMT" }

describe("fetchDocument", () => {
  it.effect("[S1-08] sends both validators of the cached document, and accepts a 304", () =>
    Effect.gen(function*() {
      const { asked, exit } = yield* ask({ status: 304, headers: { age: "1" } }, { cachedHeaders })
      assert.deepStrictEqual(asked, [{
        url,
        rules,
        headers: { accept: "a/b", "if-none-match": "W/\"a\"", "if-modified-since": cachedHeaders["last-modified"] }
      }])
      assert.deepInclude(yield* exit, { _tag: "NotModified", headers: { age: "1" } })
    }))

  it.effect.each(
    [["nothing is cached", undefined], ["the cached document has no validator", {
      "cache-control": "max-age=9"
    }]] as const
  )(
    "[S1-08] a 304 where %s is an error",
    ([, cachedHeaders]) =>
      Effect.gen(function*() {
        const { asked, exit } = yield* ask({ status: 304 }, { cachedHeaders })
        assert.deepStrictEqual(asked[0]?.headers, { accept: "a/b" })
        assert.strictEqual(errorOf(exit).code, "JWKS_INVALID")
      })
  )

  it.effect("[K-01] with noCache makes HTTP caches revalidate, in addition to the validators", () =>
    Effect.gen(function*() {
      const { asked } = yield* ask({}, { cachedHeaders: { etag: "\"a\"" }, noCache: true })
      assert.deepStrictEqual(asked[0]?.headers, {
        accept: "a/b",
        "if-none-match": "\"a\"",
        "cache-control": "no-cache"
      })
    }))

  it.effect.each(
    [
      [400, "UPSTREAM_REJECTED"],
      [401, "UPSTREAM_REJECTED"],
      [404, "UPSTREAM_REJECTED"],
      [429, "RATE_LIMITED"],
      [500, "UPSTREAM_UNAVAILABLE"],
      [503, "UPSTREAM_UNAVAILABLE"],
      [204, "JWKS_INVALID"],
      [206, "JWKS_INVALID"],
      [301, "JWKS_INVALID"]
    ] as const
  )("[S1-24] status %i is the failure %s", ([status, code]) =>
    Effect.gen(function*() {
      const error = errorOf((yield* ask({ status })).exit)
      assert.strictEqual(error.code, code)
      assert.strictEqual(error.error.code, code)
      assert.deepInclude(error.error.details, { status })
    }))

  it.effect("a failure contains the origin's Retry-After, as seconds or as a date", () =>
    Effect.gen(function*() {
      const [seconds, date] = [
        yield* ask({ status: 503, headers: { "retry-after": "7" } }),
        yield* ask({ status: 404, headers: { "retry-after": "Thu, 01 Jan 1970 00:01:00 GMT" } })
      ]
      assert.deepStrictEqual(errorOf(seconds.exit).retryAfter, Duration.seconds(7))
      assert.deepStrictEqual(errorOf(date.exit).retryAfter, Duration.minutes(1))
      assert.isUndefined(errorOf((yield* ask({ status: 503 })).exit).retryAfter)
    }))

  it.effect("[S1-24] a document that is not UTF-8 is a failure", () =>
    Effect.gen(function*() {
      const { exit } = yield* ask({ body: new Uint8Array([0xc3, 0x28]) })
      assert.strictEqual(errorOf(exit).code, "JWKS_INVALID")
    }))

  it.effect.each([
    { status: 304 },
    { status: 204 },
    { body: new Uint8Array([0xff]) }
  ])("what is no document fails with the code of what was asked for: %o", (answer) =>
    Effect.gen(function*() {
      const { exit } = yield* ask(answer, { invalid: "DISCOVERY_INVALID" })
      assert.strictEqual(errorOf(exit).code, "DISCOVERY_INVALID")
    }))

  it.effect("[S1-06] the age counts from the sending of the request, and dates from the reception of the response", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("1 hour")
      const { exit } = yield* ask({ body: new TextEncoder().encode("{}"), takes: "2 seconds" })
      const answer = yield* exit
      assert.deepInclude(answer, { _tag: "Document", body: "{}", receivedAt: 3_602_000 })
      assert.deepStrictEqual(answer.sentAt, { monotonic: 3_600_000_000_000n, wall: 3_600_000 })
    }))

  it.effect("[R23] both clocks are read", () =>
    Effect.gen(function*() {
      const { clock, skew } = yield* skewedClock
      skew.millis = 5000
      const { exit } = yield* Effect.provideService(ask({}), Clock.Clock, clock)
      assert.deepStrictEqual((yield* exit).sentAt, { monotonic: 0n, wall: 5000 })
    }))
})
