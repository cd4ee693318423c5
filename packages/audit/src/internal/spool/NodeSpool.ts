/* oxlint-disable no-await-in-loop -- files change one step after the other */
import { randomBytes } from "node:crypto"
import { constants } from "node:fs"
import { lstat, open, readdir, unlink } from "node:fs/promises"
import { join } from "node:path"
import type { AuditRecord } from "../../AuditSink.ts"
import { chunksOf, Written } from "../file/lines.ts"
import { AppendFile, codeOf, Failure, io, makeDirectory, sizeOf } from "../file/NodeAppendFile.ts"
import { stampOf } from "../file/stamp.ts"

/** A batch of entries in a file that gets no more of them. */
export interface Batch {
  readonly name: string
  readonly size: number
}

/** `keelson-audit-2026-11-30-21-05-59-1f2e3d4c.jsonl`: the time of its first entry, and what no other batch has. */
const pattern = /^keelson-audit-\d{4}(?:-\d\d){5}-[0-9a-f]{8}\.jsonl$/

const nameAt = (now: number): string =>
  `keelson-audit-${stampOf(now).slice(0, "2026-11-30-21-05-59".length)}-${randomBytes(4).toString("hex")}.jsonl`

const readOnly = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** The lines of a batch. The last one of a killed process may be half: then its entry was not written, and it is left out. */
const wholeLines = (bytes: Buffer): Buffer => {
  const end = bytes.lastIndexOf(0x0a) + 1
  if (end === bytes.length) return bytes
  return isJson(bytes.toString("utf8", end)) ? Buffer.concat([bytes, Buffer.from("\n")]) : bytes.subarray(0, end)
}

/**
 * A directory of batches that wait to be stored, oldest first. It belongs to one process. Calls of `write` and `seal` must not
 * overlap; `read` and `remove` may run beside them.
 */
export class Spool {
  readonly #dir: string
  readonly #maxSize: number
  readonly #maxBatchSize: number
  readonly #written = new Written()
  #current: { readonly name: string; readonly file: AppendFile } | undefined
  #sealed: Array<Batch> = []
  #size = 0

  constructor(dir: string, options: { readonly maxSize: number; readonly maxBatchSize: number }) {
    this.#dir = dir
    this.#maxSize = options.maxSize
    this.#maxBatchSize = options.maxBatchSize
  }
  /** Makes the directory, and takes over the batches that another run has left there. */
  async start(): Promise<void> {
    await makeDirectory(this.#dir)
    const names = await io("readdir", () => readdir(this.#dir))
    for (const name of names.filter((one) => pattern.test(one)).toSorted()) {
      const stats = await io("stat", () => lstat(join(this.#dir, name)))
      if (!stats.isFile()) continue
      this.#sealed.push({ name, size: stats.size })
      this.#size += stats.size
    }
  }
  /** The bytes of all batches. */
  get size(): number {
    return this.#size
  }
  /** The batches that can be stored. */
  get waiting(): number {
    return this.#sealed.length
  }
  /** The next batch to store. */
  get oldest(): Batch | undefined {
    return this.#sealed[0]
  }
  /** Writes entries. If it fails, a second call with the same entries writes those that are missing. */
  async write(records: ReadonlyArray<AuditRecord>, now: number): Promise<void> {
    const pending = this.#written.pending(records)
    const size = this.#current?.file.size ?? 0
    for (const chunk of chunksOf(pending, size, this.#maxBatchSize, sizeOf)) {
      if (this.#size + chunk.size > this.#maxSize) {
        throw new Failure("spool full", new Error("The kept batches have their largest size"))
      }
      if (chunk.isNew) await this.seal()
      await this.#append(chunk.text, now)
      if (chunk.records.length < pending.length) this.#written.add(chunk.records)
    }
    this.#written.clear()
  }
  async #append(text: string, now: number): Promise<void> {
    const name = this.#current?.name ?? nameAt(now)
    this.#current ??= { name, file: new AppendFile(join(this.#dir, name)) }
    const { file } = this.#current
    const before = file.size
    await file.open()
    try {
      await file.append(text)
    } finally {
      this.#size += file.size - before
    }
  }
  get isDirty(): boolean {
    return this.#current?.file.isDirty === true
  }
  async sync(): Promise<void> {
    await this.#current?.file.sync()
  }
  /** Ends the current batch, so that it can be stored. */
  async seal(): Promise<void> {
    if (this.#current === undefined) return
    const { file, name } = this.#current
    this.#current = undefined
    if (file.size > 0) this.#sealed.push({ name, size: file.size })
    try {
      await file.sync()
    } catch {
      // Its entries are stored from what the system has; only a power failure before that could lose them.
    }
    await file.close()
  }
  /** The lines of a batch, of which some may be missing if another program changed the file. */
  read({ name }: Batch): Promise<Uint8Array> {
    return io("read", async () => {
      const handle = await open(join(this.#dir, name), readOnly)
      try {
        return wholeLines(await handle.readFile())
      } finally {
        await handle.close()
      }
    })
  }
  /** Forgets a batch. Its file stays. */
  forget(batch: Batch): void {
    if (!this.#sealed.includes(batch)) return
    this.#sealed = this.#sealed.filter((other) => other !== batch)
    this.#size -= batch.size
  }
  /** Removes a batch with its file. */
  async remove(batch: Batch): Promise<void> {
    try {
      await unlink(join(this.#dir, batch.name))
    } catch (cause) {
      if (codeOf(cause) !== "ENOENT") throw new Failure("unlink", cause)
    }
    this.forget(batch)
  }
}
