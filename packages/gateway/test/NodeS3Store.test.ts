import { assert, describe, it } from "@effect/vitest"
import * as NodeS3Store from "@keelson/gateway/NodeS3Store"
import { eventually } from "@keelson/testing/eventually"
import { errorOf } from "@keelson/testing/exits"
import { caFile, fixturePath } from "@keelson/testing/httpsOrigin"
import { scriptedS3, type ScriptedS3Options, syntheticBytes } from "@keelson/testing/scriptedS3"
import { Effect, Exit, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { readFileSync } from "node:fs"
import { createServer, type Server } from "node:net"
import { Lookup } from "../src/internal/store/NodeConnect.ts"
import { bodyOf, bucket, keys, onceOf, optionsOf, send, start, storeOf } from "./support.ts"

const made = Effect.fnUntraced(function*(options: ScriptedS3Options = {}, own: Parameters<typeof storeOf>[1] = {}) {
  const server = yield* scriptedS3({ buckets: [bucket], ...options })
  return { server, store: yield* storeOf(server, own) }
})

/** A server that answers each connection with bytes, whatever it is asked. */
const rawServer = (answer: string, isClosing = false) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly server: Server; readonly url: string; readonly connections: () => number }>((resume) => {
      let connections = 0
      const server = createServer((socket) => {
        connections++
        socket.on("error", () => {})
        socket.on("data", () => {
          socket.write(answer)
          if (isClosing) socket.end()
        })
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "object" && address !== null ? address.port : 0
        resume(Effect.succeed({ server, url: `http://127.0.0.1:${port}`, connections: () => connections }))
      })
    }),
    ({ server }) => Effect.sync(() => void server.close())
  )

const hardKeys = [
  "a+b c.txt",
  "!'()*&$@=;:,?#[]~",
  "a%2Fb",
  "100%.txt",
  "100%25.txt",
  "a//b",
  "/a",
  "./a",
  "a/../b",
  "..",
  "caf\u00e9",
  "cafe\u0301",
  "\u{1F600}",
  "a\\b",
  "a\tb\n",
  "dir/",
  "a;b",
  "%"
]

describe("NodeS3Store", () => {
  describe("requests", () => {
    it.live.each(hardKeys)("[G-1] [G-2] [G-3] [G-4] asks for exactly the key %j", (key) =>
      Effect.gen(function*() {
        const { server, store } = yield* made()
        const written = yield* send(store, { method: "PUT", key, body: bodyOf(key) })
        assert.deepStrictEqual([written.status, written.end], [200, "end"])
        assert.strictEqual(Buffer.from(server.get(bucket, key)?.body ?? []).toString(), key)
        const found = yield* send(store, { key })
        assert.deepStrictEqual([found.status, found.body.toString()], [200, key])
        assert.strictEqual((yield* send(store, { method: "DELETE", key })).status, 204)
        assert.isUndefined(server.get(bucket, key))
      }))

    it.live.each(["", "a".repeat(1025), "a\0b", "\ud800"])(
      "[G-3] refuses the key %j without a request",
      (key) =>
        Effect.gen(function*() {
          const { server, store } = yield* made()
          const { cause, end } = yield* send(store, { key })
          assert.strictEqual(end, "invalid")
          assert.propertyVal(cause, "code", "GATEWAY_STORE_REQUEST_REFUSED")
          assert.strictEqual(server.requests.length, 0)
        })
    )

    it.live("[G-5] [G-6] [G-14] passes ranges and preconditions on, and their answers", () =>
      Effect.gen(function*() {
        const { server, store } = yield* made()
        const { etag } = server.put(bucket, "a", "0123456789")
        server.put(bucket, "zero", "")
        const part = yield* send(store, { key: "a", headers: { range: "bytes=8-" } })
        assert.deepStrictEqual([part.status, part.headers["content-range"], part.body.toString()], [
          206,
          "bytes 8-9/10",
          "89"
        ])
        const same = yield* send(store, { key: "a", headers: { "if-none-match": etag } })
        assert.deepStrictEqual([same.status, same.headers["etag"], same.body.length, same.end], [304, etag, 0, "end"])
        assert.strictEqual((yield* send(store, { key: "a", headers: { "if-match": `"x"` } })).status, 412)
        const zero = yield* send(store, { key: "zero" })
        assert.deepStrictEqual([zero.status, zero.headers["content-length"], zero.end], [200, "0", "end"])
        assert.strictEqual((yield* send(store, { key: "zero", headers: { range: "bytes=0-" } })).status, 416)
        assert.strictEqual((yield* send(store, { key: "none" })).status, 404)
      }))

    it.live("[G-8] sends HEAD as HEAD, and uses the connection again", () =>
      Effect.gen(function*() {
        const { server, store } = yield* made({}, { maxConnections: 1 })
        server.putSynthetic(bucket, "large", 5 * 1024 ** 3)
        for (let n = 0; n < 3; n++) {
          const head = yield* send(store, { method: "HEAD", key: "large" })
          assert.deepStrictEqual([head.status, head.headers["content-length"], head.end], [
            200,
            String(5 * 1024 ** 3),
            "end"
          ])
        }
        assert.deepStrictEqual([...new Set(server.requests.map(({ method }) => method))], ["HEAD"])
        assert.strictEqual(new Set(server.requests.map(({ clientPort }) => clientPort)).size, 1)
      }))

    it.live("[G-10] drops the headers of a connection, in both directions", () =>
      Effect.gen(function*() {
        const { server, store } = yield* made()
        server.put(bucket, "a", "a", { "content-encoding": "aws-chunked, gzip" })
        server.put(bucket, "b", "b", { "content-encoding": "aws-chunked" })
        server.fault("bucket/a", { headers: { connection: "x-own", "x-own": "1", "proxy-authenticate": "a", te: "b" } })
        const { headers } = yield* send(store, {
          key: "a",
          headers: {
            expect: "100-continue",
            connection: "x-mine",
            "x-mine": "1",
            te: "trailers",
            host: "evil",
            date: "x"
          }
        })
        assert.strictEqual(headers["content-encoding"], "gzip")
        assert.isUndefined((yield* send(store, { key: "b" })).headers["content-encoding"])
        assert.doesNotHaveAnyKeys(headers, ["connection", "x-own", "proxy-authenticate", "te", "keep-alive"])
        const sent = server.requests[0]?.headers
        assert.doesNotHaveAnyKeys({ ...sent }, ["expect", "x-mine", "te", "date"])
        assert.strictEqual(sent?.host, `127.0.0.1:${server.port}`)
      }))

    it.live("[G-21] refuses a body in the framing of aws-chunked", () =>
      Effect.gen(function*() {
        const { server, store } = yield* made()
        const body = bodyOf("5\r\nhello\r\n0\r\n\r\n")
        for (
          const headers of [
            { "content-encoding": "gzip, aws-chunked" },
            { "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER" }
          ]
        ) {
          assert.strictEqual((yield* send(store, { method: "PUT", key: "a", headers, body })).end, "invalid")
        }
        assert.strictEqual(server.requests.length, 0)
      }))

    it.live.each(["a\r\nx-injected: 1", "\u00e9", "a\0"])(
      "[R34] refuses the header value %j",
      (value) =>
        Effect.gen(function*() {
          const { server, store } = yield* made()
          assert.strictEqual((yield* send(store, { key: "a", headers: { range: value } })).end, "invalid")
          assert.strictEqual(server.requests.length, 0)
        })
    )

    it.live("sends a body with its length, and refuses one that has another", () =>
      Effect.gen(function*() {
        const { server, store } = yield* made()
        yield* send(store, {
          method: "PUT",
          key: "a",
          body: onceOf("one ", "two"),
          headers: { "content-type": "text/x" }
        })
        assert.strictEqual(Buffer.from(server.get(bucket, "a")!.body!).toString(), "one two")
        assert.strictEqual(server.get(bucket, "a")!.headers["content-type"], "text/x")
        assert.strictEqual(server.requests[0]?.headers["x-amz-content-sha256"], "UNSIGNED-PAYLOAD")
        const { end } = yield* send(store, { method: "PUT", key: "b", body: { ...onceOf("one"), length: 9 } })
        assert.notStrictEqual(end, "end")
        assert.isUndefined(server.get(bucket, "b"))
      }))

    it.live("addresses a bucket as a host, over TLS with an own authority", () =>
      Effect.gen(function*() {
        const tls = {
          key: readFileSync(fixturePath("server.key.pem"), "utf8"),
          cert: readFileSync(fixturePath("server.cert.pem"), "utf8")
        }
        const server = yield* scriptedS3({ buckets: [bucket], domain: "idp.example", tls })
        server.put(bucket, "a/b", "found")
        const own = { endpoint: `https://idp.example:${server.port}`, addressing: "virtual" as const }
        const toLoopback = Effect.provideService(Lookup, (_, options, done) =>
          options.all === true ? done(null, [{ address: "127.0.0.1", family: 4 }]) : done(null, "127.0.0.1", 4))
        const trusting = yield* toLoopback(storeOf(server, { ...own, caFile }))
        assert.strictEqual((yield* send(trusting, { key: "a/b" })).body.toString(), "found")
        assert.deepStrictEqual(
          [server.requests[0]?.url, server.requests[0]?.headers.host],
          ["/a/b", `bucket.idp.example:${server.port}`]
        )
        const other = yield* toLoopback(storeOf(server, own))
        assert.strictEqual((yield* send(other, { key: "a/b" })).end, "unreachable")
      }))

    it.live("asks a public bucket without a signature", () =>
      Effect.gen(function*() {
        const { server, store } = yield* made({}, { credentials: undefined })
        server.put(bucket, "a", "a")
        assert.strictEqual((yield* send(store, { key: "a" })).status, 403)
        server.createBucket("open", { isPublic: true })
        server.put("open", "a", "open")
        const anonymous = yield* storeOf(server, { bucket: "open", credentials: { anonymous: true } })
        assert.strictEqual((yield* send(anonymous, { key: "a" })).body.toString(), "open")
        assert.doesNotHaveAnyKeys({ ...server.requests[1]?.headers }, ["authorization", "x-amz-date"])
      }))
  })

  describe("bodies", () => {
    it.live("[G-15] passes on what came, and ends with incomplete where a body is short, long or cut", () =>
      Effect.gen(function*() {
        const { server, store } = yield* made()
        server.putSynthetic(bucket, "a", 200_000)
        server.fault("bucket/a", { cutAfter: 100_000, times: 1 })
        const cut = yield* send(store, { key: "a" })
        assert.deepStrictEqual([cut.status, cut.end], [200, "incomplete"])
        assert.deepStrictEqual(
          cut.body,
          Buffer.concat([0, 65_536].map((at) => syntheticBytes(at, 65_536))).subarray(0, cut.body.length)
        )
        server.fault("bucket/a", { cutAfter: 100_000, chunked: true, times: 1 })
        assert.strictEqual((yield* send(store, { key: "a" })).end, "incomplete")
        server.fault("bucket/a", { chunked: true, times: 1 })
        const whole = yield* send(store, { key: "a" })
        assert.deepStrictEqual([whole.end, whole.body.length], ["end", 200_000])
      }))

    it.live("[G-15] takes no body without a length and without chunks as whole", () =>
      Effect.gen(function*() {
        const { url } = yield* rawServer("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhalf", true)
        const store = yield* storeOf({ url, region: "us-east-1" })
        const { body, end } = yield* send(store, { key: "a" })
        assert.deepStrictEqual([body.toString(), end], ["half", "incomplete"])
      }))

    it.live("stops reading while the receiver is full", () =>
      Effect.gen(function*() {
        const { server, store } = yield* made()
        server.putSynthetic(bucket, "large", 256 * 1024 ** 2)
        const running = start(store, { key: "large" }, true)
        running.seen.isFull = true
        yield* eventually(() => running.seen.bytes > 0)
        for (let n = 0; n < 50; n++) yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        assert.isBelow(running.seen.bytes, 1024 ** 2)
        running.seen.isFull = false
        running.call.resume()
        assert.strictEqual((yield* running.outcome).end, "end")
        assert.strictEqual(running.seen.bytes, 256 * 1024 ** 2)
      }))

    it.live("frees the connection of an aborted request, at any time", () =>
      Effect.gen(function*() {
        const { server, store } = yield* made({}, { maxConnections: 1 })
        server.putSynthetic(bucket, "large", 5 * 1024 ** 3)
        server.put(bucket, "a", "a")
        server.fault("bucket/stalled", { stall: true })
        const before = start(store, { key: "stalled" })
        const queued = start(store, { key: "a" })
        queued.call.abort()
        yield* eventually(() => server.requests.length === 1)
        before.call.abort()
        const during = start(store, { key: "large" }, true)
        yield* eventually(() => during.seen.bytes > 0)
        during.call.abort()
        during.call.abort()
        assert.strictEqual((yield* send(store, { key: "a" })).body.toString(), "a")
        for (const running of [before, queued, during]) {
          assert.strictEqual((yield* running.outcome).end, "aborted")
          assert.deepStrictEqual([running.seen.ends, running.seen.late], [1, 0])
        }
        yield* eventually(() => server.requests.every((request) => request.end() !== undefined))
        assert.deepStrictEqual(server.requests.map(({ url }) => url), ["/bucket/stalled", "/bucket/large", "/bucket/a"])
      }))
  })

  describe("time-outs", () => {
    it.effect("[S4-51] fails with timeout where the store does not answer, on the clock of Effect", () =>
      Effect.gen(function*() {
        const { server, store } = yield* made({}, { timeouts: { head: "2 seconds" } })
        server.fault(bucket, { stall: true })
        const running = start(store, { key: "a" })
        yield* eventually(() => server.requests.length === 1)
        yield* TestClock.adjust("1900 millis")
        assert.strictEqual(running.seen.ends, 0)
        yield* TestClock.adjust("1 seconds")
        const { cause, end } = yield* running.outcome
        assert.strictEqual(end, "timeout")
        assert.propertyVal(cause, "code", "GATEWAY_STORE_TIMEOUT")
        yield* eventually(() => server.requests[0]?.end() === "aborted")
      }))

    it.effect("fails with timeout where a body pauses, but not where its receiver does", () =>
      Effect.gen(function*() {
        const { server, store } = yield* made({}, { timeouts: { idle: "3 seconds" } })
        server.putSynthetic(bucket, "a", 256 * 1024 ** 2)
        const slow = start(store, { key: "a" }, true)
        slow.seen.isFull = true
        yield* eventually(() => slow.seen.bytes > 0)
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(slow.seen.ends, 0)
        slow.call.abort()
        server.fault("bucket/a", { stallAfter: 1000 })
        const stalled = start(store, { key: "a" })
        yield* eventually(() => stalled.seen.bytes === 1000)
        yield* TestClock.adjust("2900 millis")
        assert.strictEqual(stalled.seen.ends, 0)
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual((yield* stalled.outcome).end, "timeout")
      }))
  })

  describe("connections", () => {
    it.effect("a request that finds no free connection is rejected, which is no evidence about the store", () =>
      Effect.gen(function*() {
        const { server, store } = yield* made({}, { maxConnections: 1 })
        server.putSynthetic(bucket, "large", 256 * 1024 ** 2)
        const slow = start(store, { key: "large" }, true)
        slow.seen.isFull = true
        yield* eventually(() => slow.seen.bytes > 0)
        const waiting = start(store, { key: "a" })
        yield* TestClock.adjust("5 seconds")
        const { cause, end } = yield* waiting.outcome
        assert.strictEqual(end, "rejected")
        assert.propertyVal(cause, "code", "GATEWAY_STORE_UNAVAILABLE")
        slow.call.abort()
        server.put(bucket, "b", "b")
        assert.strictEqual((yield* send(store, { key: "b" })).body.toString(), "b")
        assert.strictEqual(server.requests.length, 2)
      }))

    it.effect("a server that does not complete a connection is a timeout", () =>
      Effect.gen(function*() {
        // TLS is never answered by a server without TLS that only reads.
        const silent = yield* rawServer("")
        const store = yield* storeOf({ url: silent.url.replace("http:", "https:"), region: "us-east-1" })
        const running = start(store, { key: "a" })
        yield* eventually(() => silent.connections() === 1)
        yield* TestClock.adjust("3 seconds")
        assert.strictEqual((yield* running.outcome).end, "timeout")
      }))
  })

  describe("sending again", () => {
    it.live("[G-12] takes the time of the store once where the clocks differ, for HEAD too", () =>
      Effect.gen(function*() {
        const { server, store } = yield* made()
        server.put(bucket, "a", "a")
        server.clockOffset = 3_600_000
        const found = yield* send(store, { method: "HEAD", key: "a" })
        assert.deepStrictEqual([found.status, server.requests.length], [200, 2])
        assert.notStrictEqual(
          server.requests[0]?.headers.authorization,
          server.requests[1]?.headers.authorization
        )
        yield* send(store, { key: "a" })
        assert.strictEqual(server.requests.length, 3)
        server.clockOffset = 0
        assert.strictEqual((yield* send(store, { key: "a" })).status, 200)
        assert.strictEqual(server.requests.length, 5)
      }))

    it.live("[G-12] [G-13] passes a 403 on that has another reason, and one after the second request", () =>
      Effect.gen(function*() {
        const { server, store } = yield* made()
        server.fault("bucket/a", { status: 403, code: "AccessDenied" })
        assert.strictEqual((yield* send(store, { key: "a" })).status, 403)
        assert.strictEqual(server.requests.length, 1)
        const date = new Date(7_258_118_400_000).toUTCString()
        server.fault("bucket/a", { status: 403, headers: { date } })
        assert.strictEqual((yield* send(store, { key: "a" })).status, 403)
        assert.strictEqual(server.requests.length, 2)
      }))

    it.live("[G-12] does not send a body twice that is read once, and corrects the time for the next request", () =>
      Effect.gen(function*() {
        const { server, store } = yield* made()
        server.clockOffset = -3_600_000
        assert.strictEqual((yield* send(store, { method: "PUT", key: "a", body: onceOf("a") })).status, 403)
        assert.strictEqual((yield* send(store, { method: "PUT", key: "a", body: onceOf("b") })).status, 200)
        server.clockOffset = 0
        assert.strictEqual((yield* send(store, { method: "PUT", key: "a", body: bodyOf("c") })).status, 200)
        assert.strictEqual(Buffer.from(server.get(bucket, "a")!.body!).toString(), "c")
      }))

    it.live("[G-12] sends a request again, signed again, where a kept connection was closed", () =>
      Effect.gen(function*() {
        const { server, store } = yield* made()
        server.put(bucket, "a", "a")
        yield* send(store, { key: "a" })
        server.fault("bucket/a", { reset: true, times: 1 })
        assert.strictEqual((yield* send(store, { key: "a" })).status, 200)
        assert.strictEqual(server.requests.length, 3)
        server.fault("bucket/a", { reset: true })
        const { cause, end } = yield* send(store, { key: "a" })
        assert.strictEqual(end, "unreachable")
        assert.propertyVal(cause, "code", "GATEWAY_STORE_UNREACHABLE")
        assert.strictEqual((yield* send(store, { method: "PUT", key: "a", body: onceOf("x") })).end, "unreachable")
      }))
  })

  describe("outages", () => {
    it.live("[S4-51] fails with unreachable where nothing listens", () =>
      Effect.gen(function*() {
        const { server, store } = yield* made()
        yield* server.stop
        assert.strictEqual((yield* send(store, { key: "a" })).end, "unreachable")
        yield* server.start
        assert.strictEqual((yield* send(store, { key: "a" })).status, 404)
      }))

    it.live("fails requests that run when its scope closes", () =>
      Effect.gen(function*() {
        const server = yield* scriptedS3({ buckets: [bucket] })
        server.fault(bucket, { stall: true })
        const running = yield* Effect.scoped(Effect.gen(function*() {
          const call = start(yield* storeOf(server), { key: "a" })
          yield* eventually(() => server.requests.length === 1)
          return call
        }))
        assert.notStrictEqual((yield* running.outcome).end, "end")
        assert.strictEqual(running.seen.ends, 1)
      }))

    it.live("a response to HEAD with a body does not become the next response", () =>
      Effect.gen(function*() {
        const { url } = yield* rawServer(
          "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx"
        )
        const store = yield* storeOf({ url, region: "us-east-1" })
        assert.strictEqual((yield* send(store, { method: "HEAD", key: "a" })).end, "end")
        const { body } = yield* send(store, { key: "a" })
        assert.notStrictEqual(body.toString(), "x")
      }))
  })

  describe("options", () => {
    it.effect("fails with the option that is out of its bounds", () =>
      Effect.gen(function*() {
        const server = { url: "http://127.0.0.1:9/path", region: "us-east-1" }
        const error = errorOf(yield* Effect.exit(Effect.scoped(storeOf(server))))
        assert.deepStrictEqual([error.code, error.details["path"]], ["INVALID_CONFIG", "endpoint"])
        const noFile = NodeS3Store.make({ ...optionsOf({ ...server, url: "https://a.example" }), caFile: "/none.pem" })
        assert.strictEqual(errorOf(yield* Effect.exit(Effect.scoped(noFile))).details["path"], "caFile")
      }))

    it.effect("[R34] neither options nor errors show the keys", () =>
      Effect.gen(function*() {
        assert.notInclude(JSON.stringify(keys), "keelson-test-secret")
        const { store } = yield* made({}, {
          credentials: {
            static: { accessKeyId: Redacted.make("AKIAVISIBLE"), secretAccessKey: Redacted.make("s3cr3t") }
          }
        })
        const exit = yield* Effect.exit(send(store, { key: "" }))
        assert.isTrue(Exit.isSuccess(exit))
        assert.notMatch(JSON.stringify(exit), /AKIAVISIBLE|s3cr3t/)
      }))
  })
})
