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
import type { TextStore } from "./snapshotStore.ts"

const encoder = new TextEncoder()

/** The platform's word for what is wrong; not its message, which has the path. */
const reasonOf = ({ reason }: PlatformError.PlatformError): string => reason._tag

/** The file of a name: its digest, so that nothing in it is a path, and names that differ in case have two files. */
const fileOf = (name: string): Effect.Effect<string> =>
  Effect.map(
    Effect.promise(() => crypto.subtle.digest("SHA-256", encoder.encode(name))),
    (digest) => `${Hex.encode(new Uint8Array(digest))}.jwks`
  )

const irregular = PlatformError.systemError({ _tag: "BadResource", module: "FileSystem", method: "stat" })

const temporary = /^[0-9a-f]{64}\.jwks\.[0-9a-f-]{36}\.tmp$/

/** Younger temporary files may be those that another process is writing, in milliseconds. */
const leftoverAge = 60_000

/** Texts as files of one directory, each replaced by renaming. Leftovers of writes that a crash cut are removed. */
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
    // A directory that is not there, or does not answer, shows when it is written to.
    yield* Effect.ignoreCause(waitAtMost(clean, timeout))

    const writeTo = (file: string, text: string) =>
      Effect.scoped(Effect.flatMap(fs.open(file, { flag: "wx", mode: 0o600 }), (handle) =>
        // Without the synchronization a crash of the machine may leave the new name with nothing in it.
        Effect.andThen(handle.writeAll(encoder.encode(text)), handle.sync)))
    const replace = (target: string, text: string) =>
      Effect.suspend(() => {
        // Not of Effect's `Random`, whose seed another process may have too.
        const file = `${target}.${crypto.randomUUID()}.tmp`
        return Effect.andThen(writeTo(file, text), fs.rename(file, target)).pipe(
          Effect.onError(() => Effect.ignore(fs.remove(file, { force: true })))
        )
      })

    // To open a pipe that nobody writes to would hold a thread of the process for ever, of which it has few.
    const regular = (file: string) => Effect.filterOrFail(fs.stat(file), ({ type }) => type === "File", () => irregular)

    const isAbsent = (error: PlatformError.PlatformError) => error.reason._tag === "NotFound"
    return {
      kind: "file",
      read: (name, maxBytes) =>
        Effect.flatMap(pathOf(name), (file) =>
          regular(file).pipe(
            Effect.flatMap(() => Stream.mkString(Stream.decodeText(fs.stream(file, { bytesToRead: maxBytes + 4 })))),
            Effect.catchIf(isAbsent, () => Effect.undefined),
            Effect.mapError(reasonOf)
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
