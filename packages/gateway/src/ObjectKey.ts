/**
 * The bucket and the key that a request names, from its raw target.
 *
 * The target is percent-decoded once. Nothing is normalized: dot segments, case, repeated, leading and trailing slashes, `;` and
 * Unicode forms belong to the key. No router and no `URL` reads it, since they change all of these.
 */
import type { Method } from "./BucketOptions.ts"
import { climbsOut, decodeOnce, fits, originForm } from "./internal/target/path.ts"
import { isRefused } from "./internal/target/query.ts"

/** What the rules need of a bucket. */
export interface Routed {
  readonly path: string
  readonly methods: ReadonlyArray<Method>
  readonly index?: string | undefined
}

/** A code of a refused request. */
export type Code =
  /** The target is malformed, or the key is not one that S3 could have (400). */
  | "GATEWAY_REQUEST_INVALID"
  /** No bucket has the path (404). */
  | "GATEWAY_BUCKET_NOT_FOUND"
  /** The path is that of a bucket, without a key (404). */
  | "GATEWAY_KEY_MISSING"
  /** The bucket does not serve the method (405). */
  | "GATEWAY_METHOD_NOT_ALLOWED"
  /** The query asks for what is not served, such as a version (400). */
  | "GATEWAY_QUERY_REFUSED"

/** A request for an object, or a preflight for one (`OPTIONS`). */
export interface Found<B> {
  readonly _tag: "Found"
  readonly bucket: B
  /** The key, decoded; with the index document of the bucket, where the request names one. */
  readonly key: string
  /** The raw query, without `?`. It never reaches the store. */
  readonly query: string
}

/** The path of a bucket without its last `/`, for which relative links of the index document would be wrong. */
export interface Redirect<B> {
  readonly _tag: "Redirect"
  readonly bucket: B
  /** The value for `Location`, which keeps the query. */
  readonly location: string
}

/** A request that is refused. The objects are shared. */
export interface Refused<B> {
  readonly _tag: "Refused"
  readonly code: Code
  /** The bucket, once it is known: its form of errors, and its methods for `Allow`. */
  readonly bucket: B | undefined
}

/** `OPTIONS *`, which asks about the server (RFC 9110, 9.3.7). */
export interface Server {
  readonly _tag: "Server"
}

/** What a request names. */
export type Target<B> = Found<B> | Redirect<B> | Refused<B> | Server

/** Returns what the method and the raw target of a request name. It never throws. */
export type Router<B> = (method: string, target: string) => Target<B>

const refusal = <B>(code: Code, bucket?: B): Refused<B> => ({ _tag: "Refused", code, bucket })

const malformed: Refused<never> = refusal("GATEWAY_REQUEST_INVALID")
const unknownBucket: Refused<never> = refusal("GATEWAY_BUCKET_NOT_FOUND")
const server: Server = { _tag: "Server" }

/** A bucket with the refusals of its requests. */
interface Entry<B> {
  readonly bucket: B
  readonly prefix: string
  readonly methods: ReadonlySet<string>
  readonly index: string | undefined
  readonly invalid: Refused<B>
  readonly noKey: Refused<B>
  readonly noMethod: Refused<B>
  readonly noQuery: Refused<B>
}

const entryOf = <B extends Routed>(bucket: B): Entry<B> => ({
  bucket,
  prefix: bucket.path === "/" ? "" : bucket.path,
  methods: new Set<string>([...bucket.methods, "OPTIONS"]),
  index: bucket.index,
  invalid: refusal("GATEWAY_REQUEST_INVALID", bucket),
  noKey: refusal("GATEWAY_KEY_MISSING", bucket),
  noMethod: refusal("GATEWAY_METHOD_NOT_ALLOWED", bucket),
  noQuery: refusal("GATEWAY_QUERY_REFUSED", bucket)
})

/** Finds the entry with the longest prefix of a path in whole segments. */
const finder = <B>(entries: ReadonlyArray<Entry<B>>) => {
  const byPrefix = new Map(entries.map((entry) => [entry.prefix, entry]))
  const deepest = Math.max(0, ...entries.map(({ prefix }) => prefix.split("/").length - 1))
  return (path: string): Entry<B> | undefined => {
    const ends: Array<number> = []
    for (let at = path.indexOf("/", 1); ends.length < deepest; at = path.indexOf("/", at + 1)) {
      ends.push(at === -1 ? path.length : at)
      if (at === -1) break
    }
    for (let index = ends.length - 1; index >= 0; index--) {
      const entry = byPrefix.get(path.slice(0, ends[index]))
      if (entry !== undefined) return entry
    }
    return byPrefix.get("")
  }
}

/**
 * Makes the router of buckets. The longest path in whole segments wins, compared after decoding: every spelling of a path reaches the
 * same bucket. A key with `..` that would climb out of its bucket is refused, since a proxy at the store could resolve it.
 *
 * Parameters of a query reach no store. Those that ask a store for something else (`versionId`, `response-*`, `X-Amz-*`) are refused,
 * and with `PUT` and `DELETE` all but `x-id`.
 *
 * **Example** (Keys are not paths)
 *
 * ```ts import.meta.vitest
 * import { ObjectKey } from "@keelson/gateway"
 *
 * const route = ObjectKey.router([{ path: "/products", methods: ["GET", "HEAD"] }])
 *
 * const found = route("GET", "/products/a//b;c/100%25.txt?v=2")
 * found._tag === "Found" && found.key // => "a//b;c/100%.txt"
 *
 * const refused = route("GET", "/products/%2e%2e/secrets/x")
 * refused._tag === "Refused" && refused.code // => "GATEWAY_REQUEST_INVALID"
 * ```
 *
 * @see RFC 9112, 3.2; RFC 3986, 2.1
 */
export const router = <B extends Routed>(buckets: ReadonlyArray<B>): Router<B> => {
  const find = finder(buckets.map(entryOf))
  return (method, target) => {
    if (target === "*") return method === "OPTIONS" ? server : malformed
    const whole = originForm(target)
    if (whole === undefined) return malformed
    const mark = whole.indexOf("?")
    const path = decodeOnce(mark === -1 ? whole : whole.slice(0, mark))
    if (path === undefined) return malformed
    const entry = find(path)
    if (entry === undefined) return unknownBucket
    if (!entry.methods.has(method)) return entry.noMethod
    const query = mark === -1 ? "" : whole.slice(mark + 1)
    const isWrite = method === "PUT" || method === "DELETE"
    if (isRefused(query, isWrite)) return entry.noQuery
    const { bucket, index, prefix } = entry
    let key = path.slice(prefix.length + 1)
    if (index !== undefined && !isWrite) {
      if (path === prefix) return { _tag: "Redirect", bucket, location: `${prefix}/${mark === -1 ? "" : `?${query}`}` }
      if (key === "" || key.endsWith("/")) key += index
    }
    if (key === "" && method !== "OPTIONS") return entry.noKey
    return climbsOut(key) || !fits(key) ? entry.invalid : { _tag: "Found", bucket, key, query }
  }
}
