/**
 * Answers to pages of other origins, as pure data.
 *
 * @see https://fetch.spec.whatwg.org/#http-cors-protocol
 */
import * as Duration from "effect/Duration"
import type { Cors as CorsOptions, Method } from "./BucketOptions.ts"
import type { RequestHeaders } from "./Conditional.ts"
import type { HeaderRecord } from "./HeaderRules.ts"

/** The rules of a bucket. */
export interface Cors {
  /** The headers to add to every answer of the bucket, also to errors and to requests without `Origin`. The objects are shared. */
  readonly headers: (origin: string | undefined) => HeaderRecord
  /** The headers of the answer (204) to `OPTIONS`, which is no request for an object. */
  readonly preflight: (headers: RequestHeaders) => HeaderRecord
}

const none: HeaderRecord = {}

const single = (value: string | ReadonlyArray<string> | undefined): string | undefined =>
  typeof value === "string" ? value : undefined

/**
 * Makes the rules from the option `cors` of a bucket. Without it, no origin is allowed, and `OPTIONS` is answered with `Allow` only.
 *
 * Where origins are listed, every answer has `Vary: Origin`, so that a cache does not serve the answer to one origin, or to none, to
 * another one.
 *
 * **Example** (A page of a listed origin)
 *
 * ```ts import.meta.vitest
 * import { Cors } from "@keelson/gateway"
 * import { Duration } from "effect"
 *
 * const cors = Cors.make(["GET", "HEAD"], {
 *   origins: ["https://app.example"],
 *   headers: ["range"],
 *   expose: ["etag"],
 *   credentials: false,
 *   maxAge: Duration.minutes(5)
 * })
 * cors.headers(undefined) // => { vary: "Origin" }
 * cors.headers("https://app.example")["access-control-allow-origin"] // => "https://app.example"
 * cors.preflight({ origin: "https://evil.example", "access-control-request-method": "GET" }) // => { allow: "GET, HEAD, OPTIONS", vary: "Origin" }
 * ```
 */
export const make = (methods: ReadonlyArray<Method>, options: CorsOptions | undefined): Cors => {
  const allow = [...methods, "OPTIONS"].join(", ")
  if (options === undefined) {
    const answer: HeaderRecord = { allow }
    return { headers: () => none, preflight: () => answer }
  }
  const isAny = options.origins.includes("*")
  const vary: HeaderRecord = isAny ? none : { vary: "Origin" }
  const expose = options.expose.length === 0 ? none : { "access-control-expose-headers": options.expose.join(", ") }
  const credentials = options.credentials ? { "access-control-allow-credentials": "true" } : none
  const granted = new Map<string, HeaderRecord>(options.origins.map((origin) => [
    origin,
    { ...vary, "access-control-allow-origin": origin, ...credentials, ...expose }
  ]))
  const headers = (origin: string | undefined): HeaderRecord => {
    if (origin === undefined) return vary
    return granted.get(isAny ? "*" : origin) ?? vary
  }
  const refused: HeaderRecord = { allow, ...vary }
  const accepted = {
    allow,
    "access-control-allow-methods": methods.join(", "),
    ...(options.headers.length === 0 ? undefined : { "access-control-allow-headers": options.headers.join(", ") }),
    "access-control-max-age": String(Math.floor(Duration.toSeconds(options.maxAge)))
  }
  const preflight = (request: RequestHeaders): HeaderRecord => {
    const origin = single(request["origin"])
    const grant = origin === undefined ? undefined : granted.get(isAny ? "*" : origin)
    if (grant === undefined || request["access-control-request-method"] === undefined) return refused
    const { "access-control-expose-headers": _, ...rest } = grant
    return { ...rest, ...accepted }
  }
  return { headers, preflight }
}
