/**
 * Parsing of tokens: signed JWTs in the compact serialization (RFC 7515, 7.1), up to everything that needs no key.
 */
import * as Result from "effect/Result"
import { LRUCache } from "lru-cache"
import type * as TokenError from "../../TokenError.ts"
import { checkAlgorithm, checkType, type TokenClaims } from "./checks.ts"
import { decodeRegistered } from "./claims.ts"
import { decodeCanonical } from "./platform.ts"
import { issuerUntrusted, malformed } from "./reasons.ts"
import { normalizedType, type Rules, type TrustedIssuer } from "./rules.ts"
import { type Json, own, parseObject } from "./strictJson.ts"

type Reason = TokenError.Reason

/** The segments of a compact JWS, still encoded. */
export interface Segments {
  readonly header: string
  readonly payload: string
  readonly signature: string
  /** The signing input: header and payload, with the dot between them. */
  readonly signed: string
}

/** Splits a token in three. An encrypted token has five segments and is rejected (RFC 7515, 7.1; RFC 7516, 7.1). */
export const splitToken = (token: string, maxLength: number): Result.Result<Segments, Reason> => {
  if (token.length > maxLength) return Result.fail(malformed("token", "size"))
  const first = token.indexOf(".")
  const second = token.indexOf(".", first + 1)
  if (first === -1 || second === -1 || token.includes(".", second + 1)) {
    return Result.fail(malformed("token", "segments"))
  }
  return Result.succeed({
    header: token.slice(0, first),
    payload: token.slice(first + 1, second),
    signature: token.slice(second + 1),
    signed: token.slice(0, second)
  })
}

/** The members of a JOSE header that Keelson reads. No other member selects a key, and none is dereferenced. */
export interface TokenHeader {
  readonly alg: string
  readonly kid: string | undefined
  /** In lower case, and without `application/`. */
  readonly typ: string | undefined
}

const headerLimits = { maxDepth: 4, maxMembers: 64 }

const isOptionalString = (value: unknown): value is string | undefined =>
  value === undefined || typeof value === "string"

const parseHeader = (segment: string): Result.Result<TokenHeader, Reason> => {
  const bytes = decodeCanonical(segment)
  if (bytes === undefined) return Result.fail(malformed("header", "encoding"))
  const json = parseObject(bytes, headerLimits)
  if (Result.isFailure(json)) return Result.fail(malformed("header", json.failure))
  const members = json.success.object
  // No extension is supported. `b64` is one too, and only valid where `crit` names it (RFC 7797, 6).
  if (own(members, "crit") !== undefined || own(members, "b64") !== undefined) {
    return Result.fail(malformed("header", "critical"))
  }
  const alg = own(members, "alg")
  const kid = own(members, "kid")
  const typ = own(members, "typ")
  if (typeof alg !== "string" || !isOptionalString(kid) || !isOptionalString(typ)) {
    return Result.fail(malformed("header", "member"))
  }
  return Result.succeed({ alg, kid, typ: typ === undefined ? undefined : normalizedType(typ) })
}

/** Longer headers are parsed each time, so that the cache stays small. */
const maxCachedLength = 1024

/** Parses a header segment. */
export type ParseHeader = (segment: string) => Result.Result<TokenHeader, Reason>

/**
 * Makes a parser that caches the last valid headers: all tokens that an issuer signs with one key have the same header. A
 * cached result depends on nothing but the segment's text.
 */
export const makeHeaderParser = (): ParseHeader => {
  const cache = new LRUCache<string, Result.Result<TokenHeader, Reason>>({ max: 100 })
  return (segment) => {
    const cached = cache.get(segment)
    if (cached !== undefined) return cached
    const result = parseHeader(segment)
    if (Result.isSuccess(result) && segment.length <= maxCachedLength) cache.set(segment, result)
    return result
  }
}

/** Decodes the bytes of a signature, which have one valid spelling only. */
export const decodeSignature = ({ signature }: Segments): Result.Result<Uint8Array<ArrayBuffer>, Reason> => {
  const bytes = decodeCanonical(signature)
  return bytes === undefined ? Result.fail(malformed("signature", "encoding")) : Result.succeed(bytes)
}

/** Parses a payload within the limits of the policy. */
export const parsePayload = ({ payload }: Segments, { policy }: Rules): Result.Result<Json, Reason> => {
  const bytes = decodeCanonical(payload)
  return bytes === undefined
    ? Result.fail(malformed("payload", "encoding"))
    : Result.mapError(parseObject(bytes, policy), (problem) => malformed("payload", problem))
}

/** A well-formed token that names a trusted issuer. Its signature has not been verified yet. */
export interface ParsedToken extends TokenClaims {
  readonly segments: Segments
  readonly signature: Uint8Array<ArrayBuffer>
  readonly header: TokenHeader
  readonly issuer: TrustedIssuer
  /** Estimated bytes of the members in memory. */
  readonly size: number
}

/** Makes all checks that need no key. Keys are only looked up for a token that passes them. */
export const parseToken = (
  token: string,
  rules: Rules,
  parseHeader: ParseHeader
): Result.Result<ParsedToken, Reason> => {
  const segments = splitToken(token, rules.policy.maxLength)
  if (Result.isFailure(segments)) return Result.fail(segments.failure)
  const header = parseHeader(segments.success.header)
  if (Result.isFailure(header)) return Result.fail(header.failure)
  const reason = checkAlgorithm(header.success, rules) ?? checkType(header.success, rules)
  if (reason !== undefined) return Result.fail(reason)
  const signature = decodeSignature(segments.success)
  if (Result.isFailure(signature)) return Result.fail(signature.failure)
  const payload = parsePayload(segments.success, rules)
  if (Result.isFailure(payload)) return Result.fail(payload.failure)
  const { bytes: size, object: members } = payload.success
  const registered = decodeRegistered(members, rules)
  if (Result.isFailure(registered)) return Result.fail(registered.failure)
  const issuer = rules.trustedIssuer(registered.success.iss)
  if (issuer === undefined) return Result.fail(issuerUntrusted)
  return Result.succeed({
    segments: segments.success,
    signature: signature.success,
    header: header.success,
    members,
    registered: registered.success,
    size,
    issuer
  })
}
