/** What a GET or HEAD of an object gets: preconditions and ranges as AWS answers them. */
import type { IncomingHttpHeaders } from "node:http"
import type { StoredObject } from "./objects.ts"

/** The head of a response, and the bytes of the object that its body has. */
export interface Reading {
  readonly status: number
  /** The code of the error for a status of 400 and more. */
  readonly code?: string
  readonly headers: Readonly<Record<string, string>>
  readonly from: number
  readonly length: number
}

const matches = (condition: string, etag: string): boolean =>
  condition.trim() === "*" || condition.split(",").some((one) => one.trim().replace(/^W\//, "") === etag)

const sent = (headers: IncomingHttpHeaders, name: string): string | undefined => {
  const value = headers[name]
  return value === undefined ? undefined : String(value)
}

/** Evaluates preconditions in the order of RFC 9110, 13.2.2. Returns the status that ends the request. */
const precondition = (headers: IncomingHttpHeaders, { etag, modified }: StoredObject): 304 | 412 | undefined => {
  const ifMatch = sent(headers, "if-match")
  const ifUnmodified = sent(headers, "if-unmodified-since")
  const ifNoneMatch = sent(headers, "if-none-match")
  const ifModified = sent(headers, "if-modified-since")
  if (
    ifMatch === undefined
      ? ifUnmodified !== undefined && modified > Date.parse(ifUnmodified)
      : !matches(ifMatch, etag)
  ) {
    return 412
  }
  const isSame = ifNoneMatch === undefined
    ? ifModified !== undefined && modified <= Date.parse(ifModified)
    : matches(ifNoneMatch, etag)
  return isSame ? 304 : undefined
}

type Range = { readonly from: number; readonly to: number } | "unsatisfiable" | undefined

/** The requested range. Several ranges, other units and malformed ones are ignored, as AWS does. */
const rangeOf = (headers: IncomingHttpHeaders, { etag, modified, size }: StoredObject): Range => {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(headers.range ?? "") ?? []
  if (first === undefined || last === undefined || first + last === "") return undefined
  const ifRange = sent(headers, "if-range")
  if (ifRange !== undefined && ifRange !== etag && Date.parse(ifRange) !== modified) return undefined
  const from = first === "" ? Math.max(0, size - Number(last)) : Number(first)
  const to = first === "" || last === "" ? size - 1 : Math.min(size - 1, Number(last))
  return from > to ? "unsatisfiable" : { from, to }
}

const overridable = [
  "content-type",
  "content-language",
  "content-disposition",
  "content-encoding",
  "cache-control",
  "expires"
]

const headersOf = (object: StoredObject, query: URLSearchParams): Record<string, string> => ({
  "content-type": "binary/octet-stream",
  ...object.headers,
  etag: object.etag,
  "last-modified": new Date(object.modified).toUTCString(),
  "accept-ranges": "bytes",
  ...Object.fromEntries(overridable.flatMap((name) => {
    const value = query.get(`response-${name}`)
    return value === null ? [] : [[name, value]]
  }))
})

const notModified = (headers: Record<string, string>): Record<string, string> =>
  Object.fromEntries(
    ["etag", "last-modified", "cache-control"].flatMap((name) => {
      const value = headers[name]
      return value === undefined ? [] : [[name, value]]
    })
  )

export const read = (object: StoredObject, requested: IncomingHttpHeaders, query: URLSearchParams): Reading => {
  const headers = headersOf(object, query)
  const ended = precondition(requested, object)
  if (ended === 412) return { status: 412, code: "PreconditionFailed", headers: {}, from: 0, length: 0 }
  if (ended === 304) return { status: 304, headers: notModified(headers), from: 0, length: 0 }
  const range = rangeOf(requested, object)
  if (range === "unsatisfiable") {
    return {
      status: 416,
      code: "InvalidRange",
      headers: { "content-range": `bytes */${object.size}` },
      from: 0,
      length: 0
    }
  }
  if (range === undefined) return { status: 200, headers, from: 0, length: object.size }
  const contentRange = `bytes ${range.from}-${range.to}/${object.size}`
  return {
    status: 206,
    headers: { ...headers, "content-range": contentRange },
    from: range.from,
    length: range.to - range.from + 1
  }
}
