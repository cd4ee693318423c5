import { assert, describe, it } from "@effect/vitest"
import type { KeelsonError } from "@keelson/core"
import { eventually } from "@keelson/testing/eventually"
import { type Handle, httpsOrigin } from "@keelson/testing/httpsOrigin"
import { Context, Effect, Fiber, Layer } from "effect"
import { execFile } from "node:child_process"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { onTestFinished } from "vitest"
import { Egress } from "../src/Egress.ts"
import * as FetchEgress from "../src/FetchEgress.ts"

const fetchEgress = (options: FetchEgress.Options) =>
  Effect.map(Layer.build(FetchEgress.layer(options)), (context) => Context.get(context, Egress))

const refusal = <A>(effect: Effect.Effect<A, KeelsonError.NetworkError>) =>
  Effect.map(Effect.flip(effect), ({ code, details }) => [code, details["reason"]])

/** A local origin, and an egress that may ask it. */
const local = (handle: Handle, options: FetchEgress.Options = {}) =>
  Effect.gen(function*() {
    const origin = yield* httpsOrigin(handle, { plain: true })
    const egress = yield* fetchEgress({ allowLocalhost: true, allowedHosts: ["127.0.0.1"], ...options })
    return { origin, egress, url: `http://127.0.0.1:${origin.port}/` }
  })

/** Puts another `fetch` in place of the platform's for one test. */
const stubFetch = (fetch: typeof globalThis.fetch): void => {
  const original = globalThis.fetch
  globalThis.fetch = fetch
  onTestFinished(() => {
    globalThis.fetch = original
  })
}

describe("FetchEgress", () => {
  it.effect("[K-28 A6] takes hosts over http only with unverifiedAddresses, since it cannot check their addresses", () =>
    Effect.gen(function*() {
      const options = { allowedHosts: ["keycloak"], insecureHosts: ["keycloak"] }
      const error = yield* Effect.flip(fetchEgress(options))
      assert.strictEqual(
        error.message,
        "Invalid configuration: insecureHosts must be empty unless unverifiedAddresses is true, or used with NodeEgress"
      )
      const egress = yield* fetchEgress({ ...options, unverifiedAddresses: true })
      assert.strictEqual((yield* egress.check("http://keycloak/")).href, "http://keycloak/")
    }))

  it.effect("[K-28 J12] [R17] requires allowedHosts or unverifiedAddresses", () =>
    Effect.gen(function*() {
      for (const options of [{}, { allowedHosts: [] }, { unverifiedAddresses: false }, { allowLocalhost: true }]) {
        const error = yield* Effect.flip(fetchEgress(options))
        assert.deepStrictEqual([error.code, error.details["path"]], ["INVALID_CONFIG", "allowedHosts"])
        assert.include(error.message, "at least one host, unless unverifiedAddresses is true")
      }
      for (const options of [{ allowedHosts: ["idp.example"] }, { unverifiedAddresses: true }]) {
        const egress = yield* fetchEgress(options)
        assert.strictEqual((yield* egress.check("https://idp.example/")).host, "idp.example")
      }
    }))

  it.effect("[R17] checks hosts that are addresses, even with unverifiedAddresses", () =>
    Effect.gen(function*() {
      const egress = yield* fetchEgress({ unverifiedAddresses: true })
      for (const url of ["https://127.0.0.1/", "https://10.0.0.1/", "https://[fd00::1]/", "https://localhost/"]) {
        assert.deepStrictEqual(yield* refusal(egress.get({ url })), ["EGRESS_REFUSED", "address"])
      }
    }))

  it.effect("[S1-22] refuses a request with pins, which it cannot check", () =>
    Effect.gen(function*() {
      let calls = 0
      stubFetch(() => Promise.reject(new Error(`called ${++calls} times`)))
      const egress = yield* fetchEgress({ unverifiedAddresses: true })
      const request = { url: "https://idp.example/", rules: { pins: ["AAAA"] } }
      assert.deepStrictEqual([yield* refusal(egress.get(request)), calls], [["EGRESS_REFUSED", "pin"], 0])
    }))

  it.effect("[S1-21] refuses a redirect whose target a browser hides", () =>
    Effect.gen(function*() {
      const hidden = Object.defineProperties(Response.error(), { type: { value: "opaqueredirect" } })
      stubFetch(() => Promise.resolve(hidden))
      const egress = yield* fetchEgress({ unverifiedAddresses: true })
      const error = yield* Effect.flip(egress.get({ url: "https://idp.example/" }))
      assert.deepStrictEqual([error.code, error.details], ["EGRESS_REFUSED", { reason: "redirect", hop: 1 }])
    }))

  it.effect("[K-07] disables cookies, cache and redirects if the platform has these options", () =>
    Effect.gen(function*() {
      let init: RequestInit | undefined
      stubFetch((_, given) => {
        init = given
        return Promise.resolve(new Response("ok"))
      })
      const egress = yield* fetchEgress({ unverifiedAddresses: true })
      yield* egress.get({ url: "https://idp.example/", headers: { accept: "a/b" } })
      const { credentials, headers, method, redirect } = init ?? {}
      assert.deepStrictEqual([method, credentials, redirect, headers], ["GET", "omit", "manual", { accept: "a/b" }])
    }))

  it.effect("[K-07] aborts a response that was not read to its end, but not a rejected request", () =>
    Effect.gen(function*() {
      const aborted: Array<boolean | undefined> = []
      const egress = yield* fetchEgress({ unverifiedAddresses: true })
      const endless = new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(1_048_576)) })
      for (const answer of [Promise.resolve(new Response(endless)), Promise.reject(new TypeError("fetch failed"))]) {
        let signal: AbortSignal | null | undefined
        stubFetch((_, init) => {
          signal = init?.signal
          return answer
        })
        yield* Effect.flip(egress.get({ url: "https://idp.example/" }))
        aborted.push(signal?.aborted)
      }
      assert.deepStrictEqual(aborted, [true, false])
    }))

  it.live("[S1-21] follows redirects itself, and reads the last response", () =>
    Effect.gen(function*() {
      const { egress, origin, url } = yield* local((request, response) => {
        if (request.url === "/") response.writeHead(307, { location: "/keys" }).end("gone")
        else response.writeHead(200, { "x-a": ["1", "2"], "set-cookie": ["a=1", "b=2"] }).end("keys")
      })
      const response = yield* egress.get({ url })
      assert.deepStrictEqual([response.url.pathname, new TextDecoder().decode(response.body)], ["/keys", "keys"])
      assert.deepStrictEqual([response.headers["x-a"], response.headers["set-cookie"]], ["1, 2", "a=1, b=2"])
      assert.deepStrictEqual(origin.requests, ["GET /", "GET /keys"])
    }))

  it.live("[S1-23] cuts a compressed body at the limit while it streams, and closes its connection", () =>
    Effect.gen(function*() {
      const bomb = gzipSync(Buffer.alloc(60 * 1_048_576))
      const { egress, origin, url } = yield* local((_, response) => {
        response.writeHead(200, { "content-encoding": "gzip" }).write(bomb)
      })
      assert.deepStrictEqual((yield* Effect.flip(egress.get({ url }))).code, "RESPONSE_TOO_LARGE")
      yield* eventually(() => origin.open() === 0)
    }))

  it.live("[K-07] [S1-23] the process survives ten content codings and a connection that breaks", () =>
    Effect.gen(function*() {
      const script = join(import.meta.dirname, "fetchEgressProcess.ts")
      const output = yield* Effect.callback<string>((resume) => {
        const child = execFile(
          process.execPath,
          [script],
          (error, stdout, stderr) => resume(Effect.succeed(error === null ? stdout : `${stdout}${stderr}`))
        )
        return Effect.sync(() => child.kill())
      })
      const codes = ["/long", "/short", "/listed"].map((path) => `${path} NETWORK_ERROR`)
      assert.deepStrictEqual(output.trim().split("\n"), [...codes, "/ alive"])
    }))

  it.live("[K-07] closes the connection of ten content codings at once", () =>
    Effect.gen(function*() {
      const { egress, origin, url } = yield* local((_, response) => {
        response.setHeader("content-encoding", Array.from({ length: 10 }, () => "gzip")).write("a")
      })
      assert.strictEqual((yield* Effect.flip(egress.get({ url }))).code, "NETWORK_ERROR")
      yield* eventually(() => origin.open() === 0)
    }))

  it.live("[K-07] an interruption closes the connection", () =>
    Effect.gen(function*() {
      const { egress, origin, url } = yield* local(() => {})
      const fiber = yield* Effect.forkChild(egress.get({ url }))
      yield* eventually(() => origin.requests.length === 1)
      yield* Fiber.interrupt(fiber)
      yield* eventually(() => origin.open() === 0)
      assert.lengthOf(origin.requests, 1)
    }))

  it.live("[R27] a failed connection is NET-002, an untrusted certificate NET-003", () =>
    Effect.gen(function*() {
      const { egress, url } = yield* local((request) => request.socket.destroy())
      assert.strictEqual((yield* Effect.flip(egress.get({ url }))).code, "NETWORK_ERROR")
      const untrusted = yield* httpsOrigin((_, response) => response.end())
      const error = yield* Effect.flip(egress.get({ url: `https://127.0.0.1:${untrusted.port}/` }))
      assert.strictEqual(error.code, "TLS_FAILED")
    }))
})
