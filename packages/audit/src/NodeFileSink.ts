/**
 * Writes audit entries to a file of this machine, one line of JSON each, and rotates it by size and by day.
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { resolve } from "node:path"
import { AuditError } from "./AuditError.ts"
import * as AuditOptions from "./AuditOptions.ts"
import type { AuditSink } from "./AuditSink.ts"
import { toFailure } from "./internal/file/NodeAppendFile.ts"
import { FileWriter } from "./internal/file/NodeFileWriter.ts"
import { periodicSync } from "./internal/file/periodicSync.ts"

const decode = Configuration.decode(AuditOptions.File)

const toAuditError = (thrown: unknown): AuditError => {
  const { cause, operation } = toFailure(thrown)
  return new AuditError({ _tag: "File", operation }, cause)
}

/**
 * Makes a sink that appends entries to a file. The file belongs to one process: two that share it rotate each other's file.
 *
 * A full file gets the time of its rotation in its name, as `audit-2026-11-30-21-05-59-123-0000.jsonl`: names sort by age. Beyond
 * `keep` of them the oldest is removed. An entry is never split over two files. The file and its directory are readable by this
 * user alone if the sink makes them; links are refused. It is opened again if another program, such as logrotate, moved or removed
 * it.
 *
 * `write` returns when the operating system has the entries: they survive the end of this process from then on. Within a second
 * after `flush` they are synced to the disk, so that they also survive a power failure. A line that a killed process left half is
 * ended before the next one.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`), also for a file that cannot be opened. `write` and `flush` fail with
 * `AuditError` (`AUDIT_FILE_FAILED`); a later `write` of the same entries writes those that are missing. If a file cannot be
 * rotated, entries are written to it beyond `maxSize`, with a warning.
 *
 * **Example** (A file with one entry)
 *
 * ```ts import.meta.vitest
 * import type { AuditSink } from "@keelson/audit"
 * import * as NodeFileSink from "@keelson/audit/NodeFileSink"
 * import { Effect } from "effect"
 * import { mkdtempSync, readFileSync } from "node:fs"
 * import { tmpdir } from "node:os"
 * import { join } from "node:path"
 *
 * const path = join(mkdtempSync(join(tmpdir(), "audit-")), "audit.jsonl")
 * const record: AuditSink.AuditRecord = { line: "{\"http_method\":\"GET\"}", level: "info", timestamp: 0, sequence: 1 }
 *
 * const program = Effect.flatMap(NodeFileSink.make({ path }), (sink) => sink.write([record]))
 * await Effect.runPromise(Effect.scoped(program))
 * readFileSync(path, "utf8") // => "{\"http_method\":\"GET\"}\n"
 * ```
 */
export const make = Effect.fnUntraced(function*(
  options: AuditOptions.FileOptions
): Effect.fn.Return<AuditSink, KeelsonError.ConfigurationError, Scope.Scope> {
  const { keep, maxSize, path, rotation } = yield* decode(options)
  const writer = new FileWriter(resolve(path), { maxSize: Number(maxSize), keep, isDaily: rotation === "daily" })
  const turn = Semaphore.makeUnsafe(1)
  const warn = Effect.suspend(() => {
    const problem = writer.takeProblem()
    if (problem === undefined) return Effect.void
    const { operation } = problem
    const warning = Effect.logWarning(
      "Audit file cannot be rotated, or an old one cannot be removed; entries are written"
    )
    return Effect.annotateLogs(warning, { operation, code: "AUDIT_FILE_FAILED" })
  })
  // A call to the file system that began cannot be taken back, so it ends even if its caller is interrupted.
  const run = (use: (now: number) => Promise<void>): Effect.Effect<void, AuditError> =>
    Effect.uninterruptible(
      turn.withPermits(1)(Effect.flatMap(
        Clock.currentTimeMillis,
        (now) =>
          Effect.ensuring(
            Effect.tryPromise({ try: () => use(now), catch: toAuditError }),
            warn
          )
      ))
    )
  yield* Effect.mapError(
    run((now) => writer.start(now)),
    (cause) => InvalidConfig.option("path", "a file that this process may write, and no link", { cause })
  )
  yield* Effect.addFinalizer(() => Effect.ignore(run(() => writer.close())))
  const flush = yield* periodicSync({ isDirty: () => writer.isDirty, sync: run(() => writer.sync()) })
  return {
    name: "file",
    write: (records) => records.length === 0 ? Effect.void : run((now) => writer.write(records, now)),
    flush
  }
})
