import * as Result from "effect/Result"
import { LRUCache } from "lru-cache"
import type { Reason } from "../../TokenError.ts"
import { decodeCanonical } from "./base64url.ts"
import { malformed } from "./reasons.ts"
import { normalizedType } from "./rules.ts"
import { own, parseObject } from "./strictJson.ts"

/** What is looked at of a JOSE header. Whatever else is in it selects no key, and is followed nowhere. */
export interface TokenHeader {
  readonly alg: string
  readonly kid: string | undefined
  /** In small letters, and without `application/`. */
  readonly typ: string | undefined
}

const limits = { maxDepth: 4, maxMembers: 64 }

const isText = (value: unknown): value is string | undefined => value === undefined || typeof value === "string"

const read = (segment: string): Result.Result<TokenHeader, Reason> => {
  const bytes = decodeCanonical(segment)
  if (bytes === undefined) return Result.fail(malformed("header", "encoding"))
  const parsed = parseObject(bytes, limits)
  if (Result.isFailure(parsed)) return Result.fail(malformed("header", parsed.failure))
  const members = parsed.success.object
  // No extension is understood here. `b64` is one too, which is only valid where `crit` names it (RFC 7797, 6).
  if (own(members, "crit") !== undefined || own(members, "b64") !== undefined) {
    return Result.fail(malformed("header", "critical"))
  }
  const alg = own(members, "alg")
  const kid = own(members, "kid")
  const typ = own(members, "typ")
  if (typeof alg !== "string" || !isText(kid) || !isText(typ)) return Result.fail(malformed("header", "member"))
  return Result.succeed({ alg, kid, typ: typ === undefined ? undefined : normalizedType(typ) })
}

/** Longer headers are read each time, so that what is kept stays small. */
const maxKept = 1024

/**
 * Reads headers, and keeps the last good ones: all tokens of an issuer that one key signed have the same. What is kept
 * depends on nothing but the text.
 */
export const makeHeaderReader = (): (segment: string) => Result.Result<TokenHeader, Reason> => {
  const known = new LRUCache<string, Result.Result<TokenHeader, Reason>>({ max: 100 })
  return (segment) => {
    const found = known.get(segment)
    if (found !== undefined) return found
    const result = read(segment)
    if (Result.isSuccess(result) && segment.length <= maxKept) known.set(segment, result)
    return result
  }
}
