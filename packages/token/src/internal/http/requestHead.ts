import type * as HttpServerRequest from "effect/http/HttpServerRequest"

/** The parts of a request that may contain a token, in the form of Effect's server requests. */
export interface RequestHead extends Pick<HttpServerRequest.HttpServerRequest, "method" | "url" | "source"> {
  /** By their names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>
  /** The URL with the part of its path that a router removed. Default `url`. */
  readonly originalUrl?: string
  /** The address from which the connection comes, where the server says so and the source has no socket. */
  readonly peerAddress?: HttpServerRequest.HttpServerRequest["peerAddress"]
}

interface RequestLine {
  /** The method. Default none. */
  readonly method?: string | undefined
  /** The URL, or its path and query. Default none. */
  readonly url?: string | undefined
  /** The same with the part of the path that a router removed, as Express has it. Default none. */
  readonly originalUrl?: string | undefined
  /**
   * The connection of the request, as Node has it: its address and its TLS certificate are used for tokens that are bound to a
   * client certificate. Default none.
   */
  readonly socket?: object | undefined
}

/** A request of Node. */
interface NodeRequest extends RequestLine {
  /** Names and values in turn, as received. Required. */
  readonly rawHeaders: ReadonlyArray<string>
}

/** A request of any other server. */
interface WebRequest extends RequestLine {
  /** Pairs of name and value, such as the `headers` of a web `Request`. Required. */
  readonly headers: Iterable<readonly [name: string, value: string]>
}

/**
 * A request of any server: Node's `IncomingMessage`, a `Request` of the web platform, or method, URL and headers of another
 * server. Headers must be complete: repeated headers are only detected where the server did not drop one.
 */
export type Request = NodeRequest | WebRequest

const rawHeadersOf = (request: Request): ReadonlyArray<string> =>
  "rawHeaders" in request ? request.rawHeaders : Array.from(request.headers).flat()

/** The headers that are read, besides those that may be configured. */
const names = new Set(["authorization", "cookie", "dpop", "origin", "upgrade"])

/** Joins headers with the same name, as servers do: RFC 9110, 5.3, and RFC 9113, 8.2.3 for cookies. */
const joinHeaders = (rawHeaders: ReadonlyArray<string>, more: ReadonlyArray<string>): RequestHead["headers"] => {
  const headers: Record<string, string> = {}
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]?.toLowerCase() ?? ""
    if (!names.has(name) && !more.includes(name)) continue
    const [first, value = ""] = [headers[name], rawHeaders[index + 1]]
    headers[name] = first === undefined ? value : `${first}${name === "cookie" ? ";" : ","} ${value}`
  }
  return headers
}

/** The head of a request of any server. `more` are the names, in lower case, of headers to read in addition. */
export const headOf = (request: Request, more: ReadonlyArray<string> = []): RequestHead => {
  const { originalUrl, socket } = request
  const rawHeaders = rawHeadersOf(request)
  return {
    method: (request.method ?? "").toUpperCase(),
    url: request.url ?? "",
    ...(originalUrl === undefined ? undefined : { originalUrl }),
    headers: joinHeaders(rawHeaders, more),
    source: { rawHeaders, socket }
  }
}

/**
 * The head of a request of any server, or `undefined` if it cannot be read: JavaScript may pass headers as a plain object.
 * `more` are the names, in lower case, of headers to read in addition.
 */
export const readHead = (request: Request, more: ReadonlyArray<string> = []): RequestHead | undefined => {
  try {
    return headOf(request, more)
  } catch {
    return undefined
  }
}
