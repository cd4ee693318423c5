/* oxlint-disable no-await-in-loop -- files change one step after the other */
import type { AuditRecord } from "../../AuditSink.ts"
import { chunksOf, Written } from "./lines.ts"
import { AppendFile, type Failure, sizeOf, toFailure } from "./NodeAppendFile.ts"
import { Rotation } from "./NodeRotation.ts"

const dayOf = (millis: number): number => Math.floor(millis / 86_400_000)

export interface FileWriterOptions {
  /** In bytes. */
  readonly maxSize: number
  /** How many rotated files are kept. */
  readonly keep: number
  /** Whether lines of two days are in two files. */
  readonly isDaily: boolean
}

/**
 * A file of lines that is rotated. Calls must not overlap. Times are those of the wall clock, in milliseconds.
 *
 * Nothing is buffered here: when `write` returns, the system has the lines. From then on they survive the end of this process, and
 * from the next sync on a power failure.
 */
export class FileWriter {
  readonly #file: AppendFile
  readonly #rotation: Rotation
  readonly #options: FileWriterOptions
  readonly #written = new Written()
  /** The day of the last line in the file; `undefined` if it has none. */
  #day: number | undefined
  #problem: Failure | undefined
  #isReported = false

  constructor(path: string, options: FileWriterOptions) {
    this.#file = new AppendFile(path)
    this.#rotation = new Rotation(path, options.keep)
    this.#options = options
  }
  /** Opens the file, and removes the oldest files beyond those that are kept. */
  async start(now: number): Promise<void> {
    await this.#open(now)
    await this.#attempt(() => this.#rotation.prune())
  }
  async #open(now: number): Promise<void> {
    if (!await this.#file.open()) return
    // A file from the future, written before the clock was set back, counts as today's.
    this.#day = this.#file.size === 0 ? undefined : Math.min(dayOf(this.#file.modified), dayOf(now))
  }
  /** Writes entries. If it fails, a second call with the same entries writes those that are missing. */
  async write(records: ReadonlyArray<AuditRecord>, now: number): Promise<void> {
    await this.#openToday(now)
    const pending = this.#written.pending(records)
    for (
      const { isNew, records, text } of chunksOf(pending, this.#file.size, this.#options.maxSize, sizeOf)
    ) {
      if (isNew) await this.#rotate(now)
      await this.#file.append(text)
      this.#day = dayOf(now)
      if (records.length < pending.length) this.#written.add(records)
    }
    this.#written.clear()
  }
  /** Whether lines were written that are not synced to the disk. */
  get isDirty(): boolean {
    return this.#file.isDirty
  }
  /** Syncs the file to the disk. */
  sync(): Promise<void> {
    return this.#file.sync()
  }
  async close(): Promise<void> {
    try {
      await this.#file.sync()
    } finally {
      await this.#file.close()
    }
  }
  /** Why a file could not be rotated, or an old one not removed; `undefined` if that was returned before, or it works. */
  takeProblem(): Failure | undefined {
    const problem = this.#isReported ? undefined : this.#problem
    this.#isReported = this.#problem !== undefined
    return problem
  }

  async #openToday(now: number): Promise<void> {
    await this.#open(now)
    if (this.#options.isDaily && this.#day !== undefined && this.#day < dayOf(now)) await this.#rotate(now)
  }
  /** Begins a new file. If that is not possible, lines go to the current one: a file that is too large has them all. */
  async #rotate(now: number): Promise<void> {
    const isDone = await this.#attempt(async () => {
      await this.#file.sync()
      await this.#file.close()
      await this.#rotation.rotate(now)
    })
    await this.#open(now)
    if (isDone) await this.#attempt(() => this.#rotation.prune())
  }
  async #attempt(run: () => Promise<void>): Promise<boolean> {
    try {
      await run()
      this.#problem = undefined
      return true
    } catch (cause) {
      this.#problem = toFailure(cause)
      return false
    }
  }
}
