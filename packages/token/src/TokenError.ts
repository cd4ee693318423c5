/**
 * Why a token is not accepted: one error, whose reason tells the cause.
 *
 * Nothing of the token is in it. What a reason names is the policy's, the claims schema's, or one of a few words.
 */
import * as ErrorCode from "@keelson/core/ErrorCode"
import * as KeelsonError from "@keelson/core/KeelsonError"
import type * as JwksError from "@keelson/jwks/JwksError"
import * as Duration from "effect/Duration"

/** What part of a token a `TokenMalformed` is about. */
export type Part = "token" | "header" | "payload" | "signature"

/**
 * What is wrong with the form of a token:
 *
 * - `size`: longer than allowed; `segments`: not three parts, as with an encrypted token (JWE, RFC 7516);
 * - `encoding`: not canonical base64url, or not UTF-8; `json`: not one JSON object;
 * - `duplicate`: a member twice; `depth`, `members`: nested deeper, or with more members, than allowed;
 * - `number`: a number that is not finite; `critical`: an extension that has to be understood, and is not (RFC 7515, 4.1.11);
 * - `member`: a header member of the wrong type.
 */
export type Problem =
  | "size"
  | "segments"
  | "encoding"
  | "json"
  | "duplicate"
  | "depth"
  | "members"
  | "number"
  | "critical"
  | "member"

/** Why a token is not accepted. */
export type Reason =
  /** It is no signed JWT in compact form (`TOKEN_INVALID`). */
  | { readonly _tag: "TokenMalformed"; readonly part: Part; readonly problem: Problem }
  /** Its algorithm is not allowed (`TOKEN_ALGORITHM_UNSUPPORTED`). */
  | { readonly _tag: "AlgorithmUnsupported" }
  /** Its `typ` is not one that is expected (`TOKEN_TYPE_MISMATCH`). */
  | { readonly _tag: "TypeMismatch" }
  /** Its issuer is not trusted (`TOKEN_ISSUER_UNTRUSTED`). */
  | { readonly _tag: "IssuerUntrusted" }
  /** No trusted key fits its header (`JWKS_KEY_NOT_FOUND`). */
  | { readonly _tag: "KeyNotFound"; readonly reason: JwksError.NotFoundReason }
  /** There are no keys now, which says nothing about the token: a 503 (`JWKS_UNAVAILABLE`). */
  | { readonly _tag: "KeysUnavailable"; readonly retryAfter: Duration.Duration }
  /** Its signature does not verify (`TOKEN_SIGNATURE_INVALID`). */
  | { readonly _tag: "SignatureInvalid" }
  /** It is past its expiry (`TOKEN_EXPIRED`). */
  | { readonly _tag: "TokenExpired" }
  /** It is not valid yet (`nbf`), or from the future (`iat`) (`TOKEN_NOT_YET_VALID`). */
  | { readonly _tag: "TokenNotYetValid"; readonly claim: "nbf" | "iat" }
  /** It was issued longer ago than allowed (`TOKEN_TOO_OLD`). */
  | { readonly _tag: "TokenTooOld" }
  /** It is meant for others (`TOKEN_AUDIENCE_MISMATCH`). */
  | { readonly _tag: "AudienceMismatch" }
  /** It lacks a claim (`TOKEN_CLAIM_MISSING`). */
  | { readonly _tag: "ClaimMissing"; readonly claim: string }
  /** A claim has the wrong shape (`TOKEN_CLAIM_INVALID`). Names that are not the schema's show as `*`. */
  | { readonly _tag: "ClaimInvalid"; readonly path: string }
  /** A claim is not the one that this call expects (`VALIDATION_FAILED`). */
  | { readonly _tag: "ClaimRejected"; readonly claim: "iss" | "nonce" | "azp" | "at_hash" }
  /** It was revoked (`TOKEN_REVOKED`). */
  | { readonly _tag: "TokenRevoked" }
  /** Whether it was revoked can't be told now, which says nothing about the token: a 503 (`AUTHORIZATION_UNAVAILABLE`). */
  | { readonly _tag: "RevocationUnavailable" }

/** The code of each reason. */
const codes = {
  TokenMalformed: "TOKEN_INVALID",
  AlgorithmUnsupported: "TOKEN_ALGORITHM_UNSUPPORTED",
  TypeMismatch: "TOKEN_TYPE_MISMATCH",
  IssuerUntrusted: "TOKEN_ISSUER_UNTRUSTED",
  KeyNotFound: "JWKS_KEY_NOT_FOUND",
  KeysUnavailable: "JWKS_UNAVAILABLE",
  SignatureInvalid: "TOKEN_SIGNATURE_INVALID",
  TokenExpired: "TOKEN_EXPIRED",
  TokenNotYetValid: "TOKEN_NOT_YET_VALID",
  TokenTooOld: "TOKEN_TOO_OLD",
  AudienceMismatch: "TOKEN_AUDIENCE_MISMATCH",
  ClaimMissing: "TOKEN_CLAIM_MISSING",
  ClaimInvalid: "TOKEN_CLAIM_INVALID",
  ClaimRejected: "VALIDATION_FAILED",
  TokenRevoked: "TOKEN_REVOKED",
  RevocationUnavailable: "AUTHORIZATION_UNAVAILABLE"
} as const satisfies Record<Reason["_tag"], ErrorCode.ErrorCode>

/** A code that a token may be refused with. */
export type Code = (typeof codes)[Reason["_tag"]]

/** Every one of them. */
export const allCodes: ReadonlyArray<Code> = Object.values(codes)

/** The code of a reason. */
export const codeOf = ({ _tag }: Reason): Code => codes[_tag]

/** What a reason tells beyond its tag, as details of the error. */
const detailsOf = (reason: Reason): Readonly<Record<string, string | number>> => {
  const { _tag: _, ...facts } = reason
  return "retryAfter" in facts ? { retry_after_ms: Math.ceil(Duration.toMillis(facts.retryAfter)) } : facts
}

/** A sentence where the catalogue's description says less than the reason. */
const messageOf = (reason: Reason): string | undefined => {
  switch (reason._tag) {
    case "TokenMalformed":
      return `The token is malformed: ${reason.part}, ${reason.problem}`
    case "ClaimMissing":
      return `The token lacks the claim ${reason.claim}`
    case "ClaimInvalid":
      return `The claim at ${reason.path} has another shape than expected`
    case "ClaimRejected":
      return `The claim ${reason.claim} is not the one that is expected`
    default:
      return undefined
  }
}

/**
 * A token is not accepted. `reason` tells why, for `Effect.catchReason("TokenError", "TokenExpired", ...)`; `code` is the
 * reason's, and so is the HTTP status: 401, or 503 where the token can't be judged now.
 */
export class TokenError extends KeelsonError.CodedError<Code> {
  readonly _tag = "TokenError"
  override readonly name = "TokenError"
  readonly reason: Reason
  /** When the same token may be tried again; zero where that changes nothing. */
  readonly retryAfter: Duration.Duration
  constructor(reason: Reason) {
    super({ code: codeOf(reason), message: messageOf(reason), details: detailsOf(reason) })
    this.reason = reason
    this.retryAfter = reason._tag === "KeysUnavailable" ? reason.retryAfter : Duration.zero
  }
  /** Whether the token is at fault (a 401), and not what is needed to judge it (a 503). */
  get isRefusal(): boolean {
    return ErrorCode.codeInfo[this.code].status === 401
  }
}
