import * as Field from "@keelson/core/unstable/Field"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as Struct from "effect/Struct"
import type * as AuditOptions from "../../AuditOptions.ts"

interface Sections {
  readonly File: typeof AuditOptions.File
  readonly Syslog: typeof AuditOptions.Syslog
  readonly S3: typeof AuditOptions.S3
}

/** Every name of an older configuration, and the option that it sets. */
const names = [
  [["log_level"], "level"],
  [["file", "max_file_size_mb"], "file.maxSize"],
  [["file", "max_backup_files"], "file.keep"],
  [["file", "rotation_policy"], "file.rotation"],
  [["file", "buffer_size"], "bufferSize"],
  [["syslog", "address"], "syslog.host"],
  [["s3_export"], "s3"],
  [["s3_export", "path_prefix"], "s3.prefix"],
  [["s3_export", "export_interval_seconds"], "s3.interval"]
] as const

type Tree = { readonly [name: string]: unknown }

const isTree = (value: unknown): value is Tree => typeof value === "object" && value !== null && !Array.isArray(value)

const read = (tree: unknown, path: ReadonlyArray<string>): unknown =>
  path.reduce((node: unknown, name) => isTree(node) && Object.hasOwn(node, name) ? node[name] : undefined, tree)

/** The older name of an option that is also set by its own name: one of the two values would be lost. */
const setTwice = (tree: unknown) =>
  names.find(([older, name]) => read(tree, older) !== undefined && read(tree, name.split(".")) !== undefined)

/** `host:port`, with brackets around an IPv6 address. */
const addressOf = (address: string): { readonly host: string; readonly port?: number } => {
  const [, host, port] = /^(\[[^\]]*\]|[^:]*):(\d{1,5})$/.exec(address) ?? []
  const bare = (host ?? address).replace(/^\[(.*)\]$/, "$1")
  return port === undefined ? { host: bare } : { host: bare, port: Number(port) }
}

/** The smallest buffer. Older configurations could switch the buffer off with 0. */
const minBuffer = 65_536

const levels = { debug: "info", warn: "warning" } as const

/** The fields as they are written. Whether one is required is checked with the names of now. */
const written = <Fields extends Schema.Struct.Fields>(fields: Fields) =>
  Struct.map(Struct.map(fields, Schema.toEncoded), Schema.optionalKey)

/** A schema of options that also accepts the names of older configurations, and decodes them to the names of now. */
export const withOlderNames = (options: typeof AuditOptions.AuditOptions, { File, S3, Syslog }: Sections) => {
  const file = Schema.Struct({
    ...written(File.fields),
    max_file_size_mb: Schema.optionalKey(Field.int(1, 65_536)),
    max_backup_files: Schema.optionalKey(Field.int(1, 10_000)),
    rotation_policy: Schema.optionalKey(Schema.Literals(["size", "daily"])),
    buffer_size: Schema.optionalKey(Field.int(0, 1_073_741_824))
  })
  const syslog = Schema.Struct({
    ...written(Syslog.fields),
    address: Schema.optionalKey(Field.text(1, 300))
  })
  const { interval: _interval, prefix: _prefix, ...s3Fields } = S3.fields
  const s3 = Schema.Struct(written(S3.fields))
  const older = Schema.Struct({
    ...written(s3Fields),
    path_prefix: Schema.optionalKey(Schema.String),
    export_interval_seconds: Schema.optionalKey(Field.int(1, 86_400))
  })
  const from = Schema.Struct({
    ...written(options.fields),
    log_level: Schema.optionalKey(Schema.Literals(["debug", "info", "warn", "error"])),
    file: Schema.optionalKey(file),
    syslog: Schema.optionalKey(syslog),
    s3: Schema.optionalKey(s3),
    s3_export: Schema.optionalKey(older)
  })
  type From = typeof from.Type
  type To = typeof options.Encoded

  const fileOf = (
    { buffer_size: _, max_backup_files, max_file_size_mb, path = "", rotation_policy, ...rest }: typeof file.Type
  ): To["file"] & {} => ({
    ...rest,
    path,
    ...(max_file_size_mb === undefined ? undefined : { maxSize: `${max_file_size_mb} MiB` }),
    ...(max_backup_files === undefined ? undefined : { keep: max_backup_files }),
    ...(rotation_policy === undefined ? undefined : { rotation: rotation_policy })
  })
  const syslogOf = ({ address, host = "", ...rest }: typeof syslog.Type): To["syslog"] & {} => ({
    ...rest,
    ...(address === undefined ? { host } : addressOf(address))
  })
  const s3Of = (
    { bucket = "", export_interval_seconds, path_prefix, ...rest }: typeof s3.Type & typeof older.Type
  ): To["s3"] & {} => ({
    ...rest,
    bucket,
    ...(path_prefix === undefined ? undefined : { prefix: path_prefix }),
    ...(export_interval_seconds === undefined ? undefined : { interval: `${export_interval_seconds} seconds` })
  })
  const renamed = ({ file, log_level, s3, s3_export, syslog, ...rest }: From): To => {
    const store = s3 ?? s3_export
    return {
      ...rest,
      ...(log_level === undefined
        ? undefined
        : { level: log_level === "info" || log_level === "error" ? log_level : levels[log_level] }),
      ...(file?.buffer_size === undefined ? undefined : { bufferSize: Math.max(minBuffer, file.buffer_size) }),
      ...(file === undefined ? undefined : { file: fileOf(file) }),
      ...(syslog === undefined ? undefined : { syslog: syslogOf(syslog) }),
      ...(store === undefined ? undefined : { s3: s3Of(store) })
    }
  }
  return from.pipe(
    Schema.decodeTo(
      options,
      SchemaTransformation.transformEffect({
        decode: (tree: From) => {
          const [older, name] = setTwice(tree) ?? []
          return older === undefined ? Effect.succeed(renamed(tree)) : Effect.fail(
            new SchemaIssue.Pointer(
              older,
              new SchemaIssue.InvalidValue({ expected: `left out, since ${name} sets the same option` })
            )
          )
        },
        encode: (tree: To): Effect.Effect<From> => Effect.succeed(tree)
      })
    )
  )
}
