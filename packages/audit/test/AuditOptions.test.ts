import { describe, it } from "@effect/vitest"
import { deepStrictEqual, strictEqual } from "@effect/vitest/utils"
import { AuditOptions } from "@keelson/audit"
import * as ByteSize from "effect/ByteSize"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

const yaml = (text: string) => AuditOptions.decodeText({ format: "yaml", text })

const environment = (variables: Readonly<Record<string, string>>) =>
  Effect.provide(AuditOptions.config(["audit"]), ConfigProvider.layer(ConfigProvider.fromEnv({ env: variables })))

const issueOf = (options: unknown) => Effect.map(Effect.flip(AuditOptions.decode(options)), ({ message }) => message)

describe("AuditOptions", () => {
  it.effect("[S4-40] is off by default, and has the defaults of the row", () =>
    Effect.gen(function*() {
      const off = yield* AuditOptions.decode({})
      strictEqual(off.enabled, false)
      const on = yield* AuditOptions.decode({
        enabled: true,
        outputs: ["file", "syslog", "s3"],
        file: { path: "/var/log/audit.jsonl" },
        syslog: { host: "localhost" },
        s3: { bucket: "audit-logs" }
      })
      strictEqual(on.level, "info")
      deepStrictEqual(on.bufferSize, ByteSize.mebibytes(1))
      deepStrictEqual(on.file, {
        path: "/var/log/audit.jsonl",
        maxSize: ByteSize.mebibytes(50),
        keep: 5,
        rotation: "size"
      })
      strictEqual(on.syslog?.protocol, "udp")
      strictEqual(on.syslog?.facility, "local0")
      deepStrictEqual(on.s3?.interval, Duration.minutes(1))
    }))

  it.effect("[S4-40] reads YAML and the environment", () =>
    Effect.gen(function*() {
      const fromFile = yield* yaml([
        "enabled: true",
        "outputs: [file, syslog]",
        "level: warning",
        "bufferSize: 2 MiB",
        "overflow: wait",
        "file: { path: /var/log/audit.jsonl, maxSize: 10 MiB, keep: 3, rotation: daily }",
        "syslog: { host: logs.example, port: 1514, protocol: tcp, facility: local3 }"
      ].join("\n"))
      const fromEnvironment = yield* environment({
        AUDIT_ENABLED: "true",
        AUDIT_OUTPUTS: "file,syslog",
        AUDIT_LEVEL: "warning",
        AUDIT_BUFFER_SIZE: "2 MiB",
        AUDIT_OVERFLOW: "wait",
        AUDIT_FILE_PATH: "/var/log/audit.jsonl",
        AUDIT_FILE_MAX_SIZE: "10 MiB",
        AUDIT_FILE_KEEP: "3",
        AUDIT_FILE_ROTATION: "daily",
        AUDIT_SYSLOG_HOST: "logs.example",
        AUDIT_SYSLOG_PORT: "1514",
        AUDIT_SYSLOG_PROTOCOL: "tcp",
        AUDIT_SYSLOG_FACILITY: "local3"
      })
      deepStrictEqual(fromFile, fromEnvironment)
      strictEqual(fromFile.file?.keep, 3)
      strictEqual(fromFile.syslog?.port, 1514)
    }))

  it.effect("[S4-40][S4-52] reads the names of older configurations, from YAML and the environment", () =>
    Effect.gen(function*() {
      const older = yield* yaml([
        "enabled: true",
        "outputs: [file, syslog, s3]",
        "log_level: warn",
        "file: { path: /var/log/audit.log, max_file_size_mb: 100, max_backup_files: 10, rotation_policy: daily, buffer_size: 2097152 }",
        "syslog: { address: \"localhost:1514\", protocol: tcp, facility: local3 }",
        "s3_export: { bucket: audit-logs, region: eu-west-1, path_prefix: logs/, export_interval_seconds: 300 }"
      ].join("\n"))
      const now = yield* AuditOptions.decode({
        enabled: true,
        outputs: ["file", "syslog", "s3"],
        level: "warning",
        bufferSize: "2 MiB",
        file: { path: "/var/log/audit.log", maxSize: "100 MiB", keep: 10, rotation: "daily" },
        syslog: { host: "localhost", port: 1514, protocol: "tcp", facility: "local3" },
        s3: { bucket: "audit-logs", region: "eu-west-1", prefix: "logs/", interval: "5 minutes" }
      })
      deepStrictEqual(older, now)
      const variables = yield* environment({
        AUDIT_ENABLED: "true",
        AUDIT_OUTPUTS: "file,syslog,s3",
        AUDIT_LOG_LEVEL: "warn",
        AUDIT_FILE_PATH: "/var/log/audit.log",
        AUDIT_FILE_MAX_FILE_SIZE_MB: "100",
        AUDIT_FILE_MAX_BACKUP_FILES: "10",
        AUDIT_FILE_ROTATION_POLICY: "daily",
        AUDIT_FILE_BUFFER_SIZE: "2097152",
        AUDIT_SYSLOG_ADDRESS: "localhost:1514",
        AUDIT_SYSLOG_PROTOCOL: "tcp",
        AUDIT_SYSLOG_FACILITY: "local3",
        AUDIT_S3_EXPORT_BUCKET: "audit-logs",
        AUDIT_S3_EXPORT_REGION: "eu-west-1",
        AUDIT_S3_EXPORT_PATH_PREFIX: "logs/",
        AUDIT_S3_EXPORT_EXPORT_INTERVAL_SECONDS: "300"
      })
      deepStrictEqual(variables, now)
      const unbuffered = yield* AuditOptions.decode({ enabled: true, file: { path: "a", buffer_size: 0 } })
      deepStrictEqual(unbuffered.bufferSize, ByteSize.kibibytes(64))
      const v6 = yield* AuditOptions.decode({ enabled: true, outputs: ["syslog"], syslog: { address: "[::1]:514" } })
      deepStrictEqual([v6.syslog?.host, v6.syslog?.port], ["::1", 514])
    }))

  it.effect("[S4-40] names what is wrong: an option set twice, a section that is missing or not used, a bound", () =>
    Effect.gen(function*() {
      const file = { path: "audit.jsonl" }
      strictEqual(
        yield* issueOf({ enabled: true, file: { ...file, maxSize: "1 MiB", max_file_size_mb: 1 } }),
        "Invalid configuration: file.max_file_size_mb must be left out, since file.maxSize sets the same option"
      )
      strictEqual(
        yield* issueOf({ enabled: true, file, syslog: { host: "a" } }),
        "Invalid configuration: syslog must be left out, or listed in outputs"
      )
      strictEqual(
        yield* issueOf({ enabled: true, outputs: ["syslog"] }),
        "Invalid configuration: syslog must be set, since outputs lists it"
      )
      strictEqual(
        yield* issueOf({ enabled: true, file: { ...file, keep: 0 } }),
        "Invalid configuration: file.keep must be a whole number from 1 to 10000"
      )
      strictEqual(
        yield* issueOf({ enabled: true, file: {} }),
        "Invalid configuration: file.path must be text from 1 to 4096 characters"
      )
      strictEqual(
        yield* issueOf({ enabled: true, file: { ...file, pth: 1 } }),
        "Invalid configuration: file.pth is not an option; did you mean path?"
      )
    }))

  it.effect("[S4-40] checks nothing but the names of a log that is off", () =>
    Effect.gen(function*() {
      const off = yield* AuditOptions.decode({ enabled: false, s3_export: { bucket: 1 }, file: {} })
      strictEqual(off.enabled, false)
      strictEqual(yield* issueOf({ fle: {} }), "Invalid configuration: fle is not an option; did you mean file?")
    }))
})
