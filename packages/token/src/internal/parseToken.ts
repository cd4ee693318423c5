import { Result } from "effect"
import type { Registered } from "../Claims.ts"
import type { Reason } from "../TokenError.ts"
import { decodeCanonical } from "./base64url.ts"
import { isExpectedType } from "./claimChecks.ts"
import type { TokenHeader } from "./joseHeader.ts"
import { algorithmUnsupported, issuerUntrusted, malformed, typeMismatch } from "./reasons.ts"
import { readRegistered } from "./registered.ts"
import type { Rules, TrustedIssuer } from "./rules.ts"
import { type JsonObject, parseObject } from "./strictJson.ts"

/** The three parts of a compact JWS. */
export interface Parts {
  readonly header: string
  readonly payload: string
  readonly signature: string
  /** What is signed: header and payload, with the dot between them. */
  readonly signed: string
}

/** A token that has the right form and is of a trusted issuer, as it says. */
export interface Parsed {
  readonly parts: Parts
  readonly signature: Uint8Array<ArrayBuffer>
  readonly header: TokenHeader
  readonly members: JsonObject
  readonly registered: Registered
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

/** What the header says, held against the policy (RFC 8725, 3.1 and 3.11). */
export const headerProblem = ({ alg, typ }: TokenHeader, rules: Rules): Reason | undefined => {
  if (!rules.algorithms.has(alg)) return algorithmUnsupported
  return isExpectedType(typ, rules) ? undefined : typeMismatch
}

/** The claims of a payload, within the limits of the policy. */
export const readPayload = (
  payload: string,
  { policy }: Rules
): Result.Result<{ readonly members: JsonObject; readonly registered: Registered }, Reason> => {
  const bytes = decodeCanonical(payload)
  if (bytes === undefined) return Result.fail(malformed("payload", "encoding"))
  const parsed = parseObject(bytes, policy)
  if (Result.isFailure(parsed)) return Result.fail(malformed("payload", parsed.failure))
  const members = parsed.success
  return Result.map(readRegistered(members, policy.maxAudiences), (registered) => ({ members, registered }))
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
  const problem = headerProblem(header.success, rules)
  if (problem !== undefined) return Result.fail(problem)
  const signature = decodeCanonical(parts.success.signature)
  if (signature === undefined) return Result.fail(malformed("signature", "encoding"))
  const payload = readPayload(parts.success.payload, rules)
  if (Result.isFailure(payload)) return Result.fail(payload.failure)
  const { members, registered } = payload.success
  const issuer = rules.issuers.get(registered.iss)
  if (issuer === undefined) return Result.fail(issuerUntrusted)
  return Result.succeed({ parts: parts.success, signature, header: header.success, members, registered, issuer })
}
