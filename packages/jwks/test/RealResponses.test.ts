import { assert, describe, it } from "@effect/vitest"
import { ErrorCode } from "@keelson/core"
import { eventually } from "@keelson/testing/eventually"
import { errorOf } from "@keelson/testing/exits"
import { addresses, type Handle, nodeEgress, type Setup } from "@keelson/testing/httpsOrigin"
import * as Keys from "@keelson/testing/keyOrigin"
import { atOnce, outcome } from "@keelson/testing/observe"
import { jwks } from "@keelson/testing/scriptedProvider"
import { DateTime, Duration, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Egress } from "../src/Egress.ts"
import type { JwksOptions, JwksStatus } from "../src/index.ts"

const { cacheAt, inTime, keyOrigin, sending } = Keys

const portal = "<!DOCTYPE html><title>Welcome</title><p>Accept our terms to go online."

/** The lifetime of the keys that are held, and what is left of it after their age, in seconds. */
const lifetime = ({ expiresAt, lastRefresh }: JwksStatus.JwksStatus): number =>
  expiresAt === undefined || lastRefresh === undefined
    ? Number.NaN
    : Math.round(Duration.toSeconds(DateTime.distance(lastRefresh, expiresAt)))

/** Succeeds once the keys were confirmed. */
const confirmed = (cache: Keys.Cache) =>
  Effect.flatMap(cache.status, ({ metrics }) => metrics.notModified > 0 ? Effect.void : Effect.fail("not yet"))

/** A cache that has key `a`, and how its refresh fails once the origin answers otherwise. */
const afterGood = Effect.fnUntraced(function*(answer: Handle, options: Partial<JwksOptions.Options> = {}) {
  const origin = yield* keyOrigin(sending(jwks("a")))
  const cache = yield* cacheAt(origin, options)
  yield* Effect.eventually(cache.refresh)
  const good = origin.requests.length
  origin.answer = answer
  const error = errorOf(yield* Effect.exit(cache.refresh))
  assert.strictEqual(yield* atOnce(outcome(cache, "a")), "a")
  const status = yield* cache.status
  assert.strictEqual(status.lastFailure, error.code)
  return { cache, origin, error, requests: origin.requests.slice(good) }
})

describe("JwksCache and what a provider answers, over HTTP", () => {
  describe("freshness", () => {
    it.live("[S1-08] [K-01] renews with the ETag in time; a 304 keeps the very same set and renews its lifetime", () =>
      inTime((move) =>
        Effect.gen(function*() {
          const answer = Keys.revalidating(jwks("a"), "\"v1\"", { "cache-control": "max-age=600" })
          const origin = yield* keyOrigin(answer)
          const cache = yield* cacheAt(origin)
          const first = yield* cache.keySet
          const before = yield* cache.status
          yield* move("580 seconds")
          yield* eventually(() => origin.requests.length === 2)
          yield* Effect.eventually(confirmed(cache))
          assert.strictEqual(origin.headers[1]?.["if-none-match"], "\"v1\"")
          assert.notProperty(origin.headers[1], "cache-control")
          assert.strictEqual(yield* cache.keySet, first)
          const after = yield* cache.status
          assert.deepStrictEqual([lifetime(before), lifetime(after), after.generation], [600, 600, 1])
          origin.answer = Keys.revalidating(jwks("b"), "\"v2\"")
          assert.deepStrictEqual([yield* cache.refresh, yield* outcome(cache, "b")], ["loaded", "b"])
          assert.deepInclude(origin.headers[2], { "if-none-match": "\"v1\"", "cache-control": "no-cache" })
        })
      ))

    it.live("[S1-08] [K-01] asks with Last-Modified; a 304 changes the lifetime, and one to nothing is an error", () =>
      Effect.gen(function*() {
        const since = "Fri, 20 Nov 2026 16:00:00 GMT"
        const origin = yield* keyOrigin((_, response) => response.writeHead(304).end())
        const cache = yield* cacheAt(origin)
        assert.strictEqual(errorOf(yield* Effect.exit(cache.refresh)).code, "JWKS_INVALID")
        origin.answer = sending(jwks("a"), { "last-modified": since, "cache-control": "max-age=600" })
        yield* cache.refresh
        origin.answer = (_, response) => response.writeHead(304, { "cache-control": "max-age=1200" }).end()
        assert.strictEqual(yield* cache.refresh, "notModified")
        assert.strictEqual(origin.headers[2]?.["if-modified-since"], since)
        assert.strictEqual(lifetime(yield* cache.status), 1200)
      }))

    it.live.each(
      [
        ["max-age", { "cache-control": "max-age=600" }, 600],
        ["max-age less Age", { "cache-control": "public, max-age=600", "age": "250" }, 350],
        ["s-maxage", { "cache-control": "max-age=60, s-maxage=900" }, 900],
        ["no-store", { "cache-control": "no-store" }, 30],
        ["nothing", {}, 3600]
      ] as const
    )(
      "[K-01] [S1-06] its keys live as long as the response says: %s",
      ([, headers, seconds]) =>
        Effect.gen(function*() {
          const cache = yield* cacheAt(yield* keyOrigin(sending(jwks("a"), headers)))
          yield* cache.keySet
          assert.strictEqual(lifetime(yield* cache.status), seconds)
        })
    )
  })

  describe("answers that are no key set", () => {
    const length = { "content-length": "100000" }
    const bad: ReadonlyArray<readonly [string, Handle, ErrorCode.ErrorCode]> = [
      ["a captive portal", sending(portal, { "content-type": "text/html" }), "JWKS_INVALID"],
      ["an empty body", sending(""), "JWKS_INVALID"],
      ["{}", sending("{}"), "JWKS_INVALID"],
      ["no keys", sending("{\"keys\":[]}"), "JWKS_INVALID"],
      ["half a document", sending(jwks("a").slice(0, 40)), "JWKS_INVALID"],
      ["a body that breaks off", Keys.breaking(jwks("a"), length), "NETWORK_ERROR"],
      ["chunks that break off", Keys.breaking(jwks("a"), { "transfer-encoding": "chunked" }), "NETWORK_ERROR"],
      ["a reset", Keys.resetting, "NETWORK_ERROR"],
      ["what is not compressed as it says", sending(jwks("b"), { "content-encoding": "gzip" }), "NETWORK_ERROR"],
      ["500", Keys.failing(500), "UPSTREAM_UNAVAILABLE"]
    ]
    it.live.each(bad)(
      "[S1-24] %s: a typed failure, and the good keys stay",
      ([, answer, code]) =>
        Effect.gen(function*() {
          const { cache, error, origin, requests } = yield* afterGood(answer)
          assert.strictEqual(error.code, code)
          assert.lengthOf(requests, 1)
          origin.answer = sending(jwks("a", "b"))
          assert.deepStrictEqual([yield* cache.refresh, yield* outcome(cache, "b")], ["loaded", "b"])
        })
    )

    it.live("a document in chunks, compressed, is read as any other", () =>
      Effect.gen(function*() {
        const origin = yield* keyOrigin(Keys.sendingGzip(jwks("a")))
        assert.strictEqual(yield* outcome(yield* cacheAt(origin), "a"), "a")
        assert.include(origin.headers[0]?.["accept-encoding"], "gzip")
      }))
  })

  describe("bodies without end", () => {
    it.live("[S1-23] [K-07] 60 MB are cut at the limit while they stream, and the connection is closed", () =>
      Effect.gen(function*() {
        const { error, origin } = yield* afterGood(Keys.sendingMebibytes(60))
        assert.strictEqual(error.code, "RESPONSE_TOO_LARGE")
        yield* eventually(() => origin.open() === 0)
        assert.isBelow(origin.written(), 30_000_000)
      }))

    it.live("[S1-23] 16 MB in 16 KB of gzip are cut by what comes out", () =>
      Effect.gen(function*() {
        const { error, origin } = yield* afterGood(Keys.sendingGzip(" ".repeat(16_777_216)))
        assert.strictEqual(error.code, "RESPONSE_TOO_LARGE")
        yield* eventually(() => origin.open() === 0)
      }))

    it.effect("[S1-16] [K-07] a body that drips ends with each attempt, and the origin sees the close", () =>
      Effect.gen(function*() {
        // A deadline that leaves no room for a second attempt, if the first one were given the standard three seconds.
        const hurried = { attemptTimeout: "100 millis", deadline: "2900 millis", retryDelay: "1 millis" } as const
        let count = 0
        const dripping: Handle = (request, response) => {
          count++
          Keys.dripping(request, response)
        }
        const running = yield* Effect.forkChild(afterGood(dripping, { ...hurried, maxAttempts: 2 }))
        for (const attempt of [1, 2]) {
          yield* eventually(() => count === attempt)
          yield* TestClock.adjust(hurried.attemptTimeout)
          // The delay before the next attempt.
          yield* TestClock.adjust("10 millis")
        }
        const { error, origin, requests } = yield* Fiber.join(running)
        assert.deepStrictEqual([error.code, requests.length], ["TIMEOUT", 2])
        yield* eventually(() => origin.open() === 0)
      }))
  })

  describe("redirects", () => {
    it.live("[S1-21] three are followed, four are not, and a loop ends", () =>
      Effect.gen(function*() {
        const origin = yield* keyOrigin((request, response) => {
          const left = Number(request.url?.slice(1))
          if (left > 0) response.writeHead(302, { location: `/${left - 1}` }).end()
          else sending(jwks("a"))(request, response)
        })
        const at = (path: string) => ({ url: new URL(path, origin.url).href })
        assert.strictEqual(yield* outcome(yield* cacheAt(at("/3")), "a"), "a")
        assert.deepStrictEqual(origin.requests, ["GET /3", "GET /2", "GET /1", "GET /0"])
        const tooMany = yield* cacheAt(at("/4"))
        assert.strictEqual(errorOf(yield* Effect.exit(tooMany.refresh)).code, "EGRESS_REFUSED")
        origin.answer = Keys.redirecting("/jwks")
        const looping = yield* cacheAt(at("/jwks"))
        assert.strictEqual(errorOf(yield* Effect.exit(looping.refresh)).code, "EGRESS_REFUSED")
      }))

    it.live.each(
      [
        ["a private address", "http://10.0.0.1/jwks", {}],
        ["another host over http", "http://idp.example/jwks", {}],
        ["a host that is not allowed", "https://evil.example/jwks", { allowedHosts: ["127.0.0.1"] }],
        ["a file", "file:///etc/passwd", {}]
      ] as const
    )("[S1-21] [K-07] one to %s is refused, and the good keys stay", ([, location, options]) =>
      Effect.gen(function*() {
        const { error, requests } = yield* afterGood(Keys.redirecting(location), options)
        assert.strictEqual(error.code, "EGRESS_REFUSED")
        assert.lengthOf(requests, 1)
      }))
  })

  describe("connections that fail", () => {
    /** A cache of an origin over TLS, by a name. */
    const overTls = Effect.fnUntraced(function*(setup: Setup) {
      const origin = yield* keyOrigin(sending(jwks("a")), {})
      const egress = Layer.succeed(Egress, yield* nodeEgress(setup))
      return yield* cacheAt({ url: `https://idp.example:${origin.port}/jwks` }, {}, egress)
    })
    const unknown: Setup["resolve"] = (_, done) => done(Object.assign(new Error("none"), { code: "ENOTFOUND" }), [])
    const failures = [
      ["a name that does not resolve is NET-002", { resolve: unknown }, "NET-002"],
      ["a name with no address is NET-002", { resolve: (_, done) => done(null, addresses()) }, "NET-002"],
      ["a certificate that nobody trusts is NET-003", { caFile: undefined }, "NET-003"]
    ] as const satisfies ReadonlyArray<readonly [string, Setup, string]>

    it.live.each(failures)("[R27] %s in the status", ([, setup, id]) =>
      Effect.gen(function*() {
        const cache = yield* overTls(setup)
        const error = errorOf(yield* Effect.exit(cache.refresh))
        const { errorCount, lastFailure } = yield* cache.status
        assert.deepStrictEqual([error.code, errorCount], [lastFailure, 1])
        assert.strictEqual(ErrorCode.codeInfo[error.code].id, id)
        assert.strictEqual(yield* outcome(cache, "a"), "JWKS_UNAVAILABLE")
      }))

    it.live("[R27] [R26] over TLS with its authority all is well", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* outcome(yield* overTls({}), "a"), "a")
      }))
  })
})
