/** Who sends HTTP requests, and what errors are answered with, for any framework that has Node's request: no Effect in here. */
import { KeelsonError, Problem } from "@keelson/core"
import { HttpSecurityError } from "@keelson/token"
import type { IncomingMessage } from "node:http"
import type { Caller, Keelson } from "./keelson.ts"

const callers = new WeakMap<IncomingMessage, Caller>()

/** Finds out who sent a request. Rejects with an `HttpSecurityError`. */
export const authenticate = async (keelson: Keelson, request: IncomingMessage): Promise<void> => {
  callers.set(request, await keelson.authenticate(request))
}

/** Who sent a request, whose token has a scope. Throws an `HttpSecurityError`. */
export const callerWith = (keelson: Keelson, scope: string, request: IncomingMessage): Caller => {
  const caller = callers.get(request)
  if (caller === undefined) throw new Error("Nobody found out who sent the request")
  return keelson.requireScope(caller, scope)
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Problem.Body
}

/** What an error of Keelson is answered with (RFC 9457); `undefined` for any other, which is the framework's to answer. */
export const answerOf = (error: unknown): Answer | undefined => {
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
