/**
 * Options of audit logs: checked data from code, a file or the environment.
 */
import * as Configuration from "@keelson/core/Configuration"
import type { ConfigurationError } from "@keelson/core/KeelsonError"
import * as Field from "@keelson/core/unstable/Field"
import * as ByteSize from "effect/ByteSize"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { withOlderNames } from "./internal/options/olderNames.ts"

/** The options of the buffer between requests and a sink. Every one may be left out. */
export interface BufferOptions {
  /** Entries below this level are not recorded. `warning` is a status of 400 and more, `error` one of 500 and more. Default info. */
  readonly level?: "info" | "warning" | "error" | undefined
  /** What the entries that wait for one sink may take in memory. From 64 KiB to 1 GiB. Default 1 MiB. */
  readonly bufferSize?: Field.SizeInput | undefined
  /**
   * What happens to an entry when the buffer of a sink is full: `drop` counts it as lost at once, `wait` first waits for room, for
   * at most `maxWait`. Default drop.
   */
  readonly overflow?: "wait" | "drop" | undefined
  /** How long `record` may wait with `overflow: "wait"`. From 1 milli to 1 minute. Default 1 second. */
  readonly maxWait?: Configuration.DurationInput | undefined
  /** How long entries wait for others before they are written. A crash loses at most these. From 1 milli to 1 minute. Default 100 millis. */
  readonly flushInterval?: Configuration.DurationInput | undefined
  /** How long the end of the program may wait until all entries are written. From 1 milli to 5 minutes. Default 5 seconds. */
  readonly closeTimeout?: Configuration.DurationInput | undefined
}

/** The options of the file. */
export interface FileOptions {
  /** The path of the file. Its directory is made if it does not exist. From 1 to 4096 characters. Required. */
  readonly path: string
  /** The size at which the file is rotated. From 64 KiB to 64 GiB. Default 50 MiB. */
  readonly maxSize?: Field.SizeInput | undefined
  /** How many rotated files are kept. From 1 to 10000. Default 5. */
  readonly keep?: number | undefined
  /** When the file is rotated: `size` at `maxSize`, `daily` also at midnight (UTC). Default size. */
  readonly rotation?: "size" | "daily" | undefined
}

/** The options of syslog. */
export interface SyslogOptions {
  /** The name or address of the server. From 1 to 255 characters. Required. */
  readonly host: string
  /** The port of the server. Without it, 514, and 6514 for `tls`. From 1 to 65535. Default none. */
  readonly port?: number | undefined
  /** How messages are sent: `udp` (RFC 5426), `tcp` (RFC 6587, octet counting) or `tls` (RFC 5425). Default udp. */
  readonly protocol?: "udp" | "tcp" | "tls" | undefined
  /** The facility of the messages (RFC 5424, 6.2.1). Default local0. */
  readonly facility?: Facility | undefined
  /**
   * The name of the application in the messages (RFC 5424, 6.2.5). From 1 to 48 characters of printable ASCII without spaces. Default
   * keelson.
   */
  readonly appName?: string | undefined
  /**
   * The name of this host in the messages. Without it, that of the system. From 1 to 255 characters of printable ASCII without
   * spaces. Default none.
   */
  readonly hostname?: string | undefined
  /**
   * The largest message; a longer entry is shortened. Not above the limit of the server, which may split longer messages: that of
   * rsyslog is 8096 bytes unless configured. From 480 bytes to 64000 bytes. Default 8000 bytes.
   */
  readonly maxMessageSize?: Field.SizeInput | undefined
  /** A PEM file with the certificate authorities for `tls`. Without it, those of Node. From 1 to 4096 characters. Default none. */
  readonly caFile?: string | undefined
  /** How long connecting, and sending a batch, may each take. From 10 millis to 1 minute. Default 5 seconds. */
  readonly timeout?: Configuration.DurationInput | undefined
}

/** The options of batches of entries that are kept on disk until an object store has them. Every one may be left out. */
export interface BatchOptions {
  /** What the keys of all batches begin with, as `audit/`. From 1 to 512 characters. Default none. */
  readonly prefix?: string | undefined
  /** How often a batch is stored. From 1 second to 24 hours. Default 1 minute. */
  readonly interval?: Configuration.DurationInput | undefined
  /** The size at which a batch is stored before the interval ends. From 64 KiB to 1 GiB. Default 16 MiB. */
  readonly maxBatchSize?: Field.SizeInput | undefined
  /** The directory in which batches are kept until they are stored. It belongs to one process. From 1 to 4096 characters. Default /var/lib/keelson/audit. */
  readonly spoolDir?: string | undefined
  /** What all kept batches may take on the disk. From 1 MiB to 1024 GiB. Default 1 GiB. */
  readonly maxSpoolSize?: Field.SizeInput | undefined
  /** How long storing one batch may take. From 100 millis to 10 minutes. Default 30 seconds. */
  readonly timeout?: Configuration.DurationInput | undefined
}

/** The options of the object store. */
export interface S3Options extends BatchOptions {
  /** The bucket. From 3 to 63 characters. Required. */
  readonly bucket: string
  /** The region of the bucket. From 1 to 64 characters. Default us-east-1. */
  readonly region?: string | undefined
  /** The URL of the store. Without it, that of AWS in the region. From 1 to 2048 characters. Default none. */
  readonly endpoint?: string | undefined
}

/** The facilities of syslog that applications use (RFC 5424, 6.2.1). */
export const Facility = Schema.Literals([
  "user",
  "daemon",
  "auth",
  "authpriv",
  "audit",
  "local0",
  "local1",
  "local2",
  "local3",
  "local4",
  "local5",
  "local6",
  "local7"
])
export type Facility = typeof Facility.Type

const bufferFields = {
  level: Field.defaulted(Schema.Literals(["info", "warning", "error"]), "info"),
  bufferSize: Field.defaulted(Field.size("64 KiB", "1 GiB"), ByteSize.mebibytes(1)),
  overflow: Field.defaulted(Schema.Literals(["wait", "drop"]), "drop"),
  maxWait: Field.defaulted(Field.duration("1 millis", "1 minute"), Duration.seconds(1)),
  flushInterval: Field.defaulted(Field.duration("1 millis", "1 minute"), Duration.millis(100)),
  closeTimeout: Field.defaulted(Field.duration("1 millis", "5 minutes"), Duration.seconds(5))
}

/** Checked options of the buffer. */
export const Buffer = Schema.Struct(bufferFields)
export type Buffer = typeof Buffer.Type

/** Checked options of the file. */
export const File = Schema.Struct({
  path: Field.text(1, 4096),
  maxSize: Field.defaulted(Field.size("64 KiB", "64 GiB"), ByteSize.mebibytes(50)),
  keep: Field.defaulted(Field.int(1, 10_000), 5),
  rotation: Field.defaulted(Schema.Literals(["size", "daily"]), "size")
})
export type File = typeof File.Type

const printable = (maximum: number) =>
  Schema.String.check(
    Schema.isPattern(new RegExp(`^[\\x21-\\x7e]{1,${maximum}}$`), {
      expected: `text from 1 to ${maximum} characters of printable ASCII without spaces`
    })
  )

/** Checked options of syslog. */
export const Syslog = Schema.Struct({
  host: Field.text(1, 255),
  port: Schema.optionalKey(Field.int(1, 65_535)),
  protocol: Field.defaulted(Schema.Literals(["udp", "tcp", "tls"]), "udp"),
  facility: Field.defaulted(Facility, "local0"),
  appName: Field.defaulted(printable(48), "keelson"),
  hostname: Schema.optionalKey(printable(255)),
  maxMessageSize: Field.defaulted(Field.size(480, 64_000), ByteSize.bytes(8000)),
  caFile: Schema.optionalKey(Field.text(1, 4096)),
  timeout: Field.defaulted(Field.duration("10 millis", "1 minute"), Duration.seconds(5))
})
export type Syslog = typeof Syslog.Type

/** Checked options of batches. */
export const Batches = Schema.Struct({
  prefix: Schema.optionalKey(Field.text(1, 512)),
  interval: Field.defaulted(Field.duration("1 second", "24 hours"), Duration.minutes(1)),
  maxBatchSize: Field.defaulted(Field.size("64 KiB", "1 GiB"), ByteSize.mebibytes(16)),
  spoolDir: Field.defaulted(Field.text(1, 4096), "/var/lib/keelson/audit"),
  maxSpoolSize: Field.defaulted(Field.size("1 MiB", "1024 GiB"), ByteSize.gibibytes(1)),
  timeout: Field.defaulted(Field.duration("100 millis", "10 minutes"), Duration.seconds(30))
})
export type Batches = typeof Batches.Type

/** Checked options of the object store. */
export const S3 = Schema.Struct({
  bucket: Field.text(3, 63),
  region: Field.defaulted(Field.text(1, 64), "us-east-1"),
  endpoint: Schema.optionalKey(Field.text(1, 2048)),
  ...Batches.fields
})
export type S3 = typeof S3.Type

/** The options of an audit log. Every one may be left out. */
export interface Options extends BufferOptions {
  /** Whether there is an audit log at all. Nothing else is checked if not. Default false. */
  readonly enabled?: boolean | undefined
  /** Where entries are written; each needs its section. From 1 to 3 of file, syslog and s3, each at most once. Default file. */
  readonly outputs?: ReadonlyArray<"file" | "syslog" | "s3"> | undefined
  /** The options of the file. Default none. */
  readonly file?: FileOptions | undefined
  /** The options of syslog. Default none. */
  readonly syslog?: SyslogOptions | undefined
  /** The options of the object store. Default none. */
  readonly s3?: S3Options | undefined
}

const outputs = ["file", "syslog", "s3"] as const

/** A destination of an audit log, by name. */
export type OutputName = (typeof outputs)[number]

const expectedOutputs = "a list of 1 to 3 of file, syslog and s3, each at most once"

/** Checked options of an audit log. */
export const AuditOptions = Schema.Struct({
  enabled: Field.defaulted(Schema.Boolean, false),
  outputs: Field.defaulted(
    Schema.Array(Schema.Literals(outputs)).check(
      Schema.makeFilter((list: ReadonlyArray<OutputName>) => list.length > 0 && new Set(list).size === list.length, {
        expected: expectedOutputs
      })
    ),
    ["file"]
  ),
  ...bufferFields,
  file: Schema.optionalKey(File),
  syslog: Schema.optionalKey(Syslog),
  s3: Schema.optionalKey(S3)
}).check(
  // A section of an output that is not used is a mistake: its author expects it to take effect.
  Schema.makeFilter((o: { readonly outputs: ReadonlyArray<OutputName> } & { readonly [K in OutputName]?: unknown }) => {
    const unused = outputs.find((name) => o[name] !== undefined && !o.outputs.includes(name))
    if (unused !== undefined) return { path: [unused], issue: "left out, or listed in outputs" }
    const missing = o.outputs.find((name) => o[name] === undefined)
    return missing === undefined || { path: [missing], issue: "set, since outputs lists it" }
  })
)
export type AuditOptions = typeof AuditOptions.Type

/** The same options, which may also have the names of older configurations; the guide lists these. */
export const WithOlderNames = withOlderNames(AuditOptions, { File, Syslog, S3 })

const unchecked = Schema.optionalKey(Schema.Unknown)

const Disabled = Schema.Struct({
  enabled: Field.defaulted(Schema.Literal(false), false),
  ...Object.fromEntries(
    Object.keys(WithOlderNames.from.fields).flatMap((name) => name === "enabled" ? [] : [[name, unchecked]])
  )
})

const off: AuditOptions = { enabled: false, outputs: ["file"], ...Schema.decodeSync(Buffer)({}) }

/** The options of a disabled log are not checked, beyond their names. */
const unlessOff = (
  disabled: Effect.Effect<unknown, ConfigurationError>,
  enabled: Effect.Effect<AuditOptions, ConfigurationError>
): Effect.Effect<AuditOptions, ConfigurationError> =>
  Effect.matchEffect(disabled, { onSuccess: () => Effect.succeed(off), onFailure: () => enabled })

/**
 * Checks options given in code, as `Options`. Fails with `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 *
 * **Example** (A file)
 *
 * ```ts import.meta.vitest
 * import { AuditOptions } from "@keelson/audit"
 * import { Effect } from "effect"
 *
 * const options = { enabled: true, file: { path: "/var/log/app/audit.jsonl" } }
 * const { file } = await Effect.runPromise(AuditOptions.decode(options))
 * file?.keep // => 5
 * ```
 */
export const decode = (input: unknown): Effect.Effect<AuditOptions, ConfigurationError> =>
  unlessOff(Configuration.decode(Disabled)(input), Configuration.decode(WithOlderNames)(input))

/** The same from JSON or YAML; see `Configuration.decodeText`. */
export const decodeText = (input: Configuration.Text): Effect.Effect<AuditOptions, ConfigurationError> =>
  unlessOff(Configuration.decodeText(Disabled, input), Configuration.decodeText(WithOlderNames, input))

/** The same from the environment below a path; see `Configuration.fromEnvironment`. */
export const config = (path: Configuration.Path): Effect.Effect<AuditOptions, ConfigurationError> =>
  unlessOff(Configuration.fromEnvironment(Disabled, path), Configuration.fromEnvironment(WithOlderNames, path))
