/**
 * Which headers cross the gateway, in both directions: those of a list, and no others.
 *
 * The rules are functions of headers by name in lower case, as Node.js has them. They never throw.
 */
import type { Headers as HeaderLists } from "./BucketOptions.ts"
import type { RequestHeaders } from "./Conditional.ts"
import { connectionNames, isSendable, isValue, listOf, type Lists } from "./internal/headers/names.ts"

/** Headers by name in lower case. */
export type HeaderRecord = Readonly<Record<string, string>>

/** Request headers of a read that a store is sent: ranges and preconditions. */
const ofReads = ["range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"]

/** Request headers of a write: what is stored with the object, and preconditions. */
const ofWrites = [
  "if-match",
  "if-none-match",
  "content-type",
  "content-encoding",
  "content-language",
  "content-disposition",
  "content-md5",
  "cache-control",
  "expires",
  "x-amz-checksum-*",
  "x-amz-sdk-checksum-algorithm"
]

/** Response headers that reach clients. */
const ofResponses = [
  "accept-ranges",
  "cache-control",
  "content-disposition",
  "content-encoding",
  "content-language",
  "content-range",
  "content-type",
  "etag",
  "expires",
  "last-modified",
  "x-amz-checksum-*",
  "x-amz-checksum-type"
]

/** The rules of a bucket. */
export interface HeaderRules {
  /**
   * The headers that the store is sent with a request. `undefined` for a request that is refused (400): it has a header that cannot
   * be sent on, or a body with the framing `aws-chunked`, which a store would keep as part of the object.
   */
  readonly toStore: (method: string, headers: RequestHeaders) => HeaderRecord | undefined
  /** Whether a request has a header of the configuration's own list, on which the answer may depend: it is not cached. */
  readonly isUncacheable: (headers: RequestHeaders) => boolean
  /** The headers of a store's response that may be kept and sent to clients. */
  readonly fromStore: (status: number, headers: HeaderRecord) => HeaderRecord
}

const joined = (value: string | ReadonlyArray<string> | undefined): string | undefined =>
  value === undefined || typeof value === "string" ? value : value.join(", ")

/** The codings of a body without `aws-chunked`, which is framing of requests and no coding. */
const withoutChunks = (value: string): string =>
  value.split(",").map((coding) => coding.trim()).filter((coding) => coding.toLowerCase() !== "aws-chunked").join(", ")

const isChunked = (headers: RequestHeaders): boolean =>
  /(?:^|[\t ,])aws-chunked(?:$|[\t ,])/i.test(joined(headers["content-encoding"]) ?? "") ||
  /^\s*STREAMING-/i.test(joined(headers["x-amz-content-sha256"]) ?? "") ||
  headers["x-amz-decoded-content-length"] !== undefined ||
  headers["x-amz-trailer"] !== undefined

const pick = (headers: RequestHeaders, isListed: Lists): Record<string, string> | undefined => {
  const own = connectionNames(joined(headers["connection"]))
  const picked: Record<string, string> = {}
  for (const name of Object.keys(headers)) {
    if (!isListed(name) || own?.has(name) === true) continue
    const value = joined(headers[name])
    if (value === undefined) continue
    if (!isSendable(name, value)) return undefined
    picked[name] = value
  }
  return picked
}

/**
 * Makes the rules of a bucket from its option `headers`, whose names are added to the usual ones. Never in either direction: headers
 * of the connection and those that `Connection` names, cookies, credentials, addresses of proxies, and values that would end a line.
 *
 * - To a store: ranges and preconditions of reads; what is stored with the object, and preconditions, of writes.
 * - From a store: `x-amz-checksum-...` is that of the whole object, and is removed from a 206. `aws-chunked` is removed from
 *   `Content-Encoding`.
 *
 * **Example** (Headers of a range)
 *
 * ```ts import.meta.vitest
 * import { HeaderRules } from "@keelson/gateway"
 *
 * const rules = HeaderRules.make({ request: [], response: ["x-amz-meta-*"] })
 * rules.toStore("GET", { range: "bytes=0-1", cookie: "a=b", "x-amz-acl": "private" }) // => { range: "bytes=0-1" }
 *
 * const headers = { etag: "\"a\"", "x-amz-checksum-crc32": "AAAAAA==", "x-amz-meta-owner": "me", "set-cookie": "a=b" }
 * rules.fromStore(206, headers) // => { etag: "\"a\"", "x-amz-meta-owner": "me" }
 * ```
 *
 * @see RFC 9110, 5.5 and 7.6.1
 */
export const make = ({ request, response }: HeaderLists): HeaderRules => {
  const reads = listOf([...ofReads, ...request])
  const writes = listOf([...ofWrites, ...request])
  const own = listOf(request)
  const responses = listOf([...ofResponses, ...response])
  return {
    toStore: (method, headers) => {
      if (method === "GET" || method === "HEAD") return pick(headers, reads)
      return isChunked(headers) ? undefined : pick(headers, writes)
    },
    isUncacheable: (headers) => request.length > 0 && Object.keys(headers).some(own),
    fromStore: (status, headers) => {
      const connection = connectionNames(headers["connection"])
      const kept: Record<string, string> = {}
      for (const [name, value] of Object.entries(headers)) {
        if (!responses(name) || connection?.has(name) === true || !isSendable(name, value)) continue
        if (status === 206 && name.startsWith("x-amz-checksum-")) continue
        const own = name === "content-encoding" ? withoutChunks(value) : value
        if (own !== "" || name !== "content-encoding") kept[name] = own
      }
      return kept
    }
  }
}

/** Directives of `Cache-Control` that let a shared cache keep an answer (RFC 9111, 5.2.2; RFC 8246 is unaffected). */
const shared = /^(?:public|s-maxage(?:=.*)?|proxy-revalidate)$/i

/**
 * The value of `Cache-Control` for the client. An answer that needed authorization is `private`: without `public` and `s-maxage`, so that no
 * cache between the gateway and the client serves it to another one.
 *
 * **Example** (An object of a closed bucket)
 *
 * ```ts import.meta.vitest
 * import { HeaderRules } from "@keelson/gateway"
 *
 * HeaderRules.cacheControl("public, max-age=60, s-maxage=600", false) // => "private, max-age=60"
 * HeaderRules.cacheControl(undefined, false) // => "private"
 * HeaderRules.cacheControl(undefined, true) // => undefined
 * ```
 *
 * @see RFC 9111, 3.5 and 5.2.2
 */
export const cacheControl = (value: string | undefined, isPublic: boolean): string | undefined => {
  if (isPublic) return value
  const kept = (value ?? "").split(",").map((directive) => directive.trim()).filter((directive) =>
    directive !== "" && !shared.test(directive) && !/^private(?:=.*)?$/i.test(directive) && isValue(directive)
  )
  return kept.some((directive) => /^no-store$/i.test(directive)) ? kept.join(", ") : ["private", ...kept].join(", ")
}
