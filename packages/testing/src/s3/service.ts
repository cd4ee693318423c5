/** Answers the requests of the scripted S3. */
import type { IncomingMessage, ServerResponse } from "node:http"
import { type Fault, type Faults, sendBody, type Sleep } from "./faults.ts"
import { type Bucket, escapeXml, listXml, stored } from "./objects.ts"
import { read } from "./read.ts"
import { isSigned, type Refusal, refusalOf, type Signed, type Trust } from "./signature.ts"
import { bodyOf, headersToStore, payloadOf } from "./write.ts"

export interface Service {
  readonly buckets: Map<string, Bucket>
  readonly faults: Faults
  readonly trust: Trust
  /** Whether signatures are checked. */
  readonly signatures: boolean
  /** The name that the buckets are below, for requests to `bucket.name`. */
  readonly domain: string | undefined
  readonly sleep: Sleep
}

interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly signed: Signed
  readonly bucketName: string
  readonly key: string
  readonly fault: Fault
}

const sendError = (
  { fault, request, response }: Exchange,
  [status, code, message = code]: Refusal,
  headers: Readonly<Record<string, string>> = {}
): void => {
  const body =
    `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${escapeXml(message)}</Message>` +
    `<RequestId>scripted</RequestId></Error>`
  response.writeHead(status, {
    "content-type": "application/xml",
    "content-length": Buffer.byteLength(body),
    ...headers,
    ...fault.headers
  })
  response.end(request.method === "HEAD" ? undefined : body)
}

const putBucket = ({ bucketName, request, response }: Exchange, { buckets }: Service): void => {
  request.resume()
  const isPublic = request.headers["x-amz-acl"] === "public-read"
  if (!buckets.has(bucketName)) buckets.set(bucketName, { isPublic, objects: new Map() })
  response.writeHead(200, { location: `/${bucketName}`, "content-length": 0 }).end()
}

const putObject = async (exchange: Exchange, bucket: Bucket, { trust }: Service): Promise<void> => {
  const { fault, key, request, response } = exchange
  const sent = await bodyOf(request)
  if (Buffer.byteLength(key) > 1024) return sendError(exchange, [400, "KeyTooLongError"])
  const existing = bucket.objects.get(key)
  const { "if-match": ifMatch, "if-none-match": ifNoneMatch } = request.headers
  if (ifNoneMatch === "*" && existing !== undefined) return sendError(exchange, [412, "PreconditionFailed"])
  if (ifMatch !== undefined && existing === undefined) return sendError(exchange, [404, "NoSuchKey"])
  if (ifMatch !== undefined && ifMatch !== existing?.etag) return sendError(exchange, [412, "PreconditionFailed"])
  const payload = payloadOf(sent, request.headers)
  if (!Buffer.isBuffer(payload)) return sendError(exchange, payload)
  const object = stored(payload, headersToStore(request.headers), trust.now())
  bucket.objects.set(key, object)
  response.writeHead(200, { etag: object.etag, "content-length": 0, ...fault.headers }).end()
}

const getObject = async (exchange: Exchange, bucket: Bucket, service: Service): Promise<void> => {
  const { fault, key, request, response, signed } = exchange
  const object = bucket.objects.get(key)
  if (object === undefined) return sendError(exchange, [404, "NoSuchKey", "The specified key does not exist."])
  const reading = read(object, request.headers, signed.query)
  if (reading.code !== undefined) return sendError(exchange, [reading.status, reading.code], reading.headers)
  const hasLength = reading.status !== 304 && fault.chunked !== true
  const length = hasLength ? { "content-length": String(reading.length + (fault.extraLength ?? 0)) } : {}
  response.writeHead(reading.status, { ...reading.headers, ...length, ...fault.headers })
  if (reading.status === 304 || request.method === "HEAD") response.end()
  else await sendBody(response, object, reading, fault, service.sleep)
}

const onBucket = (exchange: Exchange, bucket: Bucket | undefined, service: Service): void => {
  const { bucketName, request, response, signed } = exchange
  if (request.method === "PUT") return putBucket(exchange, service)
  if (bucket === undefined) return sendError(exchange, [404, "NoSuchBucket"])
  if (request.method === "HEAD") return void response.writeHead(200).end()
  if (request.method === "GET") {
    response.writeHead(200, { "content-type": "application/xml" }).end(listXml(bucketName, bucket, signed.query))
  } else if (request.method !== "DELETE") sendError(exchange, [501, "NotImplemented"])
  else if (bucket.objects.size > 0) sendError(exchange, [409, "BucketNotEmpty"])
  else {
    service.buckets.delete(bucketName)
    response.writeHead(204).end()
  }
}

const onObject = async (exchange: Exchange, bucket: Bucket | undefined, service: Service): Promise<void> => {
  const { key, request, response } = exchange
  if (bucket === undefined) return sendError(exchange, [404, "NoSuchBucket"])
  if (request.method === "PUT") return putObject(exchange, bucket, service)
  if (request.method === "GET" || request.method === "HEAD") return getObject(exchange, bucket, service)
  if (request.method !== "DELETE") return sendError(exchange, [501, "NotImplemented"])
  bucket.objects.delete(key)
  response.writeHead(204).end()
}

const refusedBy = ({ bucketName, request, signed }: Exchange, { buckets, signatures, trust }: Service) => {
  const isRead = request.method === "GET" || request.method === "HEAD"
  if (isRead && !isSigned(signed) && buckets.get(bucketName)?.isPublic === true) return undefined
  return signatures ? refusalOf(signed, trust) : undefined
}

const answer = async (exchange: Exchange, service: Service): Promise<void> => {
  const { bucketName, fault, key, request } = exchange
  if (fault.delay !== undefined) await service.sleep(fault.delay)
  if (fault.until !== undefined) await fault.until
  if (fault.reset === true) return void request.socket.resetAndDestroy()
  if (fault.stall === true) return
  if (fault.status !== undefined) {
    request.resume()
    return sendError(exchange, [fault.status, fault.code ?? "SlowDown"])
  }
  const refused = refusedBy(exchange, service)
  if (refused !== undefined) {
    request.resume()
    return sendError(exchange, refused)
  }
  const bucket = service.buckets.get(bucketName)
  return key === "" ? onBucket(exchange, bucket, service) : onObject(exchange, bucket, service)
}

/** The bucket and the key of a request, decoded once; `undefined` if the path is malformed. */
const located = (path: string, host: string, domain: string | undefined) => {
  try {
    const name = host.replace(/:\d+$/, "")
    if (domain !== undefined && name.endsWith(`.${domain}`)) {
      return { bucketName: name.slice(0, -domain.length - 1), key: decodeURIComponent(path.slice(1)) }
    }
    const [, bucket = "", key = ""] = /^\/([^/]*)\/?(.*)$/s.exec(path) ?? []
    return { bucketName: decodeURIComponent(bucket), key: decodeURIComponent(key) }
  } catch {
    return undefined
  }
}

/** Answers one request. */
export const serve = async (request: IncomingMessage, response: ServerResponse, service: Service): Promise<void> => {
  const { headers, method = "", url = "" } = request
  const at = url.indexOf("?")
  const path = at < 0 ? url : url.slice(0, at)
  const query = new URLSearchParams(at < 0 ? "" : url.slice(at + 1).replaceAll("+", "%2B"))
  response.setHeader("x-amz-request-id", "scripted")
  response.setHeader("date", new Date(service.trust.now()).toUTCString())
  const place = located(path, headers.host ?? "", service.domain)
  const signed = { method, path, query, headers }
  const exchange = { request, response, signed, bucketName: "", key: "", fault: {}, ...place }
  if (place === undefined) return sendError(exchange, [400, "InvalidURI"])
  const fault = service.faults.next(place.bucketName, place.key) ?? {}
  return answer({ ...exchange, fault }, service)
}
