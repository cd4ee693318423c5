import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@keelson/testing/eventually"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Http from "node:http"
import { gateway, inTime, policy, send, type SendOptions, tokenOf } from "./gatewaySuite.ts"

const all = { concurrency: "unbounded" } as const

describe("NodeGateway, cache", () => {
  it.effect("[S4-32] a miss fills the cache, and a hit asks nobody", () =>
    Effect.gen(function*() {
      const { get, s3 } = yield* gateway()
      s3.put("files", "a.txt", "hello", { "content-type": "text/plain" })
      const cold = yield* get("/files/a.txt")
      assert.deepStrictEqual([cold.status, cold.text], [200, "hello"])
      assert.strictEqual(cold.headers["cache-status"], "keelson; fwd=uri-miss; fwd-status=200; stored")
      yield* TestClock.adjust("10 seconds")
      const hot = yield* get("/files/a.txt")
      assert.deepStrictEqual([hot.status, hot.text, hot.headers["content-type"]], [200, "hello", "text/plain"])
      assert.match(String(hot.headers["cache-status"]), /^keelson; hit; ttl=3\d\d\d$/)
      assert.strictEqual(hot.headers["age"], "10")
      assert.strictEqual(s3.requests.length, 1)
    }))

  it.effect("[G-16] 50 cold clients are one fetch", () =>
    Effect.gen(function*() {
      const { get, s3 } = yield* gateway()
      s3.putSynthetic("files", "big", 70_000)
      const answers = yield* Effect.all(Array.from({ length: 50 }, () => get("/files/big")), all)
      for (const { body, isWhole } of answers) assert.deepStrictEqual([body.length, isWhole], [70_000, true])
      assert.strictEqual(new Set(answers.map(({ body }) => body.toString("latin1"))).size, 1)
      assert.strictEqual(s3.requests.length, 1)
    }))

  it.effect("[S4-32] [G-5] ranges bypass the cache, and are answered from an entry", () =>
    Effect.gen(function*() {
      const { get, s3 } = yield* gateway()
      s3.put("files", "a", "0123456789")
      const cold = yield* get("/files/a", { headers: { range: "bytes=2-3" } })
      assert.deepStrictEqual([cold.status, cold.text, cold.headers["content-range"]], [206, "23", "bytes 2-3/10"])
      assert.strictEqual(s3.requests[0]?.headers["range"], "bytes=2-3")
      yield* get("/files/a")
      const hot = yield* get("/files/a", { headers: { range: "bytes=0-" } })
      assert.deepStrictEqual([hot.status, hot.text, hot.headers["content-range"]], [206, "0123456789", "bytes 0-9/10"])
      assert.match(String(hot.headers["cache-status"]), /hit/)
      const out = yield* get("/files/a", { headers: { range: "bytes=10-" } })
      assert.deepStrictEqual([out.status, out.headers["content-range"]], [416, "bytes */10"])
      assert.strictEqual(s3.requests.length, 2)
    }))

  it.effect("[R34] a range of an entry has no checksum, which is that of the whole object", () =>
    Effect.gen(function*() {
      const { get, s3 } = yield* gateway()
      s3.put("files", "a", "0123456789")
      s3.fault("files/a", { headers: { "x-amz-checksum-crc32": "pmhNsA==" } })
      const checksumOf = (headers: Http.OutgoingHttpHeaders) =>
        Effect.map(get("/files/a", { headers }), (answer) => [answer.status, answer.headers["x-amz-checksum-crc32"]])
      assert.deepStrictEqual(yield* checksumOf({}), [200, "pmhNsA=="])
      assert.deepStrictEqual(yield* checksumOf({}), [200, "pmhNsA=="])
      assert.deepStrictEqual(yield* checksumOf({ range: "bytes=0-1" }), [206, undefined])
      assert.strictEqual(s3.requests.length, 1)
    }))

  it.effect("[S4-32] [G-7] preconditions are answered from what is cached", () =>
    Effect.gen(function*() {
      const { get, s3 } = yield* gateway()
      const { etag } = s3.put("files", "a", "hello", { "cache-control": "max-age=100" })
      const cold = yield* get("/files/a", { headers: { "if-none-match": etag } })
      assert.deepStrictEqual([cold.status, cold.text, cold.headers["etag"]], [304, "", etag])
      yield* eventually(() => s3.requests[0]?.end() === "complete")
      const hot = yield* get("/files/a", { headers: { "if-none-match": `"x", W/${etag}` } })
      assert.deepStrictEqual([hot.status, hot.headers["cache-control"]], [304, "max-age=100"])
      assert.isUndefined(hot.headers["content-length"])
      const failed = yield* get("/files/a", { headers: { "if-match": "\"x\"" } })
      assert.strictEqual(failed.status, 412)
      assert.deepStrictEqual(s3.requests.map(({ headers }) => headers["if-none-match"]), [undefined])
    }))

  it.effect("[G-8] HEAD is HEAD at the store, and not stored", () =>
    Effect.gen(function*() {
      const { get, s3 } = yield* gateway()
      s3.put("files", "a", "hello")
      for (const _ of [1, 2]) {
        const { headers, status, text } = yield* get("/files/a", { method: "HEAD" })
        assert.deepStrictEqual([status, headers["content-length"], text], [200, "5", ""])
      }
      assert.deepStrictEqual(s3.requests.map(({ method }) => method), ["HEAD", "HEAD"])
      yield* get("/files/a")
      const hot = yield* get("/files/a", { method: "HEAD" })
      assert.deepStrictEqual([hot.headers["content-length"], s3.requests.length], ["5", 3])
    }))

  it.effect("[S4-32] [G-18] an expired entry is confirmed by one request for all, and then fresh", () =>
    Effect.gen(function*() {
      const { get, s3 } = yield* gateway({ bucket: { cache: { ttl: "1 minute" } } })
      const { etag } = s3.put("files", "a", "hello")
      yield* get("/files/a")
      yield* TestClock.adjust("61 seconds")
      const answers = yield* Effect.all(Array.from({ length: 10 }, () => get("/files/a")), all)
      for (const { headers, text } of answers) {
        assert.strictEqual(text, "hello")
        assert.strictEqual(headers["age"], "0")
      }
      const asked = s3.requests.slice(1)
      assert.deepStrictEqual(asked.map(({ headers, status }) => [headers["if-none-match"], status()]), [[etag, 304]])
      assert.match(String((yield* get("/files/a")).headers["cache-status"]), /hit; ttl=5\d/)
      assert.strictEqual(s3.requests.length, 2)
    }))

  it.effect("[S4-32] a changed ETag replaces the entry, and a missing object removes it", () =>
    Effect.gen(function*() {
      const { get, s3 } = yield* gateway({ bucket: { cache: { ttl: "1 minute" }, staleWindow: "1 hour" } })
      s3.put("files", "a", "old")
      yield* get("/files/a")
      s3.put("files", "a", "newer")
      assert.strictEqual((yield* get("/files/a")).text, "old")
      yield* TestClock.adjust("61 seconds")
      assert.strictEqual((yield* get("/files/a")).text, "newer")
      assert.match(String((yield* get("/files/a")).headers["cache-status"]), /hit/)
      s3.remove("files", "a")
      yield* TestClock.adjust("61 seconds")
      assert.strictEqual((yield* get("/files/a")).status, 404)
      s3.fault("*", { status: 503 })
      assert.strictEqual((yield* inTime(get("/files/a"))).status, 503)
    }))

  it.effect("[S4-32] [G-5] a range or HEAD of an expired entry asks with HEAD, and never for the whole object", () =>
    Effect.gen(function*() {
      const { get, s3 } = yield* gateway({ bucket: { cache: { ttl: "1 minute" } } })
      s3.put("files", "a", "0123456789")
      yield* get("/files/a")
      yield* TestClock.adjust("61 seconds")
      const range = { headers: { range: "bytes=1-2" } }
      assert.strictEqual((yield* get("/files/a", range)).text, "12")
      yield* TestClock.adjust("61 seconds")
      s3.put("files", "a", "abcdefghij")
      assert.deepStrictEqual([(yield* get("/files/a", range)).text], ["bc"])
      const asked = s3.requests.map(({ headers, method, status }) => `${method} ${headers["range"] ?? ""} ${status()}`)
      assert.deepStrictEqual(asked, ["GET  200", "HEAD  304", "HEAD  200", "GET bytes=1-2 206"])
    }))

  it.effect("[C4] [S4-51] while the store is down a stale entry is served in its window, and marked", () =>
    Effect.gen(function*() {
      const { get, s3 } = yield* gateway({ bucket: { cache: { ttl: "1 minute" }, staleWindow: "10 minutes" } })
      s3.put("files", "a", "hello")
      yield* get("/files/a")
      s3.fault("*", { status: 503 })
      yield* TestClock.adjust("5 minutes")
      const stale = yield* inTime(get("/files/a"))
      assert.deepStrictEqual([stale.status, stale.text], [200, "hello"])
      assert.isAtLeast(Number(stale.headers["age"]), 300)
      assert.strictEqual(stale.headers["cache-status"], "keelson; fwd=stale; fwd-status=503")
      yield* s3.stop
      assert.strictEqual((yield* inTime(get("/files/a"))).status, 200)
      yield* TestClock.adjust("7 minutes")
      assert.strictEqual((yield* inTime(get("/files/a"))).status, 504)
    }))

  it.effect("[G-13] errors of the store are not cached, and its bodies do not cross", () =>
    Effect.gen(function*() {
      const { get, s3 } = yield* gateway()
      for (const [status, expected] of [[404, 404], [403, 403], [500, 502], [503, 503], [418, 502]] as const) {
        s3.fault("*", { status, code: "SecretDetail" })
        const answer = yield* inTime(get("/files/a"))
        assert.strictEqual(answer.status, expected)
        assert.notInclude(answer.text, "SecretDetail")
        assert.match(answer.text, /<Code>/)
        assert.strictEqual(answer.headers["cache-control"], "no-store")
      }
      s3.fault("*", undefined)
      s3.put("files", "a", "hello")
      assert.strictEqual((yield* get("/files/a")).text, "hello")
    }))

  it.effect("[G-15] [R33] a cut or short body reaches no tier, and the client sees that it is cut", () =>
    Effect.gen(function*() {
      const { get, s3 } = yield* gateway()
      s3.putSynthetic("files", "a", 200_000)
      for (const fault of [{ cutAfter: 100_000 }, { extraLength: 10, cutAfter: 200_000 }]) {
        s3.fault("*", fault)
        assert.isFalse((yield* get("/files/a")).isWhole)
      }
      s3.fault("*", undefined)
      const whole = yield* get("/files/a")
      assert.deepStrictEqual([whole.isWhole, whole.body.length], [true, 200_000])
      assert.match(String(whole.headers["cache-status"]), /fwd=uri-miss/)
    }))

  it.effect("[S4-32] objects above maxItemSize, without a length, or not to be stored are streamed", () =>
    Effect.gen(function*() {
      const { get, s3 } = yield* gateway({ bucket: { cache: { maxItemSize: "1 KiB" } } })
      s3.putSynthetic("files", "large", 100_000)
      s3.put("files", "private", "x", { "cache-control": "private" })
      for (const name of ["large", "private"]) {
        for (const _ of [1, 2]) {
          const answer = yield* get(`/files/${name}`)
          assert.strictEqual(answer.isWhole, true)
          assert.strictEqual(answer.headers["cache-status"], "keelson; fwd=uri-miss; fwd-status=200")
        }
      }
      assert.strictEqual(s3.requests.length, 4)
    }))

  it.effect("[S4-32] the store's Cache-Control lowers a lifetime and never raises it", () =>
    Effect.gen(function*() {
      const { get, s3 } = yield* gateway({ bucket: { cache: { ttl: "1 minute" } } })
      s3.put("files", "short", "x", { "cache-control": "max-age=10" })
      s3.put("files", "long", "x", { "cache-control": "max-age=1000" })
      yield* get("/files/short")
      yield* get("/files/long")
      yield* TestClock.adjust("11 seconds")
      assert.match(String((yield* get("/files/short")).headers["cache-status"]), /fwd=stale/)
      assert.match(String((yield* get("/files/long")).headers["cache-status"]), /hit/)
      yield* TestClock.adjust("50 seconds")
      assert.match(String((yield* get("/files/long")).headers["cache-status"]), /fwd=stale/)
    }))

  it.effect("[G-14] an empty object is 200 with length 0", () =>
    Effect.gen(function*() {
      const { get, s3 } = yield* gateway()
      s3.put("files", "empty", "")
      for (const _ of [1, 2]) {
        const answer = yield* get("/files/empty")
        assert.deepStrictEqual([answer.status, answer.headers["content-length"], answer.text], [200, "0", ""])
      }
      assert.strictEqual((yield* get("/files/empty", { headers: { range: "bytes=0-" } })).status, 416)
    }))

  it.effect("[S4-32] a client that leaves or reads nothing delays nobody", () =>
    Effect.gen(function*() {
      const { get, port, s3 } = yield* gateway()
      s3.putSynthetic("files", "a", 1_000_000)
      let letGo = () => {}
      s3.fault("*", { until: new Promise<void>((resolve) => letGo = resolve) })
      // Two clients: one leaves before the answer, the other never reads it.
      const leaving = Http.get({ port, path: "/files/a", agent: false })
      leaving.on("error", () => {})
      yield* eventually(() => s3.requests.length === 1)
      const stalled = Http.get({ port, path: "/files/a", agent: false })
      stalled.on("error", () => {})
      const reader = yield* Effect.forkChild(get("/files/a"))
      leaving.destroy()
      letGo()
      const answer = yield* Fiber.join(reader)
      assert.deepStrictEqual([answer.isWhole, answer.body.length], [true, 1_000_000])
      stalled.destroy()
    }))
})

describe("NodeGateway, requests", () => {
  it.effect("[G-22] 405 has Allow, and OPTIONS is answered", () =>
    Effect.gen(function*() {
      const { get } = yield* gateway()
      const post = yield* get("/files/a", { method: "POST" })
      assert.deepStrictEqual([post.status, post.headers["allow"]], [405, "GET, HEAD, OPTIONS"])
      const options = yield* get("/files/a", { method: "OPTIONS" })
      assert.deepStrictEqual([options.status, options.headers["allow"]], [204, "GET, HEAD, OPTIONS"])
    }))

  it.effect("[G-22] the connection ends after a refused request whose body was not read", () =>
    Effect.gen(function*() {
      const { port } = yield* gateway()
      const agent = new Http.Agent({ keepAlive: true })
      const connectionOf = (options: SendOptions) =>
        Effect.map(
          send(port, "/files/a", { ...options, agent }),
          ({ headers, status }) => [status, headers["connection"]]
        )
      assert.deepStrictEqual(yield* connectionOf({ method: "POST" }), [405, "keep-alive"])
      assert.deepStrictEqual(yield* connectionOf({ method: "POST", body: "upload" }), [405, "close"])
      agent.destroy()
    }))

  it.effect("[G-9] every answer of a bucket with origins has Vary: Origin", () =>
    Effect.gen(function*() {
      const { get, s3 } = yield* gateway({ bucket: { cors: { origins: ["https://app.example"] } } })
      s3.put("files", "a", "x")
      for (const target of ["/files/a", "/files/a", "/files/missing"]) {
        assert.strictEqual((yield* get(target)).headers["vary"], "Origin")
        const cors = yield* get(target, { headers: { origin: "https://app.example" } })
        assert.strictEqual(cors.headers["access-control-allow-origin"], "https://app.example")
      }
      const preflight = yield* get("/files/a", {
        method: "OPTIONS",
        headers: { origin: "https://app.example", "access-control-request-method": "GET" }
      })
      assert.strictEqual(preflight.headers["access-control-allow-methods"], "GET, HEAD")
      assert.strictEqual(preflight.headers["vary"], "Origin")
    }))

  it.effect("[G-2] [G-4] keys reach the store as they are, and are entries of their own", () =>
    Effect.gen(function*() {
      const { get, s3 } = yield* gateway()
      const keys = ["a/b", "a//b", "a%2Fb", "100%.txt", "100%25.txt", "a;b", "A/b", "a+b", "é", "e\u0301", "a/"]
      for (const key of keys) s3.put("files", key, key)
      for (const _ of [1, 2]) {
        for (const key of keys) {
          const target = `/files/${encodeURIComponent(key).replaceAll("%2F", "/")}`
          assert.strictEqual((yield* get(target)).text, key)
        }
      }
      assert.strictEqual(s3.requests.length, keys.length)
    }))

  it.effect("[S4-48] access rules refuse an address, before anything else", () =>
    Effect.gen(function*() {
      const { get, s3 } = yield* gateway({ bucket: { access: { block: ["127.0.0.0/8"] } } })
      assert.strictEqual((yield* get("/files/a")).status, 403)
      assert.strictEqual(s3.requests.length, 0)
    }))

  it.effect("[S4-32] errors are S3 XML or problem details, as the bucket says", () =>
    Effect.gen(function*() {
      const { get } = yield* gateway({ bucket: { errors: "problem" } })
      const answer = yield* get("/files/missing")
      assert.strictEqual(answer.headers["content-type"], "application/problem+json")
      const problem = JSON.parse(answer.text)
      assert.deepStrictEqual([problem.status, problem.code], [404, "GWY-020"])
      const outside = yield* get("/nowhere")
      assert.match(outside.text, /<Code>NoSuchBucket<\/Code>/)
    }))

  it.effect("[S4-45] a correlation id is reused if it is well-formed, or made", () =>
    Effect.gen(function*() {
      const { get } = yield* gateway()
      const given = yield* get("/files/a", { headers: { "x-correlation-id": "abc-1" } })
      assert.strictEqual(given.headers["x-correlation-id"], "abc-1")
      const made = yield* get("/files/a", { headers: { "x-correlation-id": "a b<c>" } })
      assert.match(String(made.headers["x-correlation-id"]), /^[\da-f-]{36}$/)
    }))

  it.effect("[S4-52] liveness and readiness need no token", () =>
    Effect.gen(function*() {
      const { port } = yield* gateway()
      assert.strictEqual((yield* send(port, "/-/live")).status, 200)
      assert.strictEqual((yield* send(port, "/-/ready")).status, 200)
    }))
})

describe("NodeGateway, writes", () => {
  const methods = ["GET", "HEAD", "PUT", "DELETE"] as const

  it.effect("[G-21] an aws-chunked upload is refused, and one without a length", () =>
    Effect.gen(function*() {
      const { get, s3 } = yield* writable
      const chunked = { "content-encoding": "aws-chunked", "x-amz-decoded-content-length": "1", "content-length": "1" }
      const refused = yield* get("/files/a", { method: "PUT", body: "x", headers: chunked })
      assert.deepStrictEqual([refused.status, /aws-chunked/.test(refused.text)], [501, true])
      const endless = yield* get("/files/a", { method: "PUT", body: "x", headers: { "transfer-encoding": "chunked" } })
      assert.strictEqual(endless.status, 411)
      assert.isUndefined(s3.get("files", "a"))
    }))

  const writable = Effect.gen(function*() {
    const setup = yield* gateway({
      bucket: { public: false, methods },
      config: { auth: { default: yield* policy } }
    })
    const token = yield* tokenOf()
    return {
      ...setup,
      get: (target: string, options: Parameters<typeof setup.get>[1] = {}) => setup.get(target, { ...options, token })
    }
  })

  it.effect("[S4-32] PUT and DELETE reach the store, and remove the entry", () =>
    Effect.gen(function*() {
      const { get, s3 } = yield* writable
      s3.put("files", "a", "old")
      yield* get("/files/a")
      const put = yield* get("/files/a", {
        method: "PUT",
        body: "new",
        headers: { "content-type": "text/plain", "content-length": "3", expect: "100-continue" }
      })
      assert.strictEqual(put.status, 200)
      const read = yield* get("/files/a")
      assert.deepStrictEqual([read.text, read.headers["content-type"]], ["new", "text/plain"])
      assert.strictEqual((yield* get("/files/a", { method: "DELETE" })).status, 204)
      assert.strictEqual((yield* get("/files/a")).status, 404)
    }))

  it.effect("[S4-32] [G-18] what was stored while an upload ran is removed at its end", () =>
    Effect.gen(function*() {
      const { get, s3 } = yield* writable
      s3.put("files", "a", "old")
      const { promise, resolve } = Promise.withResolvers<void>()
      s3.fault("files/a", { until: promise, times: 1 })
      const put = get("/files/a", { method: "PUT", body: "new", headers: { "content-length": "3" } })
      const running = yield* Effect.forkChild(put, { startImmediately: true })
      yield* eventually(() => s3.requests.length === 1)
      assert.strictEqual((yield* get("/files/a")).text, "old")
      resolve()
      assert.strictEqual((yield* Fiber.join(running)).status, 200)
      assert.strictEqual((yield* get("/files/a")).text, "new")
    }))

  it.effect("[S4-32] [G-18] what a running request reads while the object is replaced is not stored", () =>
    Effect.gen(function*() {
      const { get, s3 } = yield* writable
      s3.put("files", "a", "old")
      const { promise, resolve } = Promise.withResolvers<void>()
      s3.fault("files/a", { until: promise, times: 1 })
      const running = yield* Effect.forkChild(get("/files/a"), { startImmediately: true })
      yield* eventually(() => s3.requests.length === 1)
      const headers = { "content-length": "3" }
      assert.strictEqual((yield* get("/files/a", { method: "PUT", body: "new", headers })).status, 200)
      resolve()
      assert.strictEqual((yield* Fiber.join(running)).status, 200)
      assert.match(String((yield* get("/files/a")).headers["cache-status"]), /fwd=uri-miss/)
      assert.deepStrictEqual(s3.requests.map(({ method }) => method), ["GET", "PUT", "GET"])
    }))
})
