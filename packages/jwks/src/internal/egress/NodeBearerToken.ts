import * as KeelsonError from "@keelson/core/KeelsonError"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as Effect from "effect/Effect"
import { readFile } from "node:fs/promises"

type Headers = Readonly<Record<string, string>>

const unreadable = (path: string, cause: unknown) =>
  new KeelsonError.ConfigurationError({
    code: "KEY_FILE_UNREADABLE",
    message: `The bearer token file cannot be read: ${path}`,
    details: { path },
    cause
  })

const expected = "a file with one token (RFC 6750, 2.1)"

/** Reads the token, without the line break at its end. */
const read = Effect.fnUntraced(function*(path: string): Effect.fn.Return<Headers, KeelsonError.ConfigurationError> {
  const text = yield* Effect.tryPromise({
    try: () => readFile(path, "utf8"),
    catch: (cause) => unreadable(path, cause)
  })
  const token = text.trim()
  if (!/^[A-Za-z0-9\-._~+/]{1,16384}=*$/.test(token)) {
    return yield* InvalidConfig.option("bearerTokenFile", expected, { details: { file: path } })
  }
  return { authorization: `Bearer ${token}` }
})

/**
 * Returns the header with the token of a file, which is read again for each request. The file is read once at the start, so
 * that a wrong path is found then.
 */
export const bearerToken = (
  path: string | undefined
): Effect.Effect<Effect.Effect<Headers, KeelsonError.NetworkError>, KeelsonError.ConfigurationError> =>
  path === undefined ? Effect.succeed(Effect.succeed({})) : Effect.as(
    read(path),
    Effect.mapError(read(path), ({ message }) => new KeelsonError.NetworkError({ code: "NETWORK_ERROR", message }))
  )
