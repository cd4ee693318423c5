/**
 * A process that writes entries to a file, 1 to 200 in each call, until it is killed or has written as many as it was told. It
 * prints the number of the last entry of each call that returned.
 */
import type { AuditRecord } from "@keelson/audit/AuditSink"
import * as NodeFileSink from "@keelson/audit/NodeFileSink"
import * as Effect from "effect/Effect"
import { writeSync } from "node:fs"

const [path = "", first = "0", count = "Infinity"] = process.argv.slice(2)
const end = Number(first) + Number(count)

const record = (sequence: number): AuditRecord => ({
  line: JSON.stringify({ sequence, text: "x".repeat(sequence % 7 === 0 ? 5000 : 50) }),
  level: "info",
  timestamp: 0,
  sequence
})

const program = Effect.gen(function*() {
  const sink = yield* NodeFileSink.make({ path, maxSize: "256 KiB", keep: 1000 })
  let next = Number(first)
  for (let call = 0; next < end; call++) {
    const size = Math.min(1 + (call * 37) % 200, end - next)
    yield* sink.write(Array.from({ length: size }, (_, index) => record(next + index)))
    next += size
    writeSync(1, `${next - 1}\n`)
    if (call % 5 === 0) yield* sink.flush
  }
})

await Effect.runPromise(Effect.scoped(program))
