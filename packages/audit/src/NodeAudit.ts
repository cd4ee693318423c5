/**
 * An audit log with a file, syslog and an object store from one set of options, on Node.js.
 */
import type * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as AuditLog from "./AuditLog.ts"
import * as AuditOptions from "./AuditOptions.ts"
import type { AuditSink } from "./AuditSink.ts"
import * as NodeFileSink from "./NodeFileSink.ts"
import * as NodeObjectStoreSink from "./NodeObjectStoreSink.ts"
import * as NodeSyslogSink from "./NodeSyslogSink.ts"
import { ObjectStore } from "./ObjectStore.ts"

/** What options from a file or the environment cannot give. Every one may be left out. */
export interface Services {
  /** Makes the object store of the section `s3`. Required if `outputs` lists s3. Default none. */
  readonly objectStore?:
    | ((
      options: AuditOptions.S3
    ) => Effect.Effect<ObjectStore["Service"], KeelsonError.ConfigurationError, Scope.Scope>)
    | undefined
}

const missing = (path: string, expected: string) => Effect.fail(InvalidConfig.option(path, expected))

const makeSink = (
  name: AuditOptions.OutputName,
  { file, s3, syslog }: AuditOptions.AuditOptions,
  { objectStore }: Services
): Effect.Effect<AuditSink, KeelsonError.ConfigurationError, Scope.Scope> => {
  switch (name) {
    case "file":
      return file === undefined ? missing("file", "set") : NodeFileSink.make(file)
    case "syslog":
      return syslog === undefined ? missing("syslog", "set") : NodeSyslogSink.make(syslog)
    case "s3": {
      if (s3 === undefined) return missing("s3", "set")
      if (objectStore === undefined) return missing("outputs", "without s3, or used with an objectStore")
      const { bucket: _, endpoint: __, region: ___, ...batches } = s3
      return Effect.flatMap(
        objectStore(s3),
        (store) => Effect.provideService(NodeObjectStoreSink.make(batches), ObjectStore, store)
      )
    }
  }
}

/** The log of checked options. The log closes before its sinks, so that they get its last entries. */
const fromOptions = (services: Services) => (options: AuditOptions.AuditOptions) => {
  if (!options.enabled) return Effect.succeed(AuditLog.disabled)
  const { bufferSize, closeTimeout, flushInterval, level, maxWait, outputs, overflow } = options
  return Effect.flatMap(
    Effect.forEach(outputs, (name) => makeSink(name, options, services)),
    (sinks) => AuditLog.make({ sinks, bufferSize, closeTimeout, flushInterval, level, maxWait, overflow })
  )
}

/**
 * Makes the audit log that the options describe: one that records nothing unless `enabled` is set, else one with its `outputs`.
 *
 * When its scope closes, as `NodeRuntime.runMain` does at SIGTERM and SIGINT, it writes what is left. Fails with
 * `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound, also for a file or directory that cannot be used. Servers
 * need not be available at start.
 *
 * **Example** (A file)
 *
 * ```ts import.meta.vitest
 * import { AuditLog } from "@keelson/audit"
 * import * as NodeAudit from "@keelson/audit/NodeAudit"
 * import { Effect } from "effect"
 * import { mkdtempSync, readFileSync } from "node:fs"
 * import { tmpdir } from "node:os"
 * import { join } from "node:path"
 *
 * const path = join(mkdtempSync(join(tmpdir(), "audit-")), "audit.jsonl")
 * const audit = NodeAudit.layer({ enabled: true, file: { path } })
 *
 * const program = AuditLog.AuditLog.use(({ record }) => record({ httpMethod: "GET", responseStatus: 200 }))
 * await Effect.runPromise(Effect.provide(program, audit))
 * JSON.parse(readFileSync(path, "utf8")).response_status // => 200
 * ```
 */
export const make = (
  options: AuditOptions.Options = {},
  services: Services = {}
): Effect.Effect<AuditLog.AuditLog["Service"], KeelsonError.ConfigurationError, Scope.Scope> =>
  Effect.flatMap(AuditOptions.decode(options), fromOptions(services))

/** The same as the service of an application. */
export const layer = (
  options: AuditOptions.Options = {},
  services: Services = {}
): Layer.Layer<AuditLog.AuditLog, KeelsonError.ConfigurationError> =>
  Layer.effect(AuditLog.AuditLog, make(options, services))

/** The same from JSON or YAML; see `Configuration.decodeText`. */
export const layerText = (
  text: Configuration.Text,
  services: Services = {}
): Layer.Layer<AuditLog.AuditLog, KeelsonError.ConfigurationError> =>
  Layer.effect(AuditLog.AuditLog, Effect.flatMap(AuditOptions.decodeText(text), fromOptions(services)))

/** The same, with options from the environment below a path; see `Configuration.fromEnvironment`. */
export const layerConfig = (
  path: Configuration.Path,
  services: Services = {}
): Layer.Layer<AuditLog.AuditLog, KeelsonError.ConfigurationError> =>
  Layer.effect(AuditLog.AuditLog, Effect.flatMap(AuditOptions.config(path), fromOptions(services)))
