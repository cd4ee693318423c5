import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { makeMemoryRecord } from "../src/internal/fleet/memoryRecord.ts"
import { recordSuite } from "./sharedTokenRecordSuite.ts"

recordSuite(
  "in memory",
  (use) =>
    use({ make: Effect.sync(() => makeMemoryRecord(60_000)), wait: (millis) => TestClock.adjust(millis) }).pipe(
      Effect.scoped,
      Effect.provide(TestClock.layer())
    )
)
