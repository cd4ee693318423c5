/**
 * A process that writes entries to a sink for an object store until it is killed, or until SIGTERM. It prints the number of the last
 * entry of each call that returned.
 */
import type { AuditRecord } from "@keelson/audit/AuditSink"
import * as NodeObjectStoreSink from "@keelson/audit/NodeObjectStoreSink"
import { ObjectStore } from "@keelson/audit/ObjectStore"
import * as Effect from "effect/Effect"
import { writeSync } from "node:fs"
import { objectStore } from "./objectStore.ts"

const [url = "", spoolDir = "", first = "0"] = process.argv.slice(2)

const record = (sequence: number): AuditRecord => ({
  line: JSON.stringify({ sequence, text: "x".repeat(sequence % 7 === 0 ? 5000 : 50) }),
  level: "info",
  timestamp: 0,
  sequence
})

const program = Effect.gen(function*() {
  const sink = yield* NodeObjectStoreSink.make({ spoolDir, maxBatchSize: "64 KiB", interval: "1 second" })
  let next = Number(first)
  for (let call = 0; true; call++) {
    const size = 1 + (call * 37) % 100
    yield* sink.write(Array.from({ length: size }, (_, index) => record(next + index)))
    next += size
    writeSync(1, `${next - 1}\n`)
    if (call % 5 === 0) yield* sink.flush
    yield* Effect.sleep("1 millis")
  }
})

await Effect.runPromise(Effect.scoped(program).pipe(Effect.provideService(ObjectStore, objectStore(url))))
