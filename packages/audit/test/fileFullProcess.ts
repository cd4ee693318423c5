/** A process whose files may have about 100 KB: prints what entries for which there is no room lead to. */
import type { AuditRecord } from "@keelson/audit/AuditSink"
import * as NodeFileSink from "@keelson/audit/NodeFileSink"
import * as Effect from "effect/Effect"

const [path = ""] = process.argv.slice(2)

const record = (sequence: number, length: number): AuditRecord => ({
  line: JSON.stringify({ sequence, text: "x".repeat(length) }),
  level: "info",
  timestamp: 0,
  sequence
})

const program = Effect.gen(function*() {
  const sink = yield* NodeFileSink.make({ path, maxSize: "95 KiB" })
  yield* sink.write(Array.from({ length: 90 }, (_, index) => record(index, 1000)))
  // The third of these has no room in any file. Those before it are in a file that is full, and must not be written again.
  const entries = [100, 101, 102, 103, 104, 105, 106].map((sequence) =>
    record(sequence, sequence === 103 ? 500_000 : 3000)
  )
  const first = yield* Effect.flip(sink.write(entries))
  const second = yield* Effect.flip(sink.write(entries))
  yield* sink.write(entries.filter(({ sequence }) => sequence !== 103))
  return {
    failures: [first, second].map(({ reason }) => `${reason._tag} ${reason.operation}`),
    code: first.code
  }
})

process.stdout.write(JSON.stringify(await Effect.runPromise(Effect.scoped(program))))
