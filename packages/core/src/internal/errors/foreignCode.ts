import * as Predicate from "effect/Predicate"
import type { ErrorCode } from "../../ErrorCode.ts"
import { findFirst } from "../../unstable/CauseChain.ts"

/** The code of an HTTP status; `undefined` below 400. */
export const statusCode = (status: number): ErrorCode | undefined => {
  if (status < 400) return undefined
  if (status === 429) return "RATE_LIMITED"
  if (status === 408 || status === 504) return "TIMEOUT"
  return status >= 500 ? "UPSTREAM_UNAVAILABLE" : "UPSTREAM_REJECTED"
}

const tls =
  /^(?:ERR_TLS|ERR_SSL|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|HOSTNAME_MISMATCH|EPROTO$|CRL_|INVALID_(?:CA|PURPOSE)$|PATH_LENGTH_EXCEEDED$|ERROR_IN_C(?:ERT|RL)_|(?:CA|EE)_(?:KEY|MD)_TOO_)/
const network = /^(?:ECONN(?:REFUSED|RESET|ABORTED)|EPIPE|E(?:HOST|NET)(?:UNREACH|DOWN)|EADDRNOTAVAIL|UND_ERR_[A-Z_]+)$/
const resolution = /^(?:ENOTFOUND|EAI_[A-Z]+|ENODATA|ENONAME|ESERVFAIL|EREFUSED|EFORMERR|ENOTIMP|EBAD(?:NAME|RESP))$/
const timeout =
  /^(?:ETIMEDOUT|ETIMEOUT|ESOCKETTIMEDOUT|ERR_(?:SOCKET_CONNECTION|TLS_HANDSHAKE)_TIMEOUT|UND_ERR_(?:HEADERS|BODY|CONNECT)_TIMEOUT)$/

/** The code of an error of Node's sockets, name resolution or TLS. */
const systemCode = (code: string): ErrorCode | undefined => {
  if (timeout.test(code)) return "TIMEOUT"
  if (tls.test(code)) return "TLS_FAILED"
  return network.test(code) || resolution.test(code) ? "NETWORK_ERROR" : undefined
}

const causes = ["cause"] as const

/** The first system code in a chain of causes. */
const ofCause = (error: unknown): ErrorCode | undefined =>
  findFirst(
    error,
    causes,
    (link) => "code" in link && typeof link.code === "string" ? systemCode(link.code) : undefined
  )

const ofHttpClient = (reason: unknown): ErrorCode | undefined => {
  if (!Predicate.isObject(reason)) return undefined
  if (reason["_tag"] === "TransportError") return ofCause(reason["cause"]) ?? "NETWORK_ERROR"
  const response = reason["response"]
  if (reason["_tag"] === "StatusCodeError" && Predicate.hasProperty(response, "status")) {
    return statusCode(Number(response.status))
  }
  return reason["_tag"] === "DecodeError" || reason["_tag"] === "EmptyBodyError"
    ? "UPSTREAM_REJECTED"
    : "INTERNAL_ERROR"
}

/** The code of an error of Effect or Node. It goes by their shape, so that no module of theirs is imported. */
export const foreignCode = (error: object): ErrorCode | undefined => {
  const tag = "_tag" in error ? error._tag : undefined
  if (tag === "TimeoutError") return "TIMEOUT"
  if (tag === "HttpClientError" && "reason" in error) return ofHttpClient(error.reason)
  return error instanceof Error ? ofCause(error) : undefined
}
