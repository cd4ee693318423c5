/** Bearer tokens of HTTP requests (RFC 6750), for any framework that has Node's request: no Effect in here. */
import { KeelsonError, Problem } from "@keelson/core"
import { HttpSecurityError, TokenError } from "@keelson/token"
import type { IncomingMessage } from "node:http"
import type { Caller, Keelson } from "./keelson.ts"

const realm = `Bearer realm="app"`

const tokenOf = ({ headersDistinct }: IncomingMessage): string => {
  const [header = "", second] = headersDistinct["authorization"] ?? []
  const [, token] = /^Bearer +([\w.~+/-]+=*)$/i.exec(header) ?? []
  if (second !== undefined) {
    const challenge = `${realm}, error="invalid_request"`
    throw new HttpSecurityError.InvalidRequest({ code: "TOKEN_REQUEST_INVALID", challenge })
  }
  if (token === undefined) throw new HttpSecurityError.Unauthorized({ code: "TOKEN_MISSING", challenge: realm })
  return token
}

/** The caller is told that a token expired, or that it can't be judged now, and nothing else: it might be guessing. */
const refusalOf = (error: TokenError.TokenError): HttpSecurityError.HttpSecurityError =>
  error.isRefusal
    ? new HttpSecurityError.Unauthorized({
      code: error.code === "TOKEN_EXPIRED" ? "TOKEN_EXPIRED" : "UNAUTHORIZED",
      cause: error,
      challenge: `${realm}, error="invalid_token"`
    })
    : new HttpSecurityError.Unavailable({ retryAfter: error.retryAfter, cause: error })

const callers = new WeakMap<IncomingMessage, Caller>()

/** Finds out who sent a request. Rejects with an `HttpSecurityError`. */
export const authenticate = async ({ validate }: Keelson, request: IncomingMessage): Promise<void> => {
  try {
    callers.set(request, await validate(tokenOf(request)))
  } catch (error) {
    throw error instanceof TokenError.TokenError ? refusalOf(error) : error
  }
}

/** Who sent a request, whose token has a scope. Throws an `HttpSecurityError`. */
export const callerWith = (scope: string, request: IncomingMessage): Caller => {
  const caller = callers.get(request)
  if (caller === undefined) throw new HttpSecurityError.Unauthorized({ code: "TOKEN_MISSING", challenge: realm })
  if (caller.registered.scopes.includes(scope)) return caller
  const challenge = `${realm}, error="insufficient_scope", scope="${scope}"`
  throw new HttpSecurityError.Forbidden({ scopes: [scope], challenge })
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Problem.Body
}

/** What an error of Keelson is answered with (RFC 9457); `undefined` for any other, which is the framework's to answer. */
export const answerOf = (error: unknown): Answer | undefined => {
  if (!(error instanceof KeelsonError.Coded)) return undefined
  const body = Problem.toProblemDetails(error)
  const seconds = Problem.retryAfterSeconds(error)
  const headers = {
    "content-type": "application/problem+json",
    "cache-control": "no-store",
    ...(HttpSecurityError.isHttpSecurityError(error) && "challenge" in error
      ? { "www-authenticate": error.challenge }
      : {}),
    ...(seconds === undefined ? {} : { "retry-after": String(seconds) })
  }
  return { status: body.status, headers, body }
}
