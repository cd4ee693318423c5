/** What a PUT of an object stores: the body without the framing of aws-chunked, and the headers that belong to it. */
import { createHash } from "node:crypto"
import type { IncomingHttpHeaders, IncomingMessage } from "node:http"
import { type Refusal, sha256 } from "./signature.ts"

export const bodyOf = async (request: IncomingMessage): Promise<Buffer> => {
  const chunks: Array<Uint8Array> = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const lineEnd = Buffer.from("\r\n")

/** Removes the framing of aws-chunked: `length;extensions CRLF data CRLF`, a chunk of length 0, trailers. */
const withoutFraming = (body: Buffer): Buffer | undefined => {
  const chunks: Array<Buffer> = []
  let at = 0
  for (;;) {
    const end = body.indexOf(lineEnd, at)
    const length = Number.parseInt(body.subarray(at, end).toString("latin1"), 16)
    if (end < 0 || Number.isNaN(length)) return undefined
    if (length === 0) return Buffer.concat(chunks)
    const from = end + lineEnd.length
    chunks.push(body.subarray(from, from + length))
    at = from + length + lineEnd.length
  }
}

const storedHeader = /^(?:content-(?:type|disposition|language|encoding)|cache-control|expires|x-amz-meta-.*)$/

const isChunked = (headers: IncomingHttpHeaders): boolean =>
  String(headers["x-amz-content-sha256"]).startsWith("STREAMING-")

/** The headers that are stored: `aws-chunked` is the framing of the request, and no coding of the object. */
export const headersToStore = (headers: IncomingHttpHeaders): Record<string, string> => {
  const kept: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (!storedHeader.test(name) || value === undefined) continue
    const text = name === "content-encoding"
      ? String(value).split(/,\s*/).filter((coding) => coding !== "aws-chunked").join(", ")
      : String(value)
    if (text !== "") kept[name] = text
  }
  return kept
}

/** The body to store, or the reason to refuse it. */
export const payloadOf = (sent: Buffer, headers: IncomingHttpHeaders): Buffer | Refusal => {
  const body = isChunked(headers) ? withoutFraming(sent) : sent
  if (body === undefined) return [400, "IncompleteBody"]
  const decodedLength = headers["x-amz-decoded-content-length"]
  if (decodedLength !== undefined && Number(decodedLength) !== body.length) return [400, "IncompleteBody"]
  const announced = String(headers["x-amz-content-sha256"] ?? "UNSIGNED-PAYLOAD")
  if (/^[0-9a-f]{64}$/.test(announced) && announced !== sha256(body)) return [400, "XAmzContentSHA256Mismatch"]
  const md5 = headers["content-md5"]
  if (md5 !== undefined && md5 !== createHash("md5").update(body).digest("base64")) return [400, "BadDigest"]
  return body
}
