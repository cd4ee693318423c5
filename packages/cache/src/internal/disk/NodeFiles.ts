import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import { createHash, hash as hashOnce, randomUUID } from "node:crypto"
import { constants } from "node:fs"
import { chmod, type FileHandle, lstat, mkdir, open, rename, unlink } from "node:fs/promises"
import { join } from "node:path"
import { CacheError } from "../../CacheError.ts"
import type { CacheKey } from "../../CacheKey.ts"

/** SHA-256 of bytes or text, in hex. */
export const sha256 = (data: Uint8Array | string): string => hashOnce("sha256", data, "hex")

/** The name of an entry's files. Nothing of a key is in a path. */
export const nameOf = ({ id }: CacheKey): string => sha256(id)

const full: ReadonlySet<unknown> = new Set(["ENOSPC", "EDQUOT", "EFBIG"])

const codeOf = (cause: unknown): unknown =>
  typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined

/** The error of a failed operation. The cause names paths of the directory, and nothing of a key. */
export const toCacheError = (operation: string) => (cause: unknown): CacheError =>
  full.has(codeOf(cause))
    ? new CacheError({ _tag: "StorageFull" }, cause)
    : new CacheError({ _tag: "Io", operation }, cause)

const absent: ReadonlySet<unknown> = new Set(["ENOENT", "ELOOP"])

/** Whether a file was not there, or was a link. */
export const isAbsent = ({ reason }: CacheError): boolean => reason._tag === "NotFound"

const io = <A>(operation: string, run: () => Promise<A>): Effect.Effect<A, CacheError> =>
  Effect.tryPromise({ try: run, catch: toCacheError(operation) })

const openFile = (path: string, flags: string | number): Effect.Effect<FileHandle, CacheError> =>
  Effect.tryPromise({
    try: () => open(path, flags, 0o600),
    catch: (cause) =>
      absent.has(codeOf(cause)) ? new CacheError({ _tag: "NotFound" }, cause) : toCacheError("open")(cause)
  })

/** What the file system says of a file: another one has another identity, also with the same name. */
export interface Identity {
  readonly ino: bigint
  readonly mtime: bigint
  readonly size: bigint
}

export const isSame = (a: Identity, b: Identity): boolean => a.ino === b.ino && a.mtime === b.mtime && a.size === b.size

/** A body that was written to a temporary file. */
export interface Written {
  readonly path: string
  readonly length: number
  readonly hash: string
  readonly identity: Identity
}

const identityOf = (handle: FileHandle): Effect.Effect<Identity, CacheError> =>
  Effect.map(
    io("stat", () => handle.stat({ bigint: true })),
    ({ ino, mtimeNs, size }) => ({ ino, mtime: mtimeNs, size })
  )

const chunkSize = 256 * 1024

/** The files of a directory of entries. */
export class Files {
  readonly entries: string
  readonly #dir: string

  constructor(dir: string) {
    this.#dir = dir
    this.entries = join(dir, "entries")
  }
  /** The path of the index. */
  get index(): string {
    return join(this.#dir, "index.json")
  }
  pathOf(name: string, kind: "data" | "meta"): string {
    return join(this.entries, `${name}.${kind}`)
  }
  /** Makes the directories, which only this user may read. Fails if one is a link. */
  readonly prepare: Effect.Effect<void, CacheError> = Effect.suspend(() =>
    Effect.forEach([this.#dir, this.entries], (path) =>
      io("mkdir", async () => {
        await mkdir(path, { recursive: true, mode: 0o700 })
        const stats = await lstat(path)
        if (!stats.isDirectory()) throw Object.assign(new Error("Not a directory"), { code: "ENOTDIR" })
        await chmod(path, 0o700)
      }), { discard: true })
  )
  /** A new file that nobody else has, which is removed unless `use` succeeds. */
  #temporary<A, E, R>(
    name: string,
    use: (handle: FileHandle, path: string) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | CacheError, R> {
    const path = join(this.entries, `${name}.${randomUUID()}.tmp`)
    const create = openFile(path, "wx")
    // The directory may have been removed while the process runs.
    const created = Effect.catchIf(
      create,
      isAbsent,
      () =>
        Effect.mapError(
          Effect.andThen(this.prepare, create),
          (error) => isAbsent(error) ? toCacheError("open")(error) : error
        )
    )
    return Effect.acquireUseRelease(
      created,
      (handle) => use(handle, path),
      (handle, exit) =>
        Effect.andThen(
          Effect.ignore(io("close", () => handle.close())),
          Exit.isSuccess(exit) ? Effect.void : this.remove(path)
        )
    )
  }
  /** Writes bytes to a temporary file. */
  write(name: string, bytes: Uint8Array): Effect.Effect<Written, CacheError> {
    return this.#temporary(name, (handle, path) =>
      Effect.gen(function*() {
        yield* io("write", () => handle.writeFile(bytes))
        return { path, length: bytes.length, hash: sha256(bytes), identity: yield* identityOf(handle) }
      }))
  }
  /** Writes a stream to a temporary file. */
  writeStream<E, R>(
    name: string,
    body: Stream.Stream<Uint8Array, E, R>
  ): Effect.Effect<Written, E | CacheError, R> {
    return this.#temporary(name, (handle, path) =>
      Effect.gen(function*() {
        const hash = createHash("sha256")
        let length = 0
        yield* Stream.runForEach(body, (chunk) =>
          Effect.suspend(() => {
            hash.update(chunk)
            length += chunk.length
            return io("write", () => handle.writeFile(chunk))
          }))
        return { path, length, hash: hash.digest("hex"), identity: yield* identityOf(handle) }
      }))
  }
  /** Gives a temporary file its name, in place of what has it. */
  move(path: string, name: string, kind: "data" | "meta"): Effect.Effect<void, CacheError> {
    return io("rename", () => rename(path, this.pathOf(name, kind)))
  }
  /** Replaces the index. */
  writeIndex(text: string): Effect.Effect<void, CacheError> {
    return Effect.flatMap(
      this.write("index", new TextEncoder().encode(text)),
      ({ path }) => Effect.onError(io("rename", () => rename(path, this.index)), () => this.remove(path))
    )
  }
  /** Removes a file. A file that is not there, or cannot be removed, is no error: the next start removes it. */
  remove(path: string): Effect.Effect<void> {
    return Effect.ignore(io("unlink", () => unlink(path)))
  }
  /** Removes both files of an entry, the one that makes it an entry first. */
  removeEntry(name: string): Effect.Effect<void> {
    return Effect.andThen(this.remove(this.pathOf(name, "meta")), this.remove(this.pathOf(name, "data")))
  }
  /** Opens the body of an entry while `use` runs. */
  #open<A, E>(
    name: string,
    use: (handle: FileHandle) => Effect.Effect<A, E>
  ): Effect.Effect<A, E | CacheError> {
    return Effect.acquireUseRelease(
      openFile(this.pathOf(name, "data"), constants.O_RDONLY | constants.O_NOFOLLOW),
      use,
      (handle) => Effect.ignore(io("close", () => handle.close()))
    )
  }
  /** The whole body, and its hash. */
  read(name: string): Effect.Effect<{ readonly bytes: Uint8Array; readonly hash: string }, CacheError> {
    return this.#open(
      name,
      (handle) => Effect.map(io("read", () => handle.readFile()), (bytes) => ({ bytes, hash: sha256(bytes) }))
    )
  }
  /** The identity and hash of a body, read in chunks. The hash is left out for a body with the identity `known`. */
  inspect(
    name: string,
    known: Identity | undefined
  ): Effect.Effect<{ readonly identity: Identity; readonly hash: string | undefined }, CacheError> {
    return this.#open(name, (handle) =>
      Effect.gen(function*() {
        const identity = yield* identityOf(handle)
        if (known !== undefined && isSame(identity, known)) return { identity, hash: undefined }
        const hash = createHash("sha256")
        const buffer = Buffer.allocUnsafe(chunkSize)
        while (true) {
          const { bytesRead } = yield* io("read", () => handle.read(buffer, 0, chunkSize))
          if (bytesRead === 0) return { identity, hash: hash.digest("hex") }
          hash.update(buffer.subarray(0, bytesRead))
        }
      }))
  }
  /** The body as a stream, which fails if it is not the one with this identity. */
  stream(name: string, identity: Identity): Stream.Stream<Uint8Array, CacheError> {
    return Stream.unwrap(Effect.gen({ self: this }, function*() {
      const handle = yield* Effect.acquireRelease(
        openFile(this.pathOf(name, "data"), constants.O_RDONLY | constants.O_NOFOLLOW),
        (opened) => Effect.ignore(io("close", () => opened.close()))
      )
      if (!isSame(yield* identityOf(handle), identity)) {
        return yield* Effect.fail(new CacheError({ _tag: "NotFound" }))
      }
      return Stream.unfold(undefined, () =>
        Effect.suspend(() => {
          const buffer = Buffer.allocUnsafe(chunkSize)
          return Effect.map(
            io("read", () => handle.read(buffer, 0, chunkSize)),
            ({ bytesRead }) =>
              bytesRead === 0
                ? undefined
                : [new Uint8Array(buffer.buffer, buffer.byteOffset, bytesRead), undefined] as const
          )
        }))
    }))
  }
}
