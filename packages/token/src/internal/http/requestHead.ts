import type * as HttpServerRequest from "effect/http/HttpServerRequest"

/** What of a request may tell a token, in the form that requests of Effect's servers have. */
export interface RequestHead extends Pick<HttpServerRequest.HttpServerRequest, "method" | "url" | "source"> {
  /** By their names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>
}

interface Line {
  readonly method?: string | undefined
  readonly url?: string | undefined
}

/** Names and values in turn, as Node has what it received. */
interface Raw extends Line {
  readonly rawHeaders: ReadonlyArray<string>
}

/** Names with their values, as `[...request.headers]` of the web platform has them. */
interface Paired extends Line {
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>
}

/**
 * A request of any server: the one of Node as it is, or method, URL and headers of any other. Headers have to be those that were
 * received: where one of two was dropped already, nobody sees that there were two.
 */
export type Request = Raw | Paired

const rawHeadersOf = (request: Request): ReadonlyArray<string> =>
  "rawHeaders" in request ? request.rawHeaders : request.headers.flat()

/** The headers that are looked at. */
const names = new Set(["authorization", "cookie", "origin", "upgrade"])

/** Headers of one name are joined, as servers join them: RFC 9110, 5.3, and RFC 9113, 8.2.3 for cookies. */
const joined = (rawHeaders: ReadonlyArray<string>): RequestHead["headers"] => {
  const headers: Record<string, string> = {}
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]?.toLowerCase() ?? ""
    if (!names.has(name)) continue
    const [first, value = ""] = [headers[name], rawHeaders[index + 1]]
    headers[name] = first === undefined ? value : `${first}${name === "cookie" ? ";" : ","} ${value}`
  }
  return headers
}

/** The head of a request of any server. */
export const headOf = (request: Request): RequestHead => {
  const rawHeaders = rawHeadersOf(request)
  return {
    method: (request.method ?? "").toUpperCase(),
    url: request.url ?? "",
    headers: joined(rawHeaders),
    source: { rawHeaders }
  }
}
