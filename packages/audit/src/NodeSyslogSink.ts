/**
 * Sends audit entries to a syslog server (RFC 5424) over UDP, TCP or TLS.
 */
import * as Configuration from "@keelson/core/Configuration"
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { X509Certificate } from "node:crypto"
import { readFile } from "node:fs/promises"
import { hostname } from "node:os"
import { pid } from "node:process"
import * as AuditOptions from "./AuditOptions.ts"
import type { AuditSink } from "./AuditSink.ts"
import { formatter } from "./internal/syslog/message.ts"
import { SyslogClient } from "./internal/syslog/NodeSyslogClient.ts"

const decode = Configuration.decode(AuditOptions.Syslog)

const certificate = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g

/** The certificate authorities of a file, checked at start: Node skips what it cannot parse. */
const authorities = Effect.fnUntraced(function*(
  path: string
): Effect.fn.Return<string, KeelsonError.ConfigurationError> {
  const pem = yield* Effect.tryPromise({
    try: () => readFile(path, "utf8"),
    catch: (cause) =>
      new KeelsonError.ConfigurationError({
        code: "KEY_FILE_UNREADABLE",
        message: `The file of certificate authorities cannot be read: ${path}`,
        details: { path },
        cause
      })
  })
  const certificates = pem.match(certificate) ?? []
  const malformed = () => InvalidConfig.option("caFile", "a PEM file of certificates, at least one")
  if (certificates.length === 0) return yield* malformed()
  return yield* Effect.try({
    try: () => certificates.map((one) => new X509Certificate(one).toString()).join(""),
    catch: malformed
  })
})

/**
 * Makes a sink that sends a message of RFC 5424 for each entry: the facility, the severity of its level, its time, this host, the
 * application, the process id, the type `audit`, its number as `sequenceId` (7.3.1), and the entry as JSON.
 *
 * Messages are ASCII: other characters are JSON escapes, so that no entry can forge another one. An entry that is longer than
 * `maxMessageSize` is shortened, never split: its longest texts are cut and end in `[TRUNCATED]`.
 *
 * Over TCP and TLS messages are counted in octets (RFC 6587, 3.4.1). After a failure it connects again with a growing delay, from
 * 0.2 to 30 seconds; until then `write` fails at once. Syslog has no acknowledgement: what was sent within 5 seconds before a
 * connection broke, at most 1 MiB, is sent again over the next one, so a server may get it twice, with the same `sequenceId`. UDP
 * loses what the network or a busy server drops.
 *
 * The server need not be available at start. Fails with `ConfigurationError` (`INVALID_CONFIG`, `KEY_FILE_UNREADABLE`). `write`
 * fails with `AuditError` (`AUDIT_SYSLOG_FAILED`) within `timeout` for connecting and `timeout` for sending.
 *
 * **Example** (A server that is not there)
 *
 * ```ts import.meta.vitest
 * import type { AuditSink } from "@keelson/audit"
 * import * as NodeSyslogSink from "@keelson/audit/NodeSyslogSink"
 * import { Effect } from "effect"
 *
 * const record: AuditSink.AuditRecord = { line: "{\"http_method\":\"GET\"}", level: "info", timestamp: 0, sequence: 1 }
 * const program = Effect.flatMap(
 *   NodeSyslogSink.make({ host: "127.0.0.1", port: 1, protocol: "tcp" }),
 *   (sink) => Effect.flip(sink.write([record]))
 * )
 * const { code } = await Effect.runPromise(Effect.scoped(program))
 * code // => "AUDIT_SYSLOG_FAILED"
 * ```
 *
 * @see RFC 5424, RFC 5425, RFC 5426, RFC 6587
 */
export const make = Effect.fnUntraced(function*(
  options: AuditOptions.SyslogOptions
): Effect.fn.Return<AuditSink, KeelsonError.ConfigurationError, Scope.Scope> {
  const { appName, caFile, facility, host, maxMessageSize, port, protocol, timeout, ...checked } = yield* decode(
    options
  )
  const ca = caFile === undefined ? undefined : yield* authorities(caFile)
  const format = formatter({
    facility,
    appName,
    hostname: checked.hostname ?? hostname(),
    processId: String(pid),
    maxSize: Number(maxMessageSize)
  })
  const transport = { host, port: port ?? (protocol === "tls" ? 6514 : 514), protocol, ca }
  const client = new SyslogClient(transport, timeout, yield* Clock.Clock)
  yield* Effect.addFinalizer(() => client.close)
  return {
    name: "syslog",
    write: (records) => records.length === 0 ? Effect.void : Effect.suspend(() => client.send(records.map(format))),
    flush: Effect.void
  }
})
