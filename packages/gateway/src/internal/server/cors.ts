/**
 * Which pages of other origins may read a response.
 *
 * @see Fetch, 3.3
 */
import * as Duration from "effect/Duration"
import type { Cors } from "../../BucketOptions.ts"

const methodsOf = (methods: ReadonlyArray<string>): string => [...methods, "OPTIONS"].join(", ")

/** The value of `Access-Control-Allow-Origin`; `undefined` for an origin that may not read. */
const allowedOrigin = ({ credentials, origins }: Cors, origin: string | undefined): string | undefined => {
  if (origins.includes("*") && !credentials) return "*"
  return origin !== undefined && origins.includes(origin) ? origin : undefined
}

/** Adds the headers of CORS. `Vary` goes on every answer, so that no cache gives the answer of one origin to another. */
export const addCors = (headers: Array<string>, cors: Cors, origin: string | undefined): void => {
  const allowed = allowedOrigin(cors, origin)
  if (allowed !== "*") headers.push("vary", "origin")
  if (allowed === undefined) return
  headers.push("access-control-allow-origin", allowed)
  if (cors.credentials) headers.push("access-control-allow-credentials", "true")
  if (cors.expose.length > 0) headers.push("access-control-expose-headers", cors.expose.join(", "))
}

/** The headers of an answer to `OPTIONS`: the methods, and for a preflight what pages may send. */
export const optionsHeaders = (
  cors: Cors | undefined,
  methods: ReadonlyArray<string>,
  request: Readonly<Record<string, string | ReadonlyArray<string> | undefined>>
): Array<string> => {
  const headers = ["allow", methodsOf(methods)]
  const isPreflight = request["access-control-request-method"] !== undefined
  if (cors === undefined || !isPreflight) return headers
  const origin = typeof request["origin"] === "string" ? request["origin"] : undefined
  headers.push("vary", "access-control-request-method, access-control-request-headers")
  if (allowedOrigin(cors, origin) === undefined) return headers
  headers.push("access-control-allow-methods", methods.join(", "))
  if (cors.headers.length > 0) headers.push("access-control-allow-headers", cors.headers.join(", "))
  headers.push("access-control-max-age", String(Math.floor(Duration.toSeconds(cors.maxAge))))
  return headers
}
