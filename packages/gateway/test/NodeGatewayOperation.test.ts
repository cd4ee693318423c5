import { assert, describe, it } from "@effect/vitest"
import { AuditLog, type AuditSink } from "@keelson/audit"
import { eventually } from "@keelson/testing/eventually"
import { type ScriptedS3, scriptedS3 } from "@keelson/testing/scriptedS3"
import { Effect, Fiber, Logger, Tracer } from "effect"
import { TestClock } from "effect/testing"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import * as Http from "node:http"
import * as Https from "node:https"
import * as Net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as GatewayConfig from "../src/GatewayConfig.ts"
import * as NodeGateway from "../src/NodeGateway.ts"
import { gateway, inTime, policy, replicaOf, send, tokenOf } from "./gatewaySuite.ts"

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "keelson-gateway-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true }))
)

const yamlOf = (s3: ScriptedS3, more = "") => `
listen: { port: 0 }
drain: { delay: 100 millis, timeout: 10 seconds }
cache: { enabled: true }
buckets:
  - name: files
    path: /files
    public: true
    replicas:
      - endpoint: ${s3.url}
        bucket: files
        credentials: { static: { accessKeyId: keelson-test, secretAccessKey: keelson-test-secret } }
${more}`

describe("NodeGateway, reload", () => {
  const optionsOf = (s3: ScriptedS3, bucket: object, more: object = {}): GatewayConfig.Options => ({
    listen: { port: 0 },
    cache: { enabled: true },
    drain: { delay: "0 millis" },
    buckets: [{ name: "files", path: "/files", public: true, replicas: [replicaOf(s3, "files")], ...bucket }],
    ...more
  })

  const reloadable = Effect.gen(function*() {
    const s3 = yield* scriptedS3({ buckets: ["files", "other"] })
    const state: { options: unknown } = { options: optionsOf(s3, {}) }
    const running = yield* NodeGateway.make(Effect.suspend(() => GatewayConfig.decode(state.options)))
    return { s3, state, running, get: (target: string) => send(running.address.port, target) }
  })

  it.effect("[S4-52] [R40] takes the whole configuration, keeps the cache, and a bad one changes nothing", () =>
    Effect.gen(function*() {
      const { get, running, s3, state } = yield* reloadable
      s3.put("files", "a", "x")
      yield* get("/files/a")
      state.options = optionsOf(s3, { path: "/moved" })
      yield* running.reload
      assert.strictEqual((yield* get("/files/a")).status, 404)
      assert.match(String((yield* get("/moved/a")).headers["cache-status"]), /hit/)
      state.options = optionsOf(s3, { path: "no slash" })
      const invalid = yield* Effect.flip(running.reload)
      assert.strictEqual(invalid.code, "INVALID_CONFIG")
      assert.include(invalid.message, "path")
      state.options = optionsOf(s3, { path: "/moved" }, { listen: { port: 0, maxConnections: 5 } })
      const fixed = yield* Effect.flip(running.reload)
      assert.deepStrictEqual([fixed.code, /listen/.test(fixed.message)], ["GATEWAY_RELOAD_REFUSED", true])
      assert.match(String((yield* get("/moved/a")).headers["cache-status"]), /hit/)
      assert.strictEqual(s3.requests.length, 1)
    }))

  it.effect("[S4-52] [R32] another store under the same name is not answered with entries of the one before", () =>
    Effect.gen(function*() {
      const { get, running, s3, state } = yield* reloadable
      s3.put("files", "a", "of files")
      s3.put("other", "a", "of other")
      assert.strictEqual((yield* get("/files/a")).text, "of files")
      state.options = optionsOf(s3, { replicas: [replicaOf(s3, "other")] })
      yield* running.reload
      assert.strictEqual((yield* get("/files/a")).text, "of other")
    }))

  it.effect("[S4-52] a request keeps the configuration that it began with", () =>
    Effect.gen(function*() {
      const { get, running, s3, state } = yield* reloadable
      s3.put("files", "a", "x")
      let letGo = () => {}
      s3.fault("*", { until: new Promise<void>((resolve) => letGo = resolve) })
      const slow = yield* Effect.forkChild(get("/files/a"))
      yield* eventually(() => s3.requests.length === 1)
      state.options = optionsOf(s3, { path: "/moved", replicas: [replicaOf(s3, "other")] })
      yield* running.reload
      letGo()
      assert.strictEqual((yield* Fiber.join(slow)).text, "x")
    }))

  it.live("[S4-52] a changed file and SIGHUP reload; SIGTERM ends with 0", () =>
    Effect.scoped(Effect.gen(function*() {
      const s3 = yield* scriptedS3({ buckets: ["files"] })
      s3.put("files", "a", "x")
      const path = join(yield* directory, "gateway.yaml")
      writeFileSync(path, yamlOf(s3))
      const child = yield* Effect.acquireRelease(
        Effect.sync(() => spawn(process.execPath, [join(import.meta.dirname, "gatewayProcess.ts"), path])),
        (one) => Effect.sync(() => one.kill("SIGKILL"))
      )
      let output = ""
      child.stdout.on("data", (chunk) => output += String(chunk))
      child.stderr.on("data", (chunk) => output += String(chunk))
      yield* eventually(() => /port \d+/.test(output) || child.exitCode !== null)
      const port = Number(/port (\d+)/.exec(output)?.[1])
      assert.strictEqual((yield* send(port, "/files/a")).status, 200)
      writeFileSync(path, yamlOf(s3).replace("path: /files", "path: /moved"))
      yield* eventually(() => /Configuration reloaded/.test(output))
      assert.strictEqual((yield* send(port, "/moved/a")).status, 200)
      writeFileSync(path, "buckets: []")
      yield* eventually(() => /was not reloaded/.test(output))
      assert.strictEqual((yield* send(port, "/moved/a")).status, 200)
      output = ""
      child.kill("SIGHUP")
      yield* eventually(() => /was not reloaded/.test(output))
      child.kill("SIGTERM")
      const [code] = yield* Effect.promise(() => once(child, "exit"))
      assert.strictEqual(code, 0)
    })))
})

describe("NodeGateway, drain", () => {
  it.effect("[S4-52] [G4] readiness fails first, running bodies end whole, and nothing is reset", () =>
    Effect.gen(function*() {
      const { port, running, s3 } = yield* gateway({
        config: { drain: { delay: "5 seconds", timeout: "1 minute" } }
      })
      s3.putSynthetic("files", "a", 3_000_000)
      s3.put("files", "b", "x")
      let letGo = () => {}
      s3.fault("files/a", { until: new Promise<void>((resolve) => letGo = resolve) })
      const agent = new Http.Agent({ keepAlive: true })
      yield* send(port, "/files/b", { agent })
      const streams = yield* Effect.forEach(Array.from({ length: 5 }), () => Effect.forkChild(send(port, "/files/a")))
      yield* eventually(() => s3.requests.some(({ url }) => url.includes("a")))
      const drain = yield* Effect.forkChild(running.drain)
      yield* Effect.yieldNow
      assert.strictEqual((yield* send(port, "/-/ready")).status, 503)
      assert.strictEqual((yield* send(port, "/-/live")).status, 200)
      // Still accepting, on old connections and new ones, and each answer says that the connection ends.
      for (const options of [{ agent }, {}]) {
        const answer = yield* send(port, "/files/b", options)
        assert.deepStrictEqual([answer.status, answer.headers["connection"]], [200, "close"])
      }
      yield* TestClock.adjust("5 seconds")
      const refused = yield* Effect.callback<string>((resume) => {
        const attempt = () => {
          const socket = Net.connect({ port, host: "127.0.0.1" })
          socket.on("error", (error: NodeJS.ErrnoException) => resume(Effect.succeed(error.code ?? "")))
          socket.on("connect", () => {
            socket.destroy()
            setImmediate(attempt)
          })
        }
        attempt()
      })
      assert.strictEqual(refused, "ECONNREFUSED")
      letGo()
      for (const stream of streams) {
        const answer = yield* Fiber.join(stream)
        assert.deepStrictEqual([answer.isWhole, answer.body.length], [true, 3_000_000])
      }
      yield* Fiber.join(drain)
      agent.destroy()
    }))

  it.effect("[S4-52] what does not end in time is cut", () =>
    Effect.gen(function*() {
      const { port, running, s3 } = yield* gateway({ config: { drain: { delay: "0 millis", timeout: "10 seconds" } } })
      s3.put("files", "a", "x")
      s3.fault("*", { stall: true })
      const request = Http.get({ port, path: "/files/a", agent: false })
      const failed = Effect.callback<string>((resume) =>
        void request.on("error", (error: NodeJS.ErrnoException) => resume(Effect.succeed(error.code ?? "")))
      )
      yield* eventually(() => s3.requests.length === 1)
      const outcome = yield* Effect.forkChild(failed)
      const drain = yield* Effect.forkChild(running.drain)
      yield* Effect.yieldNow
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(drain)
      assert.strictEqual(yield* Fiber.join(outcome), "ECONNRESET")
    }))

  it.live("[S4-52] a client that reads nothing is cut after the send time-out", () =>
    Effect.scoped(Effect.gen(function*() {
      const { port, s3 } = yield* gateway({ config: { listen: { port: 0, sendTimeout: "1 second" } } })
      s3.putSynthetic("files", "a", 50_000_000)
      const socket = Net.connect({ port, host: "127.0.0.1" })
      socket.on("error", () => {})
      socket.write("GET /files/a HTTP/1.1\r\nHost: a\r\n\r\n")
      yield* eventually(() => s3.requests.length === 1)
      // Its connection to the store ends with it.
      yield* eventually(() => s3.requests[0]?.end() === "aborted")
      socket.destroy()
    })))
})

describe("NodeGateway, records", () => {
  const sinkOf = () => {
    const lines: Array<Record<string, unknown>> = []
    const sink: AuditSink.AuditSink = {
      name: "memory",
      write: (records) => Effect.sync(() => void lines.push(...records.map(({ line }) => JSON.parse(line)))),
      flush: Effect.void
    }
    return { lines, sink }
  }

  it.effect("[S4-41] [S4-45] [A1] [A2] one entry for each request, whatever became of it, and no secret", () =>
    Effect.gen(function*() {
      const { lines, sink } = sinkOf()
      const log = yield* AuditLog.make({ sinks: [sink] })
      const { get, s3 } = yield* Effect.provideService(
        gateway({ bucket: { public: false }, config: { auth: { default: yield* policy } } }),
        AuditLog.AuditLog,
        log
      )
      s3.put("files", "a \"b\"\n", "hello")
      const token = yield* tokenOf({ sub: "ada" })
      const target = "/files/a%20%22b%22%0A?token=s3cr3t"
      yield* get(target, { token, headers: { "user-agent": "test", "x-correlation-id": "c-1" } })
      yield* get(target, { token })
      yield* get(target)
      yield* get("/files/x", { method: "POST" })
      yield* get("/nowhere")
      yield* log.flush
      const seen = lines.map((one) => [one["http_method"], one["response_status"], one["cache_status"], one["user"]])
      assert.deepStrictEqual(seen, [
        ["GET", 200, "miss", "ada"],
        ["GET", 200, "hit", "ada"],
        ["GET", 401, "bypass", null],
        ["POST", 405, "bypass", null],
        ["GET", 404, "bypass", null]
      ])
      const [first] = lines
      assert.deepStrictEqual(
        [first?.["correlation_id"], first?.["bucket"], first?.["object_key"], first?.["response_size_bytes"]],
        ["c-1", "files", "a \"b\"\n", 5]
      )
      assert.strictEqual(first?.["client_ip"], "127.0.0.1")
      const text = JSON.stringify(lines)
      for (const secret of [token, "s3cr3t", "keelson-test-secret"]) assert.notInclude(text, secret)
    }))

  it.effect("[S4-47] a slow request is logged with its parts and its correlation id, without key and user", () =>
    Effect.gen(function*() {
      const logs: Array<string> = []
      const logger = Logger.layer([Logger.map(Logger.formatJson, (line) => void logs.push(line))])
      yield* Effect.gen(function*() {
        const { get, s3 } = yield* gateway({ config: { log: { slow: "500 millis" } } })
        s3.put("files", "the-key", "x")
        s3.fault("*", { delay: 700 })
        const slow = yield* Effect.forkChild(get("/files/the-key", { headers: { "x-correlation-id": "c-9" } }))
        yield* eventually(() => s3.requests.length === 1)
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        yield* TestClock.adjust("700 millis")
        yield* Fiber.join(slow)
        yield* eventually(() => logs.some((line) => line.includes("Slow request")))
      }).pipe(Effect.provide(logger))
      const line = logs.find((one) => one.includes("Slow request")) ?? ""
      assert.match(line, /"correlation_id":"c-9"/)
      assert.match(line, /"store_ms":7\d\d/)
      assert.notInclude(line, "the-key")
    }))

  it.effect("[S4-47] with a tracer a request has a span, and its parts are children of it", () =>
    Effect.gen(function*() {
      const spans: Array<Tracer.Span> = []
      const tracer = Tracer.make({
        span: (options) => {
          const span = new Tracer.NativeSpan(options)
          if (options.name.startsWith("gateway.")) spans.push(span)
          return span
        }
      })
      const { get, s3 } = yield* Effect.withTracer(
        gateway({ bucket: { public: false }, config: { auth: { default: yield* policy } } }),
        tracer
      )
      s3.put("files", "a", "x")
      yield* inTime(get("/files/a", { token: yield* tokenOf() }))
      yield* eventually(() => spans.length >= 2)
      const [root, ...parts] = spans
      assert.strictEqual(root?.name, "gateway.request")
      for (const part of parts) {
        assert.strictEqual(part.parent.pipe((one) => one._tag === "Some" && one.value.spanId), root?.spanId)
      }
      for (const span of spans) assert.strictEqual(span.status._tag, "Ended")
    }))
})

describe("NodeGateway, TLS", () => {
  const fixture = (name: string) => join(import.meta.dirname, "../../testing/src/fixtures", name)

  it.effect("[S4-52] serves TLS, and refuses a key of another certificate without showing it", () =>
    Effect.gen(function*() {
      const tls = { certFile: fixture("selfSigned.cert.pem"), keyFile: fixture("selfSigned.key.pem") }
      const { port } = yield* gateway({ config: { listen: { port: 0, tls } } })
      const status = yield* Effect.callback<number>((resume) => {
        const request = Https.get({
          port,
          path: "/-/live",
          ca: readFileSync(tls.certFile),
          checkServerIdentity: () => undefined
        })
        request.on("response", (response) => resume(Effect.succeed(response.statusCode ?? 0)))
        request.on("error", (error) => resume(Effect.die(error)))
      })
      assert.strictEqual(status, 200)
      const wrong = yield* Effect.flip(
        gateway({ config: { listen: { port: 0, tls: { ...tls, keyFile: tls.certFile } } } })
      )
      assert.strictEqual(wrong.code, "INVALID_CONFIG")
      assert.include(wrong.message, "listen.tls")
    }))
})
