import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Option from "effect/Option"
import { findFirst } from "../../unstable/CauseChain.ts"
import { fetchCode } from "../errors/systemCode.ts"
import { hints } from "./hints.ts"
import type { AllowUnsafe } from "./httpAttempt.ts"
import { responseOf } from "./httpHints.ts"

/** The statuses with which some services ask to wait, although they usually mean that a request is refused for good. */
const refusals: ReadonlySet<number> = new Set([403, 413])

/**
 * For `while`: retries what is usually retried, and also a 403 or 413 that says how long to wait, as GitHub and object stores
 * send it, and any response with `x-should-retry: true`. One with `x-should-retry: false` is not retried.
 */
export const whenAsked = (failure: unknown, usual: boolean): boolean => {
  const response = responseOf(failure)
  if (response === undefined) return usual
  const { delay, shouldRetry } = hints(response, 0)
  return shouldRetry ?? (usual || (refusals.has(response.status) && delay !== undefined))
}

/**
 * For `allowUnsafe`: whether a request was certainly not processed. True if the service rejected it with a 429, if no connection
 * was made (the name was not resolved, or the connection was refused or timed out), or if the service refused the stream
 * (`REFUSED_STREAM` of HTTP/2). After a connection that was reset, closed or timed out later, the request may have been processed.
 *
 * With a client that follows redirects itself, what failed may be a later request than this one. The failure must then name
 * the host of this request: set `redirect: "manual"` in the `RequestInit` of `fetch`.
 */
export const notProcessed: AllowUnsafe = (request, failure, mayRedirect) => {
  if (!HttpClientError.isHttpClientError(failure) || !isSame(request, failure.request)) return false
  const response = responseOf(failure)
  if (response !== undefined) return response.status === 429 && response.url === hrefOf(request)
  const { reason } = failure
  if (reason._tag !== "TransportError") return false
  const isFetch = findFirst(reason.cause, ["cause"], fetchCode) !== undefined
  return isUnsent(reason.cause, isFetch && mayRedirect ? targetOf(request) : "any")
}

/** A client that follows redirects on its own fails with the request that it sent last. */
const isSame = (a: HttpClientRequest.HttpClientRequest, b: HttpClientRequest.HttpClientRequest): boolean =>
  a.method === b.method && a.url === b.url

/** The URL that a response has unless a redirect was followed. */
const hrefOf = (request: HttpClientRequest.HttpClientRequest): string | undefined => {
  const url = Option.getOrUndefined(HttpClientRequest.toUrl(request))
  if (url === undefined) return undefined
  url.hash = ""
  return url.href
}

interface Target {
  readonly host: string
  readonly port: number
}

const ports: Readonly<Record<string, number>> = { "http:": 80, "https:": 443 }

const targetOf = (request: HttpClientRequest.HttpClientRequest): Target | undefined => {
  const url = Option.getOrUndefined(HttpClientRequest.toUrl(request))
  if (url === undefined) return undefined
  const { hostname, port, protocol } = url
  return { host: hostname.replace(/^\[|\]$/g, ""), port: port === "" ? ports[protocol] ?? 0 : Number(port) }
}

/** Resolving a name, and connecting. Nothing was sent before. */
const unconnected = /^(?:connect|getaddrinfo|query[A-Z]\w*)$/
/** RFC 9113, 8.7. Node says it in the message only, undici also as a number. */
const isRefusedStream = (error: object): boolean =>
  Reflect.get(error, "http2ErrorCode") === 7 ||
  /\bNGHTTP2_REFUSED_STREAM\b/.test(String(Reflect.get(error, "message")))
/** The client refused to begin a stream. */
const notBegun = /^ERR_HTTP2_(?:GOAWAY_SESSION|OUT_OF_STREAMS)$/
/** Of undici and of Bun, which do not name a system call. */
const notConnected = /^(?:UND_ERR_CONNECT_TIMEOUT|ECONNREFUSED|ConnectionRefused|ENOTFOUND|EAI_AGAIN)$/

/** Whether an error, the first with a code in its chain, says that nothing was sent to the target. */
const isUnsent = (error: unknown, target: Target | "any" | undefined): boolean =>
  findFirst(error, ["cause"], (link) => {
    const errors: unknown = Reflect.get(link, "errors")
    if (Array.isArray(errors) && errors.length > 0) return errors.every((one) => isUnsent(one, target))
    const code: unknown = Reflect.get(link, "code")
    return typeof code === "string" ? saysUnsent(link, code, target) : undefined
  }) === true

const saysUnsent = (error: object, code: string, target: Target | "any" | undefined): boolean => {
  const syscall: unknown = Reflect.get(error, "syscall")
  if (target === "any") {
    return (typeof syscall === "string" && unconnected.test(syscall)) || notConnected.test(code) ||
      notBegun.test(code) ||
      (code === "ERR_HTTP2_STREAM_ERROR" && isRefusedStream(error))
  }
  if (target === undefined || typeof syscall !== "string" || !unconnected.test(syscall)) return false
  return syscall === "connect"
    ? Reflect.get(error, "port") === target.port && isAddressOf(target.host, Reflect.get(error, "address"))
    : Reflect.get(error, "hostname") === target.host
}

/** Whether an address is that of a host. The addresses of other names are not known here. */
const isAddressOf = (host: string, address: unknown): boolean =>
  host === "localhost" ? address === "127.0.0.1" || address === "::1" : host === address
