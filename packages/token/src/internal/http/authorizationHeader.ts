import * as Predicate from "effect/Predicate"
import { type Found, malformed, none, several } from "./found.ts"
import type { RequestHead } from "./requestHead.ts"

/** Whether the header is there more than once: Node keeps the first, and shows the others where it lists what it received. */
const isRepeated = (source: object): boolean => {
  if (!Predicate.hasProperty(source, "rawHeaders") || !Array.isArray(source.rawHeaders)) return false
  let times = 0
  for (let index = 0; index < source.rawHeaders.length; index += 2) {
    const name: unknown = source.rawHeaders[index]
    if (Predicate.isString(name) && name.length === 13 && name.toLowerCase() === "authorization") times++
  }
  return times > 1
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

/** The token in `Authorization: Bearer`. Servers other than Node's join headers of one name with commas, as no token has. */
export const inHeader = ({ headers, source }: RequestHead): Found => {
  const value = headers["authorization"]
  if (value === undefined) return none
  if (isRepeated(source)) return several
  return value === "" ? none : credentialsOf(value)
}
