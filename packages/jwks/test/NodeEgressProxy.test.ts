import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@keelson/testing/eventually"
import {
  connectProxy,
  type Handle,
  httpsOrigin,
  nodeEgress,
  pinOf,
  type Setup,
  silentOrigin
} from "@keelson/testing/httpsOrigin"
import { Effect, Fiber, Logger } from "effect"

const ok: Handle = (_, response) => {
  response.end("ok")
}

const at = (port: number, host = "idp.example") => `https://${host}:${port}/`

/** An origin, a proxy that tunnels every request to it, and an egress that resolves no name. */
const proxied = (setup: (url: string) => Setup) =>
  Effect.gen(function*() {
    const origin = yield* httpsOrigin(ok)
    const proxy = yield* connectProxy(origin.port)
    const resolve: Setup["resolve"] = (_, done) => done(new Error("resolved here"), [])
    const messages: Array<unknown> = []
    const logger = Logger.make(({ logLevel, message }) => void messages.push([logLevel, message]))
    const url = `http://127.0.0.1:${proxy.port}`
    const egress = yield* nodeEgress({ resolve, ...setup(url) }).pipe(Effect.provide(Logger.layer([logger])))
    return { origin, proxy, egress, messages }
  })

describe("NodeEgress behind a proxy", () => {
  const ways: ReadonlyArray<readonly [string, (url: string) => Setup]> = [
    ["proxy", (url) => ({ proxy: url })],
    ["HTTPS_PROXY", (url) => ({ environment: { HTTPS_PROXY: url, HTTP_PROXY: "http://127.0.0.1:9" } })],
    ["https_proxy", (url) => ({ environment: { https_proxy: url, HTTPS_PROXY: "http://127.0.0.1:9" } })],
    ["HTTP_PROXY where it is alone", (url) => ({ environment: { HTTP_PROXY: url, HTTPS_PROXY: "" } })]
  ]
  for (const [what, setup] of ways) {
    it.live(`[R26] uses the proxy of ${what}, and logs once that names are not checked`, () =>
      Effect.gen(function*() {
        const { egress, messages, origin, proxy } = yield* proxied(setup)
        assert.strictEqual((yield* egress.get({ url: at(4444) })).status, 200)
        assert.strictEqual((yield* egress.get({ url: at(443, "other.example") })).status, 200)
        assert.deepStrictEqual(proxy.requests, ["CONNECT idp.example:4444", "CONNECT other.example:443"])
        assert.deepStrictEqual(origin.headers.map(({ host }) => host), ["idp.example:4444", "other.example"])
        assert.lengthOf(messages, 1)
        assert.include(JSON.stringify(messages), "[\"Warn\"")
      }))
  }

  it.live("[R26] uses no proxy with \"none\", and none for hosts in NO_PROXY", () =>
    Effect.gen(function*() {
      const resolve: Setup["resolve"] = (_, done) => done(null, [{ address: "127.0.0.1", family: 4 }])
      const setups: ReadonlyArray<(url: string) => Setup> = [
        (url) => ({ resolve, proxy: "none", environment: { HTTPS_PROXY: url } }),
        (url) => ({ resolve, environment: { HTTPS_PROXY: url, NO_PROXY: "a.example, .idp.example" } }),
        (url) => ({ resolve, environment: { HTTPS_PROXY: url, no_proxy: "*" } })
      ]
      for (const setup of setups) {
        const { egress, origin, proxy } = yield* proxied(setup)
        assert.strictEqual((yield* egress.get({ url: at(origin.port, "x.idp.example") })).status, 200)
        assert.lengthOf(proxy.requests, 0)
      }
    }))

  it.live("[R26] checks hosts that are addresses, and names that bypass the proxy", () =>
    Effect.gen(function*() {
      const { egress, proxy } = yield* proxied((url) => ({ proxy: url, allowedNetworks: [] }))
      for (const host of ["10.0.0.1", "169.254.169.254", "[::ffff:10.0.0.1]", "localhost", "127.0.0.1"]) {
        const error = yield* Effect.flip(egress.get({ url: at(443, host) }))
        assert.deepStrictEqual([error.code, error.details["reason"]], ["EGRESS_REFUSED", "address"], host)
      }
      assert.strictEqual(proxy.connections(), 0)
      const beside = yield* proxied((url) => ({
        environment: { HTTPS_PROXY: url, NO_PROXY: "idp.example" },
        resolve: (_, done) => done(null, [{ address: "127.0.0.1", family: 4 }]),
        allowedNetworks: []
      }))
      assert.strictEqual((yield* Effect.flip(beside.egress.get({ url: at(443) }))).details["reason"], "address")
    }))

  it.live("[R26] requests localhost without the proxy", () =>
    Effect.gen(function*() {
      const resolve: Setup["resolve"] = (_, done) => done(null, [{ address: "127.0.0.1", family: 4 }])
      const { egress, origin, proxy } = yield* proxied((url) => ({ proxy: url, allowLocalhost: true, resolve }))
      for (const host of ["localhost", "127.0.0.1"]) {
        assert.strictEqual((yield* egress.get({ url: at(origin.port, host) })).status, 200)
      }
      assert.lengthOf(proxy.requests, 0)
    }))

  it.live("[R26] [S1-22] trust and pins hold for the origin within the tunnel", () =>
    Effect.gen(function*() {
      const { egress, origin } = yield* proxied((url) => ({ proxy: url }))
      const get = (pin: string) => egress.get({ url: at(443), rules: { pins: [pinOf(pin)] } })
      assert.strictEqual((yield* get("root.cert.pem")).status, 200)
      assert.strictEqual((yield* Effect.flip(get("bystander.cert.pem"))).details["reason"], "pin")
      const evil = yield* Effect.flip(egress.get({ url: at(443, "evil.example") }))
      assert.strictEqual(evil.code, "TLS_FAILED")
      const untrusting = yield* proxied((url) => ({ proxy: url, caFile: undefined }))
      assert.strictEqual((yield* Effect.flip(untrusting.egress.get({ url: at(443) }))).code, "TLS_FAILED")
      assert.deepStrictEqual([origin.requests.length, untrusting.origin.requests.length], [1, 0])
    }))

  it.live("[R26] sends credentials to the proxy, and none to the origin", () =>
    Effect.gen(function*() {
      const { egress, origin, proxy } = yield* proxied((url) => ({ proxy: url.replace("//", "//user:pass@") }))
      yield* egress.get({ url: at(443) })
      assert.strictEqual(proxy.headers[0]?.["proxy-authorization"], `Basic ${btoa("user:pass")}`)
      assert.notInclude(JSON.stringify(origin.headers), btoa("user:pass"))
    }))

  it.live("[K-07] an interruption closes the connection to a proxy that hangs", () =>
    Effect.gen(function*() {
      const silent = yield* silentOrigin
      const egress = yield* nodeEgress({ proxy: `http://127.0.0.1:${silent.port}` })
      const fiber = yield* Effect.forkChild(egress.get({ url: at(443) }))
      yield* eventually(() => silent.open() === 1)
      yield* Fiber.interrupt(fiber)
      yield* eventually(() => silent.open() === 0)
      assert.strictEqual(silent.connections(), 1)
    }))

  it.live("[R27] a proxy that is not there, or refuses, is NET-002", () =>
    Effect.gen(function*() {
      const gone = yield* Effect.scoped(silentOrigin)
      const refusing = yield* httpsOrigin(ok, { plain: true })
      for (const { port } of [gone, refusing]) {
        const egress = yield* nodeEgress({ proxy: `http://127.0.0.1:${port}` })
        assert.strictEqual((yield* Effect.flip(egress.get({ url: at(443) }))).code, "NETWORK_ERROR")
      }
    }))

  it.effect("[R26] an invalid proxy URL in the environment fails with the variable's name, without its value", () =>
    Effect.gen(function*() {
      for (const value of ["secret proxy", "socks5://secret:1", "secret:3128"]) {
        const error = yield* Effect.flip(nodeEgress({ environment: { HTTPS_PROXY: value } }))
        assert.deepStrictEqual([error.code, error.details["path"]], ["INVALID_CONFIG", "HTTPS_PROXY"])
        assert.notInclude(JSON.stringify(error), "secret")
      }
    }))
})
