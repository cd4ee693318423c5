/** Which headers go to a store and come from it. */
import type { StoreRequest } from "../../ObjectStore.ts"

/** Headers of one connection (RFC 9110, 7.6.1; RFC 9112, 6.1), and those that the signature or the connection sets. */
const hopByHop: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade"
])

/** Headers that a request of the caller must not have: they are set here, or change how the body is sent. */
const ours: ReadonlySet<string> = new Set([
  "authorization",
  "content-length",
  "date",
  "expect",
  "host",
  "x-amz-date",
  "x-amz-security-token",
  "x-amz-decoded-content-length",
  "x-amz-trailer"
])

const listed = (value: string): ReadonlyArray<string> => value.split(",").map((part) => part.trim().toLowerCase())

/** Whether a request has a body in the framing of aws-chunked, which would be stored as a part of the object. */
export const isFramed = ({ headers }: StoreRequest): boolean =>
  headers["x-amz-content-sha256"]?.startsWith("STREAMING-") === true ||
  (headers["content-encoding"] !== undefined && listed(headers["content-encoding"]).includes("aws-chunked"))

/** The headers of a request that go to the store, as a new record. */
export const requestHeaders = (headers: Readonly<Record<string, string>>): Record<string, string> => {
  const sent: Record<string, string> = {}
  const connection = headers["connection"]
  const named = connection === undefined ? undefined : listed(connection)
  for (const name in headers) {
    const value = headers[name]
    if (value === undefined || ours.has(name) || hopByHop.has(name) || named?.includes(name) === true) continue
    sent[name] = value
  }
  return sent
}

/** The codings of stored objects without `aws-chunked`, which some stores keep from the upload. */
const withoutFraming = (value: string): string =>
  value.split(",").map((part) => part.trim()).filter((coding) => coding.toLowerCase() !== "aws-chunked").join(", ")

/** The headers of a response that are passed on. Values that came several times are joined (RFC 9110, 5.3). */
export const responseHeaders = (
  headers: Readonly<Record<string, string | ReadonlyArray<string> | undefined>>
): Record<string, string> => {
  const passed: Record<string, string> = {}
  const connection = headers["connection"]
  const named = connection === undefined ? undefined : listed(String(connection))
  for (const name in headers) {
    const value = headers[name]
    if (value === undefined || hopByHop.has(name) || named?.includes(name) === true) continue
    const text = typeof value === "string" ? value : value.join(", ")
    if (name !== "content-encoding") passed[name] = text
    else if (withoutFraming(text) !== "") passed[name] = withoutFraming(text)
  }
  return passed
}
