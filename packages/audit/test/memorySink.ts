import { AuditError } from "@keelson/audit/AuditError"
import type { AuditRecord, AuditSink } from "@keelson/audit/AuditSink"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"

/** A sink in memory that a test takes down, holds up, and lets go on. */
export const makeSink = (name = "memory") => {
  const records: Array<AuditRecord> = []
  let isDown = false
  let gate: Deferred.Deferred<void> | undefined
  let calls = 0
  let running = 0
  let flushes = 0
  const sink: AuditSink = {
    name,
    write: (batch) =>
      Effect.suspend(() => {
        calls++
        if (++running > 1) return Effect.die(new Error("two calls at the same time"))
        const write = Effect.suspend(() => {
          if (isDown) return Effect.fail(new AuditError({ _tag: "File", operation: "write" }, new Error("disk full")))
          records.push(...batch)
          return Effect.void
        })
        return (gate === undefined ? write : Effect.andThen(Deferred.await(gate), write)).pipe(
          Effect.ensuring(Effect.sync(() => {
            running--
          }))
        )
      }),
    flush: Effect.suspend(() => {
      flushes++
      return isDown ? Effect.fail(new AuditError({ _tag: "File", operation: "flush" })) : Effect.void
    })
  }
  return {
    sink,
    records,
    get calls() {
      return calls
    },
    get flushes() {
      return flushes
    },
    setDown: (down: boolean) => {
      isDown = down
    },
    hold: () => {
      gate ??= Deferred.makeUnsafe()
    },
    release: () => {
      const held = gate
      gate = undefined
      return held === undefined ? Effect.void : Effect.asVoid(Deferred.succeed(held, undefined))
    },
    /** The lines as objects. */
    get lines(): ReadonlyArray<Record<string, unknown>> {
      return records.map(({ line }) => JSON.parse(line))
    }
  }
}

/** The numbers of entries that the lines of a sink account for: as an entry, or in a line about a loss. */
export const accounted = (lines: ReadonlyArray<Record<string, unknown>>): ReadonlyArray<number> =>
  lines.flatMap(({ details, http_method, sequence }) => {
    if (http_method !== "audit.lost") return [Number(sequence)]
    const { first, last } = Object(details)
    return Array.from({ length: last - first + 1 }, (_, index) => first + index)
  })
