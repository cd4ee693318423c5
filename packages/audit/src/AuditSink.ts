/**
 * The interface of a destination of audit entries: a file, syslog, an object store.
 */
import type * as Effect from "effect/Effect"
import type { Level } from "./AuditEntry.ts"
import type { AuditError } from "./AuditError.ts"

export type { Level } from "./AuditEntry.ts"

/** An entry as sinks get it: redacted, numbered and encoded. */
export interface AuditRecord {
  /** The entry as one line of JSON: no line break, no control character. */
  readonly line: string
  readonly level: Level
  /** Wall clock, in milliseconds since 1970. */
  readonly timestamp: number
  /** The number of the entry in this log since it started. Those of the records of a sink rise; a gap is a loss. */
  readonly sequence: number
}

/** A destination of entries. */
export interface AuditSink {
  /** The name in metrics and logs, as `file`. */
  readonly name: string
  /**
   * Writes entries in their order, of which there is at least one. It returns once the sink is responsible for them: nothing of them is written again. If it
   * fails, the log keeps all of them and calls again later. One call at a time.
   */
  readonly write: (records: ReadonlyArray<AuditRecord>) => Effect.Effect<void, AuditError>
  /**
   * Writes what the sink itself buffers in memory, so that a crash of this process cannot lose it. The log calls it after `write`,
   * at most once in each `flushInterval`, and when its scope closes. A sink that collects batches for longer keeps them on disk
   * until then, and hands the last one over in a finalizer of its own scope.
   */
  readonly flush: Effect.Effect<void, AuditError>
}
