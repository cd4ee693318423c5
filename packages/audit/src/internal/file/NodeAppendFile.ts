/* oxlint-disable no-await-in-loop -- files change one step after the other */
import { constants } from "node:fs"
import { type FileHandle, lstat, mkdir, open } from "node:fs/promises"
import { dirname } from "node:path"

/** A failed operation of the file system. Its cause names paths of the log, and nothing of an entry. */
export class Failure {
  readonly operation: string
  readonly cause: unknown
  constructor(operation: string, cause: unknown) {
    this.operation = operation
    this.cause = cause
  }
}

/** What was thrown, as a `Failure`. */
export const toFailure = (cause: unknown): Failure => cause instanceof Failure ? cause : new Failure("write", cause)

/** The bytes of a text. */
export const sizeOf = (text: string): number => Buffer.byteLength(text)

export const codeOf = (cause: unknown): unknown =>
  typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined

/** Runs an operation. If it fails, throws a `Failure` that names it. */
export const io = async <A>(operation: string, run: () => Promise<A>): Promise<A> => {
  try {
    return await run()
  } catch (cause) {
    throw new Failure(operation, cause)
  }
}

const refused = (problem: string) => Object.assign(new Error(problem), { code: "EINVAL" })

/** Makes a directory that only this user may read, unless it exists. Fails if it is a link. */
export const makeDirectory = (path: string): Promise<void> =>
  io("mkdir", async () => {
    await mkdir(path, { recursive: true, mode: 0o700 })
    await checkDirectory(path)
  })

const checkDirectory = async (path: string): Promise<void> => {
  if (!(await lstat(path)).isDirectory()) throw refused("The directory of the file is a link, or no directory")
}

/** Follows no link, and waits for no reader of a pipe. Read access is for the end of a torn line. */
const flags = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK

const newline = 0x0a

/** What is known of the open file. */
interface Opened {
  readonly handle: FileHandle
  readonly dev: bigint
  readonly ino: bigint
}

/**
 * A file that lines are appended to, each as a whole. After a failure it is closed, and opened again for the next lines.
 *
 * Calls must not overlap.
 */
export class AppendFile {
  readonly path: string
  /** The bytes that the file has. */
  size = 0
  /** When the file was written last before it was opened, in milliseconds since 1970. */
  modified = 0
  #opened: Opened | undefined
  #isDirty = false

  constructor(path: string) {
    this.path = path
  }
  /**
   * Opens the file, unless it is open and still has its name: a program may have moved or removed it. Makes it, and its
   * directory, if it does not exist. A last line without its end, as a killed process leaves it, is ended.
   *
   * Returns whether it was opened.
   */
  async open(): Promise<boolean> {
    if (this.#opened !== undefined) {
      const found = await io("stat", () => this.#stat())
      const { dev, ino } = this.#opened
      if (found !== undefined && found.ino === ino && found.dev === dev) {
        this.size = Number(found.size)
        return false
      }
      await this.close()
    }
    this.#opened = await io("open", () => this.#open())
    return true
  }
  async #stat() {
    try {
      return await lstat(this.path, { bigint: true })
    } catch (cause) {
      if (codeOf(cause) === "ENOENT" || codeOf(cause) === "ENOTDIR") return undefined
      throw cause
    }
  }
  async #open(): Promise<Opened> {
    const directory = dirname(this.path)
    await mkdir(directory, { recursive: true, mode: 0o700 })
    await checkDirectory(directory)
    const handle = await open(this.path, flags, 0o600)
    try {
      const stats = await handle.stat({ bigint: true })
      if (!stats.isFile()) throw refused("The path is no plain file")
      const { dev, ino, mtimeMs, size } = stats
      this.size = Number(size)
      this.modified = Number(mtimeMs)
      await this.#endLine(handle)
      return { handle, dev, ino }
    } catch (cause) {
      await handle.close()
      throw cause
    }
  }
  async #endLine(handle: FileHandle): Promise<void> {
    if (this.size === 0) return
    const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, this.size - 1)
    if (buffer[0] === newline) return
    await handle.write("\n")
    this.size++
  }
  /** Appends lines to the open file: all of them, or none. */
  async append(text: string): Promise<void> {
    const bytes = Buffer.from(text)
    const { handle } = this.#opened ?? missing()
    let written = 0
    try {
      while (written < bytes.length) {
        const { bytesWritten } = await handle.write(bytes, written, bytes.length - written)
        if (bytesWritten === 0) throw Object.assign(new Error("Nothing was written"), { code: "ENOSPC" })
        written += bytesWritten
      }
    } catch (cause) {
      await this.#undo(handle, written)
      throw new Failure("write", cause)
    }
    this.size += written
    this.#isDirty = true
  }
  /**
   * Removes the beginning of lines that were not written to their end, unless another process has appended since. If that fails,
   * the next `open` ends the torn line.
   */
  async #undo(handle: FileHandle, written: number): Promise<void> {
    try {
      const { size } = await handle.stat()
      if (written > 0 && size === this.size + written) await handle.truncate(this.size)
    } catch {
      // The failure of the write is what the caller gets.
    }
    await this.close()
  }
  /** Whether something was written that is not known to be on the disk. */
  get isDirty(): boolean {
    return this.#isDirty
  }
  /** Waits until what was written is on the disk, so that it survives a power failure. */
  async sync(): Promise<void> {
    if (!this.#isDirty || this.#opened === undefined) return
    const { handle } = this.#opened
    this.#isDirty = false
    await io("sync", () => handle.datasync())
  }
  async close(): Promise<void> {
    const opened = this.#opened
    this.#opened = undefined
    this.#isDirty = false
    try {
      await opened?.handle.close()
    } catch {
      // The descriptor is gone in any case.
    }
  }
}

const missing = (): never => {
  throw new Failure("write", new Error("The file is not open"))
}
