/** What the tests of sinks share. */
import { AuditError, type AuditSink } from "@keelson/audit"
import { Effect } from "effect"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** A directory for one test. */
export const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "keelson-audit-"))),
  (made) => Effect.sync(() => rmSync(made, { recursive: true, force: true }))
)

/** An entry as a sink gets it. */
export const record = (
  sequence: number,
  members: Readonly<Record<string, unknown>> = {},
  level: AuditSink.Level = "info"
): AuditSink.AuditRecord => ({
  line: JSON.stringify({ sequence, ...members }),
  level,
  timestamp: 1_700_000_000_123,
  sequence
})

export const records = (from: number, count: number, members?: Readonly<Record<string, unknown>>) =>
  Array.from({ length: count }, (_, index) => record(from + index, members))

export const linesOf = (path: string): ReadonlyArray<string> => readFileSync(path, "utf8").split("\n").slice(0, -1)

/** The names of the files of a directory, sorted. */
export const namesOf = (dir: string): ReadonlyArray<string> => readdirSync(dir).toSorted()

const sequenceIn = (line: string): number | undefined => {
  try {
    const parsed: unknown = JSON.parse(line)
    return typeof parsed === "object" && parsed !== null && "sequence" in parsed && typeof parsed.sequence === "number"
      ? parsed.sequence
      : undefined
  } catch {
    return undefined
  }
}

/** The numbers of the entries in lines; `undefined` for a line that is not one entry. */
export const sequencesIn = (lines: ReadonlyArray<string>): ReadonlyArray<number | undefined> => lines.map(sequenceIn)

/** Those of the file and of the files that it was rotated to, oldest first. */
export const sequencesOf = (dir: string): ReadonlyArray<number | undefined> =>
  namesOf(dir).toSorted((a, b) => Number(a === "audit.jsonl") - Number(b === "audit.jsonl") || (a < b ? -1 : 1))
    .flatMap((name) => sequencesIn(linesOf(join(dir, name))))

/** The operation that a call to a sink failed at. */
export const failedAt = <A>(call: Effect.Effect<A, AuditError.AuditError>): Effect.Effect<string> =>
  Effect.match(call, {
    onSuccess: () => "none",
    onFailure: (error) =>
      error instanceof AuditError.AuditError ? `${error.reason._tag} ${error.reason.operation}` : "?"
  })

export const range = (from: number, count: number): ReadonlyArray<number> =>
  Array.from({ length: count }, (_, index) => from + index)
