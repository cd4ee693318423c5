import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Stream from "effect/Stream"

/** The maximum size of a key file. Every public key and certificate is smaller. */
export const maxFileBytes = 1_048_576

/** The error for a file that cannot be read. `path` is the path of the option, such as `keys.1.path`. */
const unreadable = (path: string, file: string) => {
  const expected = `a readable file of at most ${maxFileBytes} bytes`
  return new KeelsonError.ConfigurationError({
    code: "KEY_FILE_UNREADABLE",
    message: `${path} must be ${expected}`,
    details: { path, file, expected }
  })
}

/**
 * Reads the text of a key file. Devices and pipes are rejected before they are opened. Reading stops at the maximum
 * size, even if the file grows while it is read; such a file is rejected.
 *
 * Bytes that are not UTF-8 become replacement characters, which never occur in PEM text.
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
