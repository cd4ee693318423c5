/** Why a request failed, from the errors of undici. */
import * as SharedError from "@keelson/core/unstable/SharedError"
import type { StoreFailure } from "../../ObjectStore.ts"
import { StoreError } from "../../StoreError.ts"

/** How much of the body of an error is read, to use the connection again. */
export const discardable = 65_536

const shared = (reason: StoreFailure, message?: string): StoreError =>
  SharedError.make(() => new StoreError(reason, { message }))

/** Errors that need no cause. Their objects are shared. */
export const failures = {
  aborted: shared("aborted"),
  timeout: shared("timeout"),
  silent: shared("timeout", "The object store sent nothing of a body for too long"),
  incomplete: shared("incomplete"),
  key: shared("invalid", "The key is not one that S3 could have: 1 to 1024 bytes of UTF-8 without NUL"),
  header: shared("invalid", "A header has characters that cannot be signed"),
  framed: shared("invalid", "The body is in the framing of aws-chunked, which would become a part of the object"),
  rejected: shared("rejected"),
  busy: shared("rejected", "All connections to the object store are in use; maxConnections of the replica bounds them")
} as const

const codeOf = (error: unknown): unknown => error instanceof Error ? Reflect.get(error, "code") : undefined

/** Errors about the request itself, before anything was sent. */
const isOurs = (code: unknown): boolean =>
  code === "UND_ERR_INVALID_ARG" || code === "UND_ERR_REQ_CONTENT_LENGTH_MISMATCH"

/** What an error before the head of the response means. */
export const failureOf = (error: unknown): StoreFailure => {
  const code = codeOf(error)
  if (isOurs(code)) return "invalid"
  return code === "UND_ERR_CONNECT_TIMEOUT" || code === "ETIMEDOUT" ? "timeout" : "unreachable"
}

/**
 * Whether a connection was closed that had served a request before: stores close idle connections while a request is on its way, and
 * the request was then not read.
 */
export const isStaleConnection = (error: unknown): boolean => {
  const code = codeOf(error)
  if (code === "ECONNRESET" || code === "EPIPE") return true
  const socket: unknown = error instanceof Error ? Reflect.get(error, "socket") : undefined
  return code === "UND_ERR_SOCKET" && typeof socket === "object" && socket !== null &&
    Number(Reflect.get(socket, "bytesRead")) > 0
}
