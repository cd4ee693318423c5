import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import { createHash, hash as hashOnce, randomUUID } from "node:crypto"
import { chmod, type FileHandle, lstat, mkdir, rename, unlink } from "node:fs/promises"
import { join } from "node:path"
import { CacheError } from "../../CacheError.ts"
import type { CacheKey } from "../../CacheKey.ts"
import {
  type Identity,
  identityOf,
  io,
  isAbsent,
  isSame,
  openFile,
  readOnly,
  readWhole,
  toCacheError,
  writeNew
} from "./NodeFileIo.ts"

/** Bodies up to this size are returned as bytes, which were compared with their hash; larger ones as a stream. */
export const maxInMemory = 1_048_576

/** SHA-256 of bytes or text, in hex. */
export const sha256 = (data: Uint8Array | string): string => hashOnce("sha256", data, "hex")

/** The name of an entry's files. Nothing of a key is in a path. */
export const nameOf = ({ id }: CacheKey): string => sha256(id)

/** A body that was written to a temporary file. */
export interface Written {
  readonly path: string
  readonly length: number
  readonly hash: string
  /** That of a body that is not compared with its hash each time that it is read. */
  readonly identity: Identity | undefined
}

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
  /** The path of a new temporary file, which nobody else has. */
  temporaryPath(name: string): string {
    return join(this.entries, `${name}.${randomUUID()}.tmp`)
  }
  /** Creates a file, and makes the directories again if they were removed while the process runs. */
  #prepared<A>(create: Effect.Effect<A, CacheError>): Effect.Effect<A, CacheError> {
    return Effect.catchIf(
      create,
      isAbsent,
      () =>
        Effect.mapError(
          Effect.andThen(this.prepare, create),
          (error) => isAbsent(error) ? toCacheError("open")(error) : error
        )
    )
  }
  /** A new file, which is removed unless `use` succeeds. An interruption while it is closed leaves it to the caller. */
  #temporary<A, E, R>(
    path: string,
    use: (handle: FileHandle) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | CacheError, R> {
    return Effect.acquireUseRelease(
      this.#prepared(openFile(path, "wx")),
      use,
      (handle, exit) =>
        Effect.andThen(
          Effect.ignore(io("close", () => handle.close())),
          Exit.isSuccess(exit) ? Effect.void : this.remove(path)
        )
    )
  }
  /** Writes bytes to a temporary file, which is removed if that fails. In one step: `set` of a small item is mostly this. */
  write(path: string, bytes: Uint8Array): Effect.Effect<Written, CacheError> {
    const written = writeNew(path, bytes, bytes.length > maxInMemory)
    const result = Effect.map(
      this.#prepared(written),
      (identity): Written => ({ path, length: bytes.length, hash: sha256(bytes), identity })
    )
    return Effect.uninterruptible(Effect.onError(result, () => this.remove(path)))
  }
  /** Writes a stream to a temporary file. */
  writeStream<E, R>(
    path: string,
    body: Stream.Stream<Uint8Array, E, R>
  ): Effect.Effect<Written, E | CacheError, R> {
    return this.#temporary(path, (handle) =>
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
    return Effect.suspend(() => {
      const path = this.temporaryPath("index")
      const written = this.write(path, new TextEncoder().encode(text))
      return Effect.onError(
        Effect.andThen(written, io("rename", () => rename(path, this.index))),
        () => this.remove(path)
      )
    })
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
      openFile(this.pathOf(name, "data"), readOnly),
      use,
      (handle) => Effect.ignore(io("close", () => handle.close()))
    )
  }
  /** The body and its hash. Of a file that is longer than `length` one byte more is read. */
  read(
    name: string,
    length: number
  ): Effect.Effect<{ readonly bytes: Uint8Array; readonly hash: string }, CacheError> {
    return Effect.map(readWhole(this.pathOf(name, "data"), length), (bytes) => ({ bytes, hash: sha256(bytes) }))
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
  /** The body as a stream, which fails if it is not the one with this identity, and if it ends early. */
  stream(name: string, identity: Identity): Stream.Stream<Uint8Array, CacheError> {
    return Stream.unwrap(Effect.gen({ self: this }, function*() {
      const handle = yield* Effect.acquireRelease(
        openFile(this.pathOf(name, "data"), readOnly),
        (opened) => Effect.ignore(io("close", () => opened.close()))
      )
      if (!isSame(yield* identityOf(handle), identity)) {
        return yield* Effect.fail(new CacheError({ _tag: "NotFound" }))
      }
      return Stream.unfold(
        Number(identity.size),
        (left) =>
          Effect.suspend((): Effect.Effect<readonly [Uint8Array, number] | undefined, CacheError> => {
            if (left === 0) return Effect.undefined
            const buffer = Buffer.allocUnsafeSlow(Math.min(chunkSize, left))
            return Effect.flatMap(
              io("read", () => handle.read(buffer, 0, buffer.length)),
              ({ bytesRead }) =>
                bytesRead === 0
                  ? Effect.fail(new CacheError({ _tag: "Serialization", problem: "length" }))
                  : Effect.succeed([new Uint8Array(buffer.buffer, 0, bytesRead), left - bytesRead])
            )
          })
      )
    }))
  }
}
