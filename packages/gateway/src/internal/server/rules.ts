/**
 * Which headers cross the gateway, in both directions. Everything else stays where it is.
 */
import type { ServedBucket } from "./NodeServed.ts"

type Headers = Readonly<Record<string, string>>
type RequestHeaders = Readonly<Record<string, string | ReadonlyArray<string> | undefined>>

/** Response headers of an object. */
const objectNames = new Set([
  "content-type",
  "content-encoding",
  "content-language",
  "content-disposition",
  "content-range",
  "cache-control",
  "expires",
  "etag",
  "last-modified"
])

const matches = (pattern: string, name: string): boolean =>
  pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1).toLowerCase()) : name === pattern.toLowerCase()

/** The headers of a response of the store that reach the client. */
export const selectHeaders = ({ options }: ServedBucket, headers: Headers, status: number): Headers => {
  const more = options.headers?.response ?? []
  return Object.fromEntries(Object.entries(headers).filter(([name]) =>
    (objectNames.has(name) || more.some((pattern) => matches(pattern, name))) &&
    !(status === 206 && name.startsWith("x-amz-checksum-"))))
}

/** What an entry of the cache keeps of a response. */
export const storedHeaders = (bucket: ServedBucket, headers: Headers): Headers => {
  const { date } = headers
  const selected = selectHeaders(bucket, headers, 200)
  return date === undefined ? selected : { ...selected, date }
}

const forwardedNames = ["range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since"]

const pick = (request: RequestHeaders, names: ReadonlyArray<string>): Record<string, string> => {
  const picked: Record<string, string> = {}
  for (const name of names) {
    const value = request[name]
    if (value !== undefined) picked[name] = typeof value === "string" ? value : value.join(", ")
  }
  return picked
}

const configuredNames = ({ options }: ServedBucket): ReadonlyArray<string> =>
  options.headers?.request.map((name) => name.toLowerCase()) ?? []

/** Whether the request has a header that reaches the store and that the cache does not know of. */
export const passesRequestHeaders = (request: RequestHeaders, bucket: ServedBucket): boolean =>
  bucket.options.headers !== undefined && configuredNames(bucket).some((name) => request[name] !== undefined)

/** The headers of a request that is answered by the store for this client alone. */
export const forwardedHeaders = (request: RequestHeaders, bucket: ServedBucket): Headers =>
  pick(request, [...forwardedNames, ...configuredNames(bucket)])

const uploadNames = [
  "content-type",
  "content-encoding",
  "content-language",
  "content-disposition",
  "content-md5",
  "cache-control",
  "expires",
  "if-match",
  "if-none-match"
]

/** The headers of an upload that reach the store. */
export const uploadHeaders = (request: RequestHeaders, bucket: ServedBucket): Headers =>
  pick(request, [...uploadNames, ...configuredNames(bucket)])
