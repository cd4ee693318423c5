import { assert, describe, it } from "@effect/vitest"
import type { AuditError, AuditOptions, AuditSink } from "@keelson/audit"
import * as NodeSyslogSink from "@keelson/audit/NodeSyslogSink"
import { eventually } from "@keelson/testing/eventually"
import { caFile, fixturePath, silentOrigin } from "@keelson/testing/httpsOrigin"
import {
  makeSyslogServer,
  skipReason,
  type SyslogServer,
  syslogServer,
  tlsSkipReason
} from "@keelson/testing/syslogServer"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { writeFileSync } from "node:fs"
import { createServer, type Socket } from "node:net"
import { hostname } from "node:os"
import { join } from "node:path"
import { inspect } from "node:util"
import { failedAt, range, record, records, sequencesIn, temporaryDirectory } from "./sinkSupport.ts"

const sent = (server: SyslogServer) => sequencesIn(server.messages().map(({ message }) => message))

const tls = { ca: caFile, cert: fixturePath("server.cert.pem"), key: fixturePath("server.key.pem") }

const protocols = [
  { protocol: "udp", skip: skipReason },
  { protocol: "tcp", skip: skipReason },
  { protocol: "tls", skip: tlsSkipReason }
] as const

/** A server, and the options of a sink for it. */
const setUp = Effect.fnUntraced(function*(
  protocol: "udp" | "tcp" | "tls",
  options: Partial<AuditOptions.SyslogOptions> = {}
) {
  const server = yield* syslogServer(protocol === "tls" ? { tls } : {})
  const sink = yield* NodeSyslogSink.make({
    host: protocol === "tls" ? "localhost" : "127.0.0.1",
    port: protocol === "udp" ? server.udpPort : server.tcpPort,
    protocol,
    caFile: protocol === "tls" ? caFile : undefined,
    // A machine that others use as well may be slow.
    timeout: "1 minute",
    ...options
  })
  return { server, sink }
})

/** Writes entries as the log does: again until the sink takes them. */
const persistently = (sink: AuditSink.AuditSink, entries: ReadonlyArray<AuditSink.AuditRecord>) =>
  Effect.retry(sink.write(entries), { while: () => Effect.as(Effect.sleep("20 millis"), true) })

describe("NodeSyslogSink", () => {
  for (const { protocol, skip } of protocols) {
    describe.skipIf(skip !== undefined)(`rsyslogd over ${protocol}`, () => {
      it.live("[S4-40] [S4-44] receives the fields of RFC 5424 and the entry as JSON", () =>
        Effect.gen(function*() {
          const { server, sink } = yield* setUp(protocol)
          yield* sink.write([record(7), record(8, {}, "warning"), record(9, { key: "ä\u2028€😀" }, "error")])
          yield* sink.flush
          yield* eventually(() => server.messages().length === 3)
          const [first, ...others] = server.messages()
          assert.deepStrictEqual(first, {
            pri: String(16 * 8 + 6),
            timestamp: "2023-11-14T22:13:20.123Z",
            hostname: hostname(),
            appName: "keelson",
            procId: String(process.pid),
            msgId: "audit",
            structuredData: "[meta sequenceId=\"7\"]",
            message: "{\"sequence\":7}"
          })
          assert.deepStrictEqual(others.map(({ pri }) => pri), ["132", "131"])
          assert.deepStrictEqual(JSON.parse(others[1]!.message), { sequence: 9, key: "ä\u2028€😀" })
        }))

      it.live("[S4-44] [R38] receives one message for each entry, whatever it holds and however long it is", () =>
        Effect.gen(function*() {
          const { server, sink } = yield* setUp(protocol, { facility: "auth", appName: "gateway", hostname: "host-1" })
          const forged = "<134>1 2026-11-30T21:05:59.123Z evil evil 1 audit - {\"sequence\":666}"
          const hostile = [
            "\n",
            "\r\n",
            "\u0000",
            `\n${forged}`,
            `\u0000${forged}`,
            `57 ${forged}`,
            "]",
            "\" x=\"",
            "\\"
          ]
          yield* sink.write(hostile.map((text, sequence) => record(sequence + 1, { key: text })))
          // Written by someone who does not escape: still one message.
          yield* sink.write([{ ...record(20), line: `{"sequence":20,"key":"a\n<134>1 - - - - - -\u0000"}` }])
          yield* sink.write([record(21, { key: "k".repeat(50_000), user: "u".repeat(9000) }), record(22)])
          yield* eventually(() => server.messages().length >= hostile.length + 3)
          const messages = server.messages()
          assert.deepStrictEqual(sent(server), [...range(1, hostile.length), 20, 21, 22])
          assert.deepStrictEqual(
            new Set(messages.map((one) => `${one.hostname} ${one.appName}`)),
            new Set(["host-1 gateway"])
          )
          assert.deepStrictEqual(
            messages.slice(0, hostile.length).map(({ message }) => JSON.parse(message).key),
            hostile
          )
          const { key, user } = JSON.parse(messages.at(-2)!.message)
          assert.match(key, /^k{3000,}\[TRUNCATED\]$/)
          assert.match(user, /^u{3000,}\[TRUNCATED\]$/)
        }))

      it.live("[S4-44] a server that is down fails with AUDIT_SYSLOG_FAILED, and gets the entries when it is up", () =>
        Effect.gen(function*() {
          const { server, sink } = yield* setUp(protocol)
          yield* sink.write(records(1, 3))
          yield* eventually(() => server.messages().length === 3)
          yield* server.stop
          // UDP learns it from an answer to what it sent, which is sent again later.
          const failures = yield* Effect.repeat(failedAt(Effect.delay(sink.write([record(4)]), "10 millis")), {
            until: (failure) => failure !== "none"
          })
          assert.match(failures, /^Syslog (connect|write|backoff)$/)
          yield* server.start
          yield* persistently(sink, records(4, 3))
          yield* eventually(() => range(1, 6).every((sequence) => sent(server).includes(sequence)))
        }))

      it.live("[S4-44] nothing is lost over a restart in the middle", () =>
        Effect.gen(function*() {
          const { server, sink } = yield* setUp(protocol)
          const count = 60
          const writer = yield* Effect.forkChild(Effect.forEach(
            range(0, count),
            (batch) => Effect.andThen(persistently(sink, records(1 + batch * 20, 20)), Effect.sleep("5 millis")),
            { discard: true }
          ))
          yield* eventually(() => server.messages().length > 100)
          yield* server.stop
          yield* server.start
          yield* Fiber.join(writer)
          // Over UDP an answer that nobody listens comes after messages; the next ones bring those again.
          let last = count * 20
          while (
            !range(1, count * 20).every((sequence) => sent(server).includes(sequence)) && last < count * 20 + 200
          ) {
            yield* persistently(sink, [record(++last)])
            yield* Effect.sleep("50 millis")
          }
          const found = new Set(sent(server))
          assert.deepStrictEqual(range(1, count * 20).filter((sequence) => !found.has(sequence)), [])
          assert.isFalse(found.has(undefined))
        }))
    })
  }

  describe("connection", () => {
    it.live("[S4-44] fails at once while a delay passes after a failure, with one error for all callers", () =>
      Effect.gen(function*() {
        const server = yield* makeSyslogServer()
        const sink = yield* NodeSyslogSink.make({ host: "127.0.0.1", port: server.tcpPort, protocol: "tcp" })
        const first = yield* Effect.flip(sink.write([record(1, { secret: "hunter2" })]))
        assert.deepStrictEqual(first.reason, { _tag: "Syslog", operation: "connect" })
        assert.strictEqual(first.code, "AUDIT_SYSLOG_FAILED")
        assert.notInclude(inspect(first, { depth: 20 }), "hunter2")
        const second = yield* Effect.flip(sink.write([record(1)]))
        assert.deepStrictEqual(second.reason, { _tag: "Syslog", operation: "backoff" })
        assert.strictEqual(yield* Effect.flip(sink.write([record(1)])), second)
      }))

    it.effect("[S4-44] delays between attempts to connect grow to 30 seconds", () =>
      Effect.gen(function*() {
        let attempts = 0
        const server = createServer((socket) => {
          attempts++
          socket.resetAndDestroy()
        })
        const port = yield* listen(server)
        const sink = yield* NodeSyslogSink.make({ host: "127.0.0.1", port, protocol: "tls" })
        const delays: Array<number> = []
        for (let attempt = 1; attempt <= 10; attempt++) {
          let waited = 0
          while ((yield* failedAt(sink.write([record(1)]))) === "Syslog backoff") {
            yield* TestClock.adjust("100 millis")
            waited += 100
          }
          delays.push(waited)
          assert.strictEqual(attempts, attempt)
        }
        assert.strictEqual(delays[0], 0)
        for (const [index, delay] of delays.entries()) {
          const most = Math.min(30_000, 200 * 2 ** (index - 1))
          if (index > 0) assert.isTrue(delay > most / 2 - 100 && delay < most + 200, `${delay} of ${most}`)
        }
      }))

    it.effect("[S4-44] a server that does not answer fails within the timeout, and the connection is closed", () =>
      Effect.gen(function*() {
        const silent = yield* silentOrigin
        const sink = yield* NodeSyslogSink.make({
          host: "127.0.0.1",
          port: silent.port,
          protocol: "tls",
          timeout: "2 seconds"
        })
        const writing = yield* Effect.forkChild(Effect.flip(sink.write([record(1)])), { startImmediately: true })
        yield* eventually(() => silent.open() === 1)
        yield* TestClock.adjust("1999 millis")
        assert.isUndefined(writing.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        const error: AuditError.AuditError = yield* Fiber.join(writing)
        assert.deepStrictEqual(error.reason, { _tag: "Syslog", operation: "connect" })
        yield* eventually(() => silent.open() === 0)
      }))

    it.effect("[S4-44] a server that stops reading fails within the timeout, and no half message is followed by another", () =>
      Effect.gen(function*() {
        const received: Array<Buffer> = []
        const sockets: Array<Socket> = []
        const server = createServer((socket) => {
          sockets.push(socket)
          socket.on("error", () => {})
          if (sockets.length === 1) socket.pause()
          else socket.on("data", (data) => received.push(data))
        })
        const port = yield* listen(server)
        const options = { host: "127.0.0.1", port, protocol: "tcp", timeout: "2 seconds" } as const
        const sink = yield* NodeSyslogSink.make(options)
        // More than the buffers of the system take.
        const many = records(1, 20_000, { text: "x".repeat(1000) })
        const writing = yield* Effect.forkChild(Effect.flip(sink.write(many)), { startImmediately: true })
        yield* eventually(() => sockets.length === 1)
        yield* Effect.repeat(
          Effect.andThen(TestClock.adjust("1 second"), Effect.sync(() => writing.pollUnsafe())),
          { until: (exit) => exit !== undefined }
        )
        assert.deepStrictEqual((yield* Fiber.join(writing)).reason, { _tag: "Syslog", operation: "write" })
        yield* TestClock.adjust("1 second")
        yield* sink.write([record(1)])
        yield* eventually(() => received.length > 0)
        assert.match(
          Buffer.concat(received).toString(),
          /^\d+ <134>1 \S+ \S+ keelson \d+ audit \[meta sequenceId="1"\] \{"sequence":1\}$/
        )
      }))

    it.live.skipIf(tlsSkipReason !== undefined)(
      "[S4-44] [R26] a server whose certificate is not trusted receives nothing",
      () =>
        Effect.gen(function*() {
          const server = yield* syslogServer({ tls })
          const sink = yield* NodeSyslogSink.make({
            host: "localhost",
            port: server.tcpPort,
            protocol: "tls",
            timeout: "1 minute"
          })
          const error = yield* Effect.flip(sink.write([record(1)]))
          assert.strictEqual(error.code, "AUDIT_SYSLOG_FAILED")
          assert.lengthOf(server.messages(), 0)
        })
    )

    it.effect("[S4-40] refuses options out of their bounds, and files that are no certificates", () =>
      Effect.gen(function*() {
        const dir = yield* temporaryDirectory
        const empty = join(dir, "empty.pem")
        const broken = join(dir, "broken.pem")
        writeFileSync(empty, "")
        writeFileSync(broken, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        const bad: ReadonlyArray<readonly [Partial<AuditOptions.SyslogOptions>, string]> = [
          [{ port: 0 }, "port"],
          [{ appName: "two words" }, "appName"],
          [{ hostname: "a\nb" }, "hostname"],
          [{ maxMessageSize: 479 }, "maxMessageSize"],
          [{ caFile: empty }, "caFile"],
          [{ caFile: broken }, "caFile"]
        ]
        for (const [options, path] of bad) {
          const error = yield* Effect.flip(NodeSyslogSink.make({ host: "localhost", ...options }))
          assert.deepStrictEqual([error.code, error.details["path"]], ["INVALID_CONFIG", path])
        }
        const missing = yield* Effect.flip(NodeSyslogSink.make({ host: "localhost", caFile: join(dir, "missing.pem") }))
        assert.strictEqual(missing.code, "KEY_FILE_UNREADABLE")
      }))
  })
})

const listen = (server: ReturnType<typeof createServer>) =>
  Effect.acquireRelease(
    Effect.callback<number>((resume) => {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
      })
    }),
    () => Effect.sync(() => server.close())
  )
