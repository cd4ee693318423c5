import { Predicate } from "effect"
import type { HttpServerRequest } from "effect/http"
import { type Found, malformed, none, several } from "./found.ts"

/**
 * All values of `Authorization`. Node keeps the first of several and drops the others, except from the list of what it
 * received; other servers join them with commas.
 */
const valuesOf = ({ headers, source }: HttpServerRequest.HttpServerRequest): ReadonlyArray<string> => {
  const value = headers["authorization"]
  if (value === undefined) return []
  if (!Predicate.hasProperty(source, "rawHeaders") || !Array.isArray(source.rawHeaders)) return [value]
  const raw: ReadonlyArray<unknown> = source.rawHeaders
  const times = raw.filter((name, index) => index % 2 === 0 && String(name).toLowerCase() === "authorization").length
  return times > 1 ? [value, value] : [value]
}

const schemeName = /^[!#$%&'*+.^_`|~\w-]+$/
const b64token = /^[\w.~+/-]+=*$/

/** What a text is as a bearer token's: RFC 6750, 2.1. */
export const isBearerToken = (text: string): boolean => b64token.test(text)

/** Scheme and credentials are apart by spaces: RFC 9110, 11.4. */
const credentialsOf = (value: string): Found => {
  const space = value.indexOf(" ")
  const scheme = space < 0 ? value : value.slice(0, space)
  if (!schemeName.test(scheme)) return malformed
  // Another scheme is no bad token: the caller did not know which one is asked for (RFC 6750, 3.1).
  if (scheme.toLowerCase() !== "bearer") return none
  const text = space < 0 ? "" : value.slice(space).replace(/^ +/, "")
  return isBearerToken(text) ? { _tag: "Token", source: "header", text } : malformed
}

/** The token in `Authorization: Bearer`. */
export const inHeader = (request: HttpServerRequest.HttpServerRequest): Found => {
  const [value, second] = valuesOf(request)
  if (second !== undefined) return several
  return value === undefined || value === "" ? none : credentialsOf(value)
}
