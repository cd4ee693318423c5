import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Stream from "effect/Stream"

/** More than any public key or certificate has. */
export const maxFileBytes = 1_048_576

/** A key's place in the options, as in `keys.1.path`. */
const unreadable = (path: string, file: string) => {
  const expected = `a file that can be read, of at most ${maxFileBytes} bytes`
  return new KeelsonError.ConfigurationError({
    code: "KEY_FILE_UNREADABLE",
    message: `${path} must be ${expected}`,
    details: { path, file, expected }
  })
}

/**
 * The text of a key file. Devices and pipes are refused before they are opened, and what grows while it is read is cut.
 *
 * Bytes that are not UTF-8 become replacement characters, which no PEM has.
 */
export const readKeyFile = Effect.fnUntraced(function*(
  path: string,
  file: string
): Effect.fn.Return<string, KeelsonError.ConfigurationError, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const chunks = yield* fs.stat(file).pipe(
    Effect.filterOrFail((info) => info.type === "File" && info.size <= maxFileBytes),
    Effect.andThen(Stream.runCollect(fs.stream(file, { bytesToRead: maxFileBytes + 1 }))),
    Effect.mapError(() => unreadable(path, file))
  )
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0))
  if (bytes.length > maxFileBytes) return yield* unreadable(path, file)
  chunks.reduce((at, chunk) => {
    bytes.set(chunk, at)
    return at + chunk.length
  }, 0)
  return new TextDecoder().decode(bytes)
})
