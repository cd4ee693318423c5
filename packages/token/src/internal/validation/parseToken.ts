import * as Result from "effect/Result"
import type { Registered } from "../../Claims.ts"
import type { Reason } from "../../TokenError.ts"
import { decodeCanonical } from "./base64url.ts"
import { isExpectedType } from "./claimChecks.ts"
import type { TokenHeader } from "./joseHeader.ts"
import { algorithmUnsupported, issuerUntrusted, malformed, typeMismatch } from "./reasons.ts"
import { readRegistered } from "./registered.ts"
import type { Rules, TrustedIssuer } from "./rules.ts"
import { type Json, type JsonObject, parseObject } from "./strictJson.ts"

/** The three parts of a compact JWS. */
export interface Parts {
  readonly header: string
  readonly payload: string
  readonly signature: string
  /** What is signed: header and payload, with the dot between them. */
  readonly signed: string
}

/** What a payload says. */
interface Payload {
  readonly members: JsonObject
  readonly registered: Registered
  /** Bytes of the members in memory, as estimated. */
  readonly size: number
}

/** A token that has the right form and is of a trusted issuer, as it says. */
export interface Parsed extends Payload {
  readonly parts: Parts
  readonly signature: Uint8Array<ArrayBuffer>
  readonly header: TokenHeader
  readonly issuer: TrustedIssuer
}

/** Three parts and no more: an encrypted token has five, and is refused (RFC 7515, 7.1; RFC 7516, 7.1). */
export const splitToken = (token: string, maxLength: number): Result.Result<Parts, Reason> => {
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

/** The algorithm that a header names has to be one of the policy's (RFC 8725, 3.1). */
export const algorithmProblem = ({ alg }: TokenHeader, { algorithms }: Rules): Reason | undefined =>
  algorithms.has(alg) ? undefined : algorithmUnsupported

/** So has the `typ` (RFC 8725, 3.11). */
export const typeProblem = ({ typ }: TokenHeader, rules: Rules): Reason | undefined =>
  isExpectedType(typ, rules) ? undefined : typeMismatch

/** The bytes of a signature, which are written in one way only. */
export const readSignature = ({ signature }: Parts): Result.Result<Uint8Array<ArrayBuffer>, Reason> => {
  const bytes = decodeCanonical(signature)
  return bytes === undefined ? Result.fail(malformed("signature", "encoding")) : Result.succeed(bytes)
}

/** The members of a payload, within the limits of the policy. */
export const readPayload = ({ payload }: Parts, { policy }: Rules): Result.Result<Json, Reason> => {
  const bytes = decodeCanonical(payload)
  return bytes === undefined
    ? Result.fail(malformed("payload", "encoding"))
    : Result.mapError(parseObject(bytes, policy), (problem) => malformed("payload", problem))
}

/** All that can be said of a token without a key, which is looked for only where nothing is wrong so far. */
export const parseToken = (
  token: string,
  rules: Rules,
  readHeader: (segment: string) => Result.Result<TokenHeader, Reason>
): Result.Result<Parsed, Reason> => {
  const parts = splitToken(token, rules.policy.maxLength)
  if (Result.isFailure(parts)) return Result.fail(parts.failure)
  const header = readHeader(parts.success.header)
  if (Result.isFailure(header)) return Result.fail(header.failure)
  const problem = algorithmProblem(header.success, rules) ?? typeProblem(header.success, rules)
  if (problem !== undefined) return Result.fail(problem)
  const signature = readSignature(parts.success)
  if (Result.isFailure(signature)) return Result.fail(signature.failure)
  const payload = readPayload(parts.success, rules)
  if (Result.isFailure(payload)) return Result.fail(payload.failure)
  const { bytes: size, object: members } = payload.success
  const registered = readRegistered(members, rules.policy)
  if (Result.isFailure(registered)) return Result.fail(registered.failure)
  const issuer = rules.issuers.get(registered.success.iss)
  if (issuer === undefined) return Result.fail(issuerUntrusted)
  return Result.succeed({
    parts: parts.success,
    signature: signature.success,
    header: header.success,
    members,
    registered: registered.success,
    size,
    issuer
  })
}
