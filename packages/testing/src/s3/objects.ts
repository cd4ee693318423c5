/** The buckets and objects of the scripted S3, and the list of a bucket as XML. */
import { createHash } from "node:crypto"
import { encode, encodePath } from "./signature.ts"

/** A stored object. One without a body is synthetic: its bytes are made while they are sent. */
export interface StoredObject {
  readonly body: Uint8Array | undefined
  readonly size: number
  readonly etag: string
  /** The headers that were stored with it. */
  readonly headers: Readonly<Record<string, string>>
  /** In milliseconds since 1970, without a fraction of a second. */
  readonly modified: number
}

export interface Bucket {
  /** Whether requests without a signature may read it. */
  readonly isPublic: boolean
  readonly objects: Map<string, StoredObject>
}

const md5 = (data: string | Uint8Array): string => createHash("md5").update(data).digest("hex")

const seconds = (time: number): number => Math.floor(time / 1000) * 1000

export const stored = (body: Uint8Array, headers: Readonly<Record<string, string>>, now: number): StoredObject => ({
  body,
  size: body.length,
  etag: `"${md5(body)}"`,
  headers,
  modified: seconds(now)
})

/** An object of any size that needs no memory, with the ETag of a multipart upload. */
export const synthetic = (
  key: string,
  size: number,
  headers: Readonly<Record<string, string>>,
  now: number
): StoredObject => ({ body: undefined, size, etag: `"${md5(`${key} ${size}`)}-9"`, headers, modified: seconds(now) })

const period = 251
const chunkSize = 65_536
const pattern = Buffer.from(Uint8Array.from({ length: chunkSize + period }, (_, at) => at % period))

/** At most 64 KiB of a synthetic object: the byte at the offset `n` is `n % 251`. */
export const syntheticBytes = (offset: number, length: number): Buffer =>
  pattern.subarray(offset % period, (offset % period) + Math.min(length, chunkSize))

/** At most 64 KiB of an object. */
export const bytesOf = ({ body }: StoredObject, offset: number, length: number): Uint8Array =>
  body === undefined ? syntheticBytes(offset, length) : body.subarray(offset, offset + Math.min(length, chunkSize))

export const escapeXml = (text: string): string => text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`)

const compareBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

interface Page {
  readonly keys: ReadonlyArray<string>
  readonly prefixes: ReadonlyArray<string>
  /** The last entry, if there are more. */
  readonly next: string | undefined
}

/** The entries of a page: keys, and the prefixes that keys with a delimiter are grouped under. */
const pageOf = (bucket: Bucket, query: URLSearchParams): Page => {
  const prefix = query.get("prefix") ?? ""
  const delimiter = query.get("delimiter") ?? ""
  const most = Number(query.get("max-keys") ?? 1000)
  const token = query.get("continuation-token")
  const after = token === null ? query.get("start-after") ?? "" : Buffer.from(token, "base64url").toString()
  const keys: Array<string> = []
  const prefixes: Array<string> = []
  let last: string | undefined
  for (const key of [...bucket.objects.keys()].filter((key) => key.startsWith(prefix)).sort(compareBytes)) {
    const at = delimiter === "" ? -1 : key.indexOf(delimiter, prefix.length)
    const entry = at < 0 ? key : key.slice(0, at + delimiter.length)
    if (compareBytes(entry, after) <= 0 || entry === last) continue
    if (keys.length + prefixes.length === most) return { keys, prefixes, next: last }
    if (at < 0) keys.push(entry)
    else prefixes.push(entry)
    last = entry
  }
  return { keys, prefixes, next: undefined }
}

/** The response of ListObjectsV2. */
export const listXml = (name: string, bucket: Bucket, query: URLSearchParams): string => {
  const { keys, next, prefixes } = pageOf(bucket, query)
  const isUrl = query.get("encoding-type") === "url"
  const written = isUrl ? encodePath : escapeXml
  const contents = keys.map((key) => {
    const { etag, modified, size } = bucket.objects.get(key)!
    const at = new Date(modified).toISOString()
    return `<Contents><Key>${written(key)}</Key><LastModified>${at}</LastModified><ETag>${escapeXml(etag)}</ETag>` +
      `<Size>${size}</Size><StorageClass>STANDARD</StorageClass></Contents>`
  })
  const groups = prefixes.map((prefix) => `<CommonPrefixes><Prefix>${written(prefix)}</Prefix></CommonPrefixes>`)
  const token = next === undefined ? "" : Buffer.from(next).toString("base64url")
  return [
    `<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`,
    `<Name>${encode(name)}</Name><Prefix>${written(query.get("prefix") ?? "")}</Prefix>`,
    `<KeyCount>${keys.length + prefixes.length}</KeyCount><MaxKeys>${query.get("max-keys") ?? 1000}</MaxKeys>`,
    `<IsTruncated>${next !== undefined}</IsTruncated>`,
    isUrl ? "<EncodingType>url</EncodingType>" : "",
    next === undefined ? "" : `<NextContinuationToken>${token}</NextContinuationToken>`,
    ...contents,
    ...groups,
    "</ListBucketResult>"
  ].join("")
}
