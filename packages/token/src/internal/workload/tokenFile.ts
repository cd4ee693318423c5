import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { type Defect, expired, invalidToken, type Origin, readJwt, type WorkloadJwt } from "./workloadToken.ts"

type Read = Result.Result<WorkloadJwt, KeelsonError.AuthenticationError>

/** A file as it was read. */
interface Seen {
  /** Inode, time of change and size. */
  readonly version: string
  readonly read: Read
}

/**
 * A file that changed within this time before it was read may change again without another time stamp, in milliseconds: some
 * file systems have steps of 2 seconds.
 */
const settled = 2_000

const versionOf = ({ ino, mtime, size }: FileSystem.File.Info): string | undefined =>
  Option.isSome(ino) && Option.isSome(mtime) ? `${ino.value} ${mtime.value.getTime()} ${size}` : undefined

const isSettled = ({ mtime }: FileSystem.File.Info, now: number): boolean =>
  Option.exists(mtime, (at) => now - at.getTime() > settled)

/** The origin of a token file, for errors. */
export const fileOrigin = (path: string): Origin => ({ subject: `The token file ${path}`, details: { path } })

const readText = (path: string, maxBytes: number, fs: FileSystem.FileSystem) =>
  Stream.mkString(Stream.decodeText(fs.stream(path, { bytesToRead: maxBytes + 1 })))

/**
 * Reads a file that contains a value for the header `Authorization`, at each use. Devices and pipes are refused before they are
 * opened.
 */
export const readSecretFile = (
  { maxBytes, path }: { readonly path: string; readonly maxBytes: number },
  fs: FileSystem.FileSystem
): Effect.Effect<Redacted.Redacted, KeelsonError.AuthenticationError> => {
  const origin = fileOrigin(path)
  return fs.stat(path).pipe(
    Effect.filterOrFail(({ size, type }) => type === "File" && size <= maxBytes),
    Effect.andThen(readText(path, maxBytes, fs)),
    Effect.mapError(() => invalidToken(origin, "unreadable", `is no readable file of at most ${maxBytes} bytes`)),
    Effect.map((text) => text.trim()),
    Effect.filterOrFail(
      (text) => /^[ -~]{1,16384}$/.test(text),
      () => invalidToken(origin, "malformed", "holds no value for a header")
    ),
    Effect.map((text) => Redacted.make(text, { label: "authorization" }))
  )
}

/** The options of a token file. */
export interface TokenFile {
  readonly path: string
  readonly audience: string | undefined
  readonly maxBytes: number
}

/**
 * Reads the JWT of a file that is replaced before it expires. Each use asks for the file's inode, time and size, and reads it
 * if one of them differs. While the file cannot be used, as between two steps of its writer, the last good token is returned
 * until it expires.
 *
 * Devices and pipes are refused before they are opened.
 */
export const makeTokenFile = (
  { audience, maxBytes, path }: TokenFile,
  fs: FileSystem.FileSystem
): Effect.Effect<WorkloadJwt, KeelsonError.AuthenticationError> => {
  const origin = fileOrigin(path)
  let seen: Seen | undefined
  let last: WorkloadJwt | undefined
  let isReported = false

  const defect = (reason: Defect, what: string) => invalidToken(origin, reason, what)
  const unreadable = () => defect("unreadable", "cannot be read")
  const tooLarge = () => defect("malformed", `is larger than ${maxBytes} bytes`)

  const readFile = (info: FileSystem.File.Info, now: number): Effect.Effect<Read> => {
    if (info.type !== "File") return Effect.succeed(Result.fail(defect("unreadable", "is no file")))
    if (info.size > maxBytes) return Effect.succeed(Result.fail(tooLarge()))
    const version = versionOf(info)
    if (seen !== undefined && seen.version === version) return Effect.succeed(seen.read)
    return Effect.map(
      Effect.result(Effect.mapError(readText(path, maxBytes, fs), unreadable)),
      Result.flatMap((text): Read => {
        if (text.length > maxBytes) return Result.fail(tooLarge())
        const read = readJwt(text, audience, origin)
        seen = version !== undefined && isSettled(info, now) ? { version, read } : undefined
        return read
      })
    )
  }

  const current = Effect.flatMap(Clock.currentTimeMillis, (now) =>
    Effect.map(
      Effect.flatMap(Effect.mapError(fs.stat(path), unreadable), (info) => readFile(info, now)).pipe(
        Effect.catch((error) => Effect.succeed<Read>(Result.fail(error)))
      ),
      Result.flatMap((token): Read =>
        token.expiresAt <= now ? Result.fail(expired(origin, token.expiresAt)) : Result.succeed(token)
      )
    ))

  const fallBack = (error: KeelsonError.AuthenticationError) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      if (last === undefined || last.expiresAt <= now) return Effect.fail(error)
      if (isReported) return Effect.succeed(last)
      isReported = true
      const fields = { path, reason: error.details["reason"] }
      return Effect.as(Effect.logWarning("Token file cannot be used; using the last good token", fields), last)
    })

  return Effect.flatMap(current, (read) => {
    if (Result.isFailure(read)) return fallBack(read.failure)
    last = read.success
    isReported = false
    return Effect.succeed(last)
  })
}
