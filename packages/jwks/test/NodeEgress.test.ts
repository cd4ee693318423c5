import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@keelson/testing/eventually"
import { httpOrigin } from "@keelson/testing/httpOrigin"
import {
  addresses,
  caFile,
  type Handle,
  httpsOrigin,
  nodeEgress,
  resolved,
  silentOrigin
} from "@keelson/testing/httpsOrigin"
import { Context, Effect, Exit, Fiber, Layer, Predicate, Scope } from "effect"
import { TestClock } from "effect/testing"
import { createRequire } from "node:module"
import { gzipSync } from "node:zlib"
import { Egress } from "../src/Egress.ts"
import * as NodeEgress from "../src/NodeEgress.ts"

const answering = (body: string, headers: Record<string, string> = {}): Handle => (_, response) => {
  response.writeHead(200, headers).end(body)
}

/** Moves the clock that undici has for its own timers; it is there for tests. A timer starts at the tick after it is set. */
const passHour = (): void => {
  const timers: unknown = createRequire(import.meta.url)("undici/lib/util/timers.js")
  if (!Predicate.hasProperty(timers, "tick") || !Predicate.isFunction(timers.tick)) return assert.fail("no such clock")
  for (const millis of [1_000, 3_600_000]) timers.tick(millis)
}

const at = (port: number, path = "/keys") => `https://idp.example:${port}${path}`

describe("NodeEgress", () => {
  it.live("[R17] [R26] fetches from an origin whose authority is in caFile", () =>
    Effect.gen(function*() {
      const origin = yield* httpsOrigin(answering("{\"keys\":[]}", { "ETag": "\"a\"", "X-Two": "1" }))
      const egress = yield* nodeEgress()
      const response = yield* egress.get({ url: at(origin.port), headers: { "if-none-match": "\"b\"" } })
      assert.deepStrictEqual([response.status, response.headers["etag"], response.headers["x-two"]], [
        200,
        "\"a\"",
        "1"
      ])
      assert.strictEqual(new TextDecoder().decode(response.body), "{\"keys\":[]}")
      assert.strictEqual(response.url.href, at(origin.port))
      assert.strictEqual(origin.headers[0]?.["if-none-match"], "\"b\"")
      yield* eventually(() => origin.open() === 0)
    }))

  it.live("[R17] [K-07] opens no connection for a name whose addresses are all refused", () =>
    Effect.gen(function*() {
      const origin = yield* httpsOrigin(answering(""))
      const resolve = resolved("127.0.0.1", "::1", "10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "64:ff9b::7f00:1")
      const egress = yield* nodeEgress({ resolve, allowedNetworks: [] })
      const error = yield* Effect.flip(egress.get({ url: at(origin.port) }))
      assert.deepStrictEqual([error.code, error.details], ["EGRESS_REFUSED", { reason: "address", hop: 0 }])
      assert.strictEqual(origin.connections(), 0)
    }))

  it.live("[R17] [K-07] opens no connection for localhost at an address that a gateway would translate to loopback", () =>
    Effect.gen(function*() {
      const resolve = resolved("64:ff9b::7f00:1", "2002:7f00:1::")
      const egress = yield* nodeEgress({ resolve, allowLocalhost: true, allowedNetworks: [] })
      const error = yield* Effect.flip(egress.get({ url: "http://localhost:65000/" }))
      assert.deepStrictEqual([error.code, error.details], ["EGRESS_REFUSED", { reason: "address", hop: 0 }])
    }))

  it.live("[R17] a name that has another address the second time is checked the second time", () =>
    Effect.gen(function*() {
      const inside = yield* httpsOrigin(answering("secret"), { host: "127.0.0.2" })
      const answers = [addresses("127.0.0.1"), addresses("127.0.0.2")]
      const outside = yield* httpsOrigin((_, response) => {
        response.writeHead(302, { location: `https://idp.example:${inside.port}/` }).end()
      })
      let asked = 0
      const egress = yield* nodeEgress({
        allowedNetworks: ["127.0.0.1/32"],
        resolve: (_, done) => done(null, answers[asked++] ?? [])
      })
      const error = yield* Effect.flip(egress.get({ url: at(outside.port) }))
      assert.deepStrictEqual([error.code, error.details], ["EGRESS_REFUSED", { reason: "address", hop: 1 }])
      assert.deepStrictEqual([asked, outside.connections(), inside.connections()], [2, 1, 0])
    }))

  it.live("[R17] connects to the address that was checked, without resolving the name again", () =>
    Effect.gen(function*() {
      const origin = yield* httpsOrigin(answering("ok"))
      let asked = 0
      const resolve = resolved("127.0.0.1")
      const egress = yield* nodeEgress({
        allowedNetworks: ["127.0.0.1/32"],
        resolve: (name, done) => ++asked === 1 ? resolve(name, done) : done(null, addresses("127.0.0.2"))
      })
      assert.strictEqual((yield* egress.get({ url: at(origin.port) })).status, 200)
      assert.strictEqual(asked, 1)
      const error = yield* Effect.flip(egress.get({ url: at(origin.port) }))
      assert.deepStrictEqual([error.details["reason"], asked, origin.connections()], ["address", 2, 1])
    }))

  it.live("[R17] drops refused addresses and connects to one of the others", () =>
    Effect.gen(function*() {
      const inside = yield* httpsOrigin(answering("secret"), { host: "127.0.0.2" })
      const egress = yield* nodeEgress({ allowedNetworks: ["::1/128"], resolve: resolved("127.0.0.2", "::1") })
      const error = yield* Effect.flip(egress.get({ url: at(inside.port) }))
      assert.strictEqual(error.code, "NETWORK_ERROR")
      assert.strictEqual(inside.connections(), 0)
    }))

  it.live("[R27] reaches a host that has IPv6 only", () =>
    Effect.gen(function*() {
      const origin = yield* httpsOrigin(answering("six"), { host: "::1" })
      const egress = yield* nodeEgress({ allowLocalhost: true, allowedNetworks: [], resolve: resolved("::1") })
      const named = yield* egress.get({ url: `https://localhost:${origin.port}/` })
      const literal = yield* egress.get({ url: `https://[::1]:${origin.port}/` })
      assert.deepStrictEqual([named, literal].map(({ body }) => new TextDecoder().decode(body)), ["six", "six"])
    }))

  it.live("[S1-19] requests localhost over http with allowLocalhost, and no other host", () =>
    Effect.gen(function*() {
      const origin = yield* httpOrigin(200)
      const port = new URL(origin.url).port
      const egress = yield* nodeEgress({ allowLocalhost: true, allowedNetworks: [] })
      assert.strictEqual((yield* egress.get({ url: `http://localhost:${port}/` })).status, 200)
      const other = yield* Effect.flip(egress.get({ url: `http://idp.example:${port}/` }))
      assert.strictEqual(other.details["reason"], "scheme")
      const rebound = yield* Effect.flip(egress.get({ url: at(Number(port)) }))
      assert.strictEqual(rebound.details["reason"], "address")
      assert.lengthOf(origin.received, 1)
    }))

  it.live("[R27] a name that does not resolve is NET-002", () =>
    Effect.gen(function*() {
      const failed = Object.assign(new Error("getaddrinfo ENOTFOUND idp.example"), { code: "ENOTFOUND" })
      for (const resolve of [(_: string, done: (error: Error, list: []) => void) => done(failed, []), resolved()]) {
        const egress = yield* nodeEgress({ resolve })
        const error = yield* Effect.flip(egress.get({ url: at(443) }))
        assert.deepStrictEqual([error.code, error.details], ["NETWORK_ERROR", { hop: 0 }])
      }
    }))

  it.live("[R17] [R27] resolves names as the system does", () =>
    Effect.gen(function*() {
      const origin = yield* httpsOrigin(answering("ok"))
      const context = yield* Layer.build(NodeEgress.layer({ caFile, allowLocalhost: true, proxy: "none" }))
      const { get } = Context.get(context, Egress)
      assert.strictEqual((yield* get({ url: `https://localhost:${origin.port}/` })).status, 200)
    }))

  it.live("[R27] a refused connection, a reset one, and a truncated body are NET-002", () =>
    Effect.gen(function*() {
      const gone = yield* Effect.scoped(httpsOrigin(answering("")))
      const resetting = yield* httpsOrigin((request) => request.socket.destroy())
      const breaking = yield* httpsOrigin((request, response) => {
        response.writeHead(200, { "content-length": "10" })
        response.write("a", () => request.socket.destroy())
      })
      const garbled = yield* httpsOrigin(answering("no gzip", { "content-encoding": "gzip" }))
      const egress = yield* nodeEgress()
      for (const { port } of [gone, resetting, breaking, garbled]) {
        assert.strictEqual((yield* Effect.flip(egress.get({ url: at(port) }))).code, "NETWORK_ERROR")
      }
    }))

  describe("bodies", () => {
    const limit = 1_048_576

    it.live("[S1-23] [K-07] cuts a body of 60 MB at the limit while it streams", () =>
      Effect.gen(function*() {
        const chunk = Buffer.alloc(65_536, "a")
        const origin = yield* httpsOrigin((_, response) => {
          let left = 960
          const write = (): void => {
            while (left-- > 0) if (!response.write(chunk)) return void response.once("drain", write)
            response.end()
          }
          write()
        })
        const egress = yield* nodeEgress()
        const error = yield* Effect.flip(egress.get({ url: at(origin.port) }))
        assert.deepStrictEqual([error.code, error.details], ["RESPONSE_TOO_LARGE", { hop: 0 }])
        yield* eventually(() => origin.open() === 0)
        assert.isAtLeast(origin.written(), limit)
        assert.isBelow(origin.written(), 12 * limit)
      }))

    it.live("[S1-23] counts decompressed bytes, and closes the connection of a decompression bomb", () =>
      Effect.gen(function*() {
        const bomb = gzipSync(Buffer.alloc(60 * limit))
        let ended = false
        const origin = yield* httpsOrigin((_, response) => {
          response.writeHead(200, { "content-encoding": "gzip" })
          response.write(bomb)
          response.once("close", () => ended = response.writableFinished)
        })
        const egress = yield* nodeEgress()
        const error = yield* Effect.flip(egress.get({ url: at(origin.port) }))
        assert.strictEqual(error.code, "RESPONSE_TOO_LARGE")
        yield* eventually(() => origin.open() === 0)
        assert.isFalse(ended)
      }))

    it.live("[S1-23] refuses a Content-Length above the limit before it reads", () =>
      Effect.gen(function*() {
        const origin = yield* httpsOrigin((_, response) => {
          response.writeHead(200, { "content-length": String(limit + 1) }).flushHeaders()
        })
        const egress = yield* nodeEgress()
        assert.strictEqual((yield* Effect.flip(egress.get({ url: at(origin.port) }))).code, "RESPONSE_TOO_LARGE")
        yield* eventually(() => origin.open() === 0)
      }))

    it.live("[S1-23] a 304 may state the length of a body that it does not send", () =>
      Effect.gen(function*() {
        const origin = yield* httpsOrigin((_, response) => {
          response.writeHead(304, { "content-length": String(limit + 1) }).end()
        })
        const egress = yield* nodeEgress()
        const { body, status } = yield* egress.get({ url: at(origin.port) })
        assert.deepStrictEqual([status, body.byteLength], [304, 0])
      }))

    it.live("[S1-23] accepts a body of exactly the limit, and applies the smaller of the two limits", () =>
      Effect.gen(function*() {
        const origin = yield* httpsOrigin((request, response) => {
          response.write("a".repeat(Number(request.url?.slice(1))))
          response.end()
        })
        const egress = yield* nodeEgress({ maxBytes: 100 })
        const size = (bytes: number, maxBytes?: number) =>
          Effect.match(egress.get({ url: at(origin.port, `/${bytes}`), rules: { maxBytes } }), {
            onFailure: ({ code }) => code,
            onSuccess: ({ body }) => body.byteLength
          })
        const large = "RESPONSE_TOO_LARGE"
        assert.deepStrictEqual([yield* size(100), yield* size(101), yield* size(101, 1_000)], [100, large, large])
        assert.deepStrictEqual([yield* size(10, 10), yield* size(11, 10), yield* size(101, NaN)], [10, large, large])
      }))
  })

  describe("interruption", () => {
    const drip: Handle = (_, response) => {
      const timer = setInterval(() => response.write("drip "), 2)
      response.once("close", () => clearInterval(timer))
    }

    const servers = [
      ["hangs before its response", httpsOrigin(() => {})],
      ["drips its body", httpsOrigin(drip)],
      ["hangs in its body", httpsOrigin((_, response) => void response.write("a"))],
      ["hangs in the handshake", silentOrigin]
    ] as const
    for (const [what, server] of servers) {
      it.live(`[K-07] closes the connection of a server that ${what}`, () =>
        Effect.gen(function*() {
          const origin = yield* server
          const egress = yield* nodeEgress()
          const fiber = yield* Effect.forkChild(egress.get({ url: at(origin.port) }))
          yield* eventually(() => origin.open() === 1 && (server === silentOrigin || origin.requests.length === 1))
          yield* Fiber.interrupt(fiber)
          yield* eventually(() => origin.open() === 0)
          assert.strictEqual(origin.connections(), 1)
        }))
    }

    it.live("[K-07] a request after one interrupted in the handshake opens a new connection", () =>
      Effect.gen(function*() {
        const silent = yield* silentOrigin
        const egress = yield* nodeEgress()
        const get = egress.get({ url: at(silent.port) })
        const first = yield* Effect.forkChild(get)
        yield* eventually(() => silent.open() === 1)
        yield* Fiber.interrupt(first)
        const second = yield* Effect.forkChild(get)
        yield* eventually(() => silent.connections() === 2)
        yield* Fiber.interrupt(second)
        yield* eventually(() => silent.open() === 0)
        assert.strictEqual(silent.connections(), 2)
      }))

    it.effect("[R29] has no limit in time but the caller's, on Effect's clock", () =>
      Effect.gen(function*() {
        const origin = yield* httpsOrigin(drip)
        const egress = yield* nodeEgress()
        const late = Effect.succeed("late" as const)
        const fiber = yield* Effect.forkChild(
          Effect.timeoutOrElse(egress.get({ url: at(origin.port) }), { duration: "10 seconds", orElse: () => late })
        )
        yield* eventually(() => origin.requests.length === 1)
        yield* TestClock.adjust("9 seconds")
        assert.strictEqual(origin.open(), 1)
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* Fiber.join(fiber), "late")
        yield* eventually(() => origin.open() === 0)
      }))

    for (const [what, server] of servers) {
      it.live(`[R29] waits an hour by the clock of undici for a server that ${what}`, () =>
        Effect.gen(function*() {
          const origin = yield* server
          const egress = yield* nodeEgress()
          const fiber = yield* Effect.forkChild(Effect.exit(egress.get({ url: at(origin.port) })))
          yield* eventually(() => origin.open() === 1 && (server === silentOrigin || origin.requests.length === 1))
          // Time enough for a body to begin, and then for a connection to be closed, if it were.
          const other = yield* httpsOrigin(answering("ok"))
          const pause = Effect.repeat(egress.get({ url: at(other.port) }), { times: 2 })
          yield* pause
          passHour()
          yield* pause
          assert.deepStrictEqual([origin.open(), fiber.pollUnsafe()], [1, undefined])
          yield* Fiber.interrupt(fiber)
        }))
    }

    it.live("[L8] closes all connections with the scope of the layer", () =>
      Effect.gen(function*() {
        const origin = yield* httpsOrigin(() => {})
        const scope = yield* Scope.make()
        const egress = yield* Scope.provide(nodeEgress(), scope)
        const fiber = yield* Effect.forkChild(Effect.flip(egress.get({ url: at(origin.port) })))
        yield* eventually(() => origin.requests.length === 1)
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual((yield* Fiber.join(fiber)).code, "NETWORK_ERROR")
        yield* eventually(() => origin.open() === 0)
      }))
  })
})
