/**
 * The interface of a destination of audit entries: a file, syslog, an object store.
 */
import type * as Effect from "effect/Effect"
import type { AuditError } from "./AuditError.ts"

/** How severe an entry is: an error for a status of 500 and more, a warning for 400 and more (RFC 5424, 6.2.1). */
export type Level = "info" | "warning" | "error"

/** An entry as sinks get it: redacted, numbered and encoded. */
export interface AuditRecord {
  /** The entry as one line of JSON: no line break, no control character. */
  readonly line: string
  readonly level: Level
  /** Wall clock, in milliseconds since 1970. */
  readonly timestamp: number
  /** The number of the entry in this log since it started; a gap is a loss. */
  readonly sequence: number
}

/** A destination of entries. */
export interface AuditSink {
  /** The name in metrics and logs, as `file`. */
  readonly name: string
  /**
   * Writes entries in their order. It returns once the sink is responsible for them: nothing of them is written again. If it
   * fails, the log keeps all of them and calls again later. One call at a time.
   */
  readonly write: (records: ReadonlyArray<AuditRecord>) => Effect.Effect<void, AuditError>
  /** Hands over what the sink buffers itself. The log calls it on its period and when its scope closes. */
  readonly flush: Effect.Effect<void, AuditError>
}
