/** Authenticates requests and maps errors to responses, for any framework on Node's HTTP server. Does not use Effect. */
import { KeelsonError, Problem } from "@keelson/core"
import { HttpSecurityError } from "@keelson/token"
import type { IncomingMessage } from "node:http"
import type { Caller, Keelson } from "./keelson.ts"

const callers = new WeakMap<IncomingMessage, Caller>()

/** Authenticates the caller of a request. Rejects with an `HttpSecurityError`. */
export const authenticate = async (keelson: Keelson, request: IncomingMessage): Promise<void> => {
  callers.set(request, await keelson.authenticate(request))
}

/** Returns the caller of a request if the token has the scope. Throws an `HttpSecurityError` otherwise. */
export const callerWith = (keelson: Keelson, scope: string, request: IncomingMessage): Caller => {
  const caller = callers.get(request)
  if (caller === undefined) throw new Error("The request was not authenticated")
  return keelson.requireScope(caller, scope)
}

export interface ErrorResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Problem.Body
}

/** The response for an error of Keelson (RFC 9457), or `undefined` for any other error, which the framework handles. */
export const errorResponseOf = (error: unknown): ErrorResponse | undefined => {
  if (!(error instanceof KeelsonError.CodedError)) return undefined
  const body = Problem.toProblemDetails(error)
  const seconds = Problem.retryAfterSeconds(error)
  const headers = {
    "content-type": "application/problem+json",
    "cache-control": "no-store",
    ...(seconds === undefined ? {} : { "retry-after": String(seconds) }),
    ...(HttpSecurityError.isHttpSecurityError(error) ? error.headers : {})
  }
  return { status: body.status, headers, body }
}
