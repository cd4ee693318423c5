import { waitAtMost } from "@keelson/core/unstable/Bounded"
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as PlatformError from "effect/PlatformError"
import * as Stream from "effect/Stream"
import { SnapshotRefused } from "./snapshotError.ts"
import type { TextStore } from "./snapshotStore.ts"

const encoder = new TextEncoder()

/** Returns the platform's error code. Its message is left out, since it contains the path. */
const reasonOf = ({ reason }: PlatformError.PlatformError): string => reason._tag

/** Names the file by a digest, so that a name cannot act as a path, and names that differ only in case stay distinct. */
const fileOf = (name: string): Effect.Effect<string> =>
  Effect.map(
    Effect.promise(() => crypto.subtle.digest("SHA-256", encoder.encode(name))),
    (digest) => `${Hex.encode(new Uint8Array(digest))}.jwks`
  )

const irregular = PlatformError.systemError({ _tag: "BadResource", module: "FileSystem", method: "stat" })

const temporary = /^[0-9a-f]{64}\.jwks\.[0-9a-f-]{36}\.tmp$/

/** Age from which a temporary file is removed, in milliseconds: another process may still be writing a younger one. */
const leftoverAge = 60_000

/** Stores texts as files of one directory, each replaced by renaming. Removes temporary files that a crash left behind. */
export const makeFileStore = Effect.fnUntraced(
  function*(
    directory: string,
    timeout: Duration.Duration
  ): Effect.fn.Return<TextStore, never, FileSystem.FileSystem | Path.Path> {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const pathOf = (name: string) => Effect.map(fileOf(name), (file) => path.join(directory, file))

    const isLeftover = (file: string) =>
      Effect.zipWith(
        fs.stat(file),
        Clock.currentTimeMillis,
        ({ mtime }, now) => Option.exists(mtime, (at) => now - at.getTime() > leftoverAge)
      )
    const clean = Effect.flatMap(
      fs.readDirectory(directory),
      (names) =>
        Effect.forEach(names.filter((name) => temporary.test(name)), (name) => {
          const file = path.join(directory, name)
          return Effect.ignore(Effect.when(fs.remove(file), isLeftover(file)))
        })
    )
    // If the directory is absent or hangs, the first write fails and reports it.
    yield* Effect.ignoreCause(waitAtMost(clean, timeout))

    const writeTo = (file: string, text: string) =>
      Effect.scoped(Effect.flatMap(fs.open(file, { flag: "wx", mode: 0o600 }), (handle) =>
        // Without `sync` a crash of the machine may leave an empty file under the new name.
        Effect.andThen(handle.writeAll(encoder.encode(text)), handle.sync)))
    const replace = (target: string, text: string) =>
      Effect.suspend(() => {
        // Not from Effect's `Random`: another process may use the same seed.
        const file = `${target}.${crypto.randomUUID()}.tmp`
        return Effect.andThen(writeTo(file, text), fs.rename(file, target)).pipe(
          Effect.onError(() => Effect.ignore(fs.remove(file, { force: true })))
        )
      })

    // Other users could choose the target of a link, or the content of a writable file. Windows has no such mode.
    const isPosix = path.sep === "/"
    // Opening a pipe without a writer would block one of the few threads of the process forever.
    const regular = (file: string) =>
      Effect.flatMap(
        fs.lstat(file),
        ({ mode, type }): Effect.Effect<void, PlatformError.PlatformError | SnapshotRefused> => {
          if (type === "SymbolicLink") return Effect.fail(new SnapshotRefused({ reason: "symbolicLink" }))
          if (type !== "File") return Effect.fail(irregular)
          return isPosix && (mode & 0o002) !== 0
            ? Effect.fail(new SnapshotRefused({ reason: "worldWritable" }))
            : Effect.void
        }
      )

    const isAbsent = (error: PlatformError.PlatformError) => error.reason._tag === "NotFound"
    return {
      kind: "file",
      read: (name, maxBytes) =>
        Effect.flatMap(pathOf(name), (file) =>
          regular(file).pipe(
            Effect.flatMap(() => Stream.mkString(Stream.decodeText(fs.stream(file, { bytesToRead: maxBytes + 4 })))),
            Effect.catchIf(
              (error) => error instanceof PlatformError.PlatformError && isAbsent(error),
              () => Effect.undefined
            ),
            Effect.mapError((error) => error instanceof SnapshotRefused ? error : reasonOf(error))
          )),
      write: (name, text) =>
        Effect.andThen(
          fs.makeDirectory(directory, { recursive: true, mode: 0o700 }),
          Effect.flatMap(pathOf(name), (file) => replace(file, text))
        ).pipe(Effect.mapError(reasonOf)),
      remove: (name) =>
        Effect.flatMap(pathOf(name), (file) => fs.remove(file)).pipe(
          Effect.catchIf(isAbsent, () => Effect.void),
          Effect.mapError(reasonOf)
        )
    }
  }
)
