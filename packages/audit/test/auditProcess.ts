/**
 * A process with an audit log to a file and an object store that records entries until SIGTERM or SIGINT. Then it prints how many it
 * has recorded.
 */
import { NodeRuntime } from "@effect/platform-node"
import { AuditLog } from "@keelson/audit/AuditLog"
import * as NodeAudit from "@keelson/audit/NodeAudit"
import * as Effect from "effect/Effect"
import { writeSync } from "node:fs"
import { join } from "node:path"
import { objectStore } from "./objectStore.ts"

const [dir = "", url = ""] = process.argv.slice(2)

const audit = NodeAudit.layer({
  enabled: true,
  outputs: ["file", "s3"],
  bufferSize: "16 MiB",
  // Nothing is written by time: what is in the files when the process has ended was written at its end.
  flushInterval: "1 minute",
  closeTimeout: "5 minutes",
  file: { path: join(dir, "file", "audit.jsonl"), maxSize: "64 KiB", keep: 1000 },
  s3: { bucket: "logs", spoolDir: join(dir, "spool"), interval: "1 hour" }
}, { objectStore: () => Effect.succeed(objectStore(url)) })

let recorded = 0

const program = Effect.gen(function*() {
  const { record } = yield* AuditLog
  while (true) {
    yield* record({ httpMethod: "GET", objectKey: String(recorded), responseStatus: 200 })
    recorded++
    if (recorded === 500) writeSync(1, "ready\n")
    if (recorded % 100 === 0) yield* Effect.sleep("1 millis")
  }
}).pipe(Effect.ensuring(Effect.sync(() => writeSync(1, `${recorded}\n`))))

NodeRuntime.runMain(Effect.provide(program, audit))
