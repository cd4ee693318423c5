import * as Effect from "effect/Effect"
import { constants } from "node:fs"
import { type FileHandle, open } from "node:fs/promises"
import { CacheError } from "../../CacheError.ts"

const full: ReadonlySet<unknown> = new Set(["ENOSPC", "EDQUOT", "EFBIG"])

const codeOf = (cause: unknown): unknown =>
  typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined

/** The error of a failed operation. The cause names paths of the directory, and nothing of a key. */
export const toCacheError = (operation: string) => (cause: unknown): CacheError =>
  full.has(codeOf(cause))
    ? new CacheError({ _tag: "StorageFull" }, cause)
    : new CacheError({ _tag: "Io", operation }, cause)

/** Follows no link, and waits for no writer of a pipe. */
export const readOnly = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

const absent: ReadonlySet<unknown> = new Set(["ENOENT", "ELOOP"])

/** Whether a file was not there, or was a link. */
export const isAbsent = ({ reason }: CacheError): boolean => reason._tag === "NotFound"

const toOpenError = (cause: unknown): CacheError =>
  absent.has(codeOf(cause)) ? new CacheError({ _tag: "NotFound" }, cause) : toCacheError("open")(cause)

export const io = <A>(operation: string, run: () => Promise<A>): Effect.Effect<A, CacheError> =>
  Effect.tryPromise({ try: run, catch: toCacheError(operation) })

export const openFile = (path: string, flags: string | number): Effect.Effect<FileHandle, CacheError> =>
  Effect.tryPromise({
    try: () => open(path, flags, 0o600),
    catch: toOpenError
  })

/** What the file system says of a file: another one has another identity, also with the same name. */
export interface Identity {
  readonly ino: bigint
  readonly mtime: bigint
  readonly size: bigint
}

export const isSame = (a: Identity, b: Identity): boolean => a.ino === b.ino && a.mtime === b.mtime && a.size === b.size

const readIdentity = async (handle: FileHandle): Promise<Identity> => {
  const { ino, mtimeNs, size } = await handle.stat({ bigint: true })
  return { ino, mtime: mtimeNs, size }
}

export const identityOf = (handle: FileHandle): Effect.Effect<Identity, CacheError> =>
  io("stat", () => readIdentity(handle))

/**
 * Opens a file, uses and closes it, as one effect: one for each operation costs as much as the operation. A file that is not there is
 * `NotFound`. It is closed although the effect is interrupted.
 */
const withFile = <A>(
  operation: string,
  path: string,
  flags: string | number,
  use: (handle: FileHandle) => Promise<A>
): Effect.Effect<A, CacheError> =>
  Effect.suspend(() => {
    let isOpen = false
    const run = async () => {
      const handle = await open(path, flags, 0o600)
      isOpen = true
      try {
        return await use(handle)
      } finally {
        await handle.close()
      }
    }
    return Effect.tryPromise({
      try: run,
      catch: (cause) => isOpen ? toCacheError(operation)(cause) : toOpenError(cause)
    })
  })

/** Writes a new file. Returns its identity if it is wanted. */
export const writeNew = (
  path: string,
  bytes: Uint8Array,
  isIdentified: boolean
): Effect.Effect<Identity | undefined, CacheError> =>
  withFile("write", path, "wx", async (handle) => {
    for (let written = 0; written < bytes.length;) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- a write may be a part of what was asked for
      written += (await handle.write(bytes, written)).bytesWritten
    }
    return isIdentified ? await readIdentity(handle) : undefined
  })

/** The content of a file. Of one that is longer than `length` one byte more is read. */
export const readWhole = (path: string, length: number): Effect.Effect<Uint8Array, CacheError> =>
  withFile("read", path, readOnly, async (handle) => {
    const buffer = Buffer.allocUnsafeSlow(length + 1)
    let received = 0
    while (received <= length) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- a read may be a part of what was asked for
      const { bytesRead } = await handle.read(buffer, received, buffer.length - received)
      received += bytesRead
      // It asked for one byte more: the file ends here.
      if (bytesRead === 0 || received === length) break
    }
    return buffer.subarray(0, received)
  })
