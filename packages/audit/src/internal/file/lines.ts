import type { AuditRecord } from "../../AuditSink.ts"

/** What some reader takes for a line break, and other control characters. The log escapes them; this holds for any caller. */
// oxlint-disable-next-line no-control-regex -- control characters are what it is about
const unsafe = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/
// oxlint-disable-next-line no-control-regex -- control characters are what it is about
const everyUnsafe = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g

/** The JSON escape of a UTF-16 unit. */
export const escaped = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`

/** The line of an entry, with its end. It holds one line whatever it was given. */
export const lineOf = ({ line }: AuditRecord): string =>
  `${unsafe.test(line) ? line.replace(everyUnsafe, escaped) : line}\n`

/** Lines that are written to one file in one go. */
export interface Chunk {
  readonly records: ReadonlyArray<AuditRecord>
  readonly text: string
  readonly size: number
  /** Whether a new file begins with them. */
  readonly isNew: boolean
}

/**
 * Distributes entries over files of at most `maxSize` bytes, of which the current one has `size`. An entry is never split; one
 * that is larger than a file has a file for itself.
 */
export const chunksOf = (
  records: ReadonlyArray<AuditRecord>,
  size: number,
  maxSize: number,
  sizeOf: (text: string) => number
): ReadonlyArray<Chunk> => {
  const chunks: Array<Chunk> = []
  let used = size
  let start = 0
  let text = ""
  let isNew = false
  const end = (index: number) => {
    if (index > start) {
      chunks.push({ records: records.slice(start, index), text, size: used - (isNew ? 0 : size), isNew })
    }
  }
  for (const [index, record] of records.entries()) {
    const line = lineOf(record)
    const bytes = sizeOf(line)
    if (used > 0 && used + bytes > maxSize) {
      end(index)
      start = index
      text = ""
      used = 0
      isNew = true
    }
    text += line
    used += bytes
  }
  end(records.length)
  return chunks
}

/**
 * The entries of a failed call that were written before it failed. The log calls again with all of them: these are left out then.
 */
export class Written {
  #records = new Set<AuditRecord>()

  /** The entries that still have to be written. */
  pending(records: ReadonlyArray<AuditRecord>): ReadonlyArray<AuditRecord> {
    return this.#records.size === 0 ? records : records.filter((record) => !this.#records.has(record))
  }
  add(records: ReadonlyArray<AuditRecord>): void {
    for (const record of records) this.#records.add(record)
  }
  /** To be called when a call succeeded. */
  clear(): void {
    if (this.#records.size > 0) this.#records = new Set()
  }
}
