/**
 * The error of token validation, with the reason to reject the token.
 *
 * It contains nothing of the token: names in a reason come from the policy, the claims schema, the provider's key set or a
 * fixed list.
 */
import * as ErrorCode from "@keelson/core/ErrorCode"
import * as KeelsonError from "@keelson/core/KeelsonError"
import type * as JwksError from "@keelson/jwks/JwksError"
import * as Duration from "effect/Duration"
import { reasonCodes } from "./internal/validation/reasonCodes.ts"

/** The part of a token that is malformed. */
export type Part = "token" | "header" | "payload" | "signature"

/**
 * How a part is malformed:
 *
 * - `size`: longer than allowed; `segments`: not three segments, such as an encrypted token (JWE, RFC 7516);
 * - `encoding`: not canonical base64url, or not UTF-8; `json`: not a JSON object;
 * - `duplicate`: a duplicate member; `depth`, `members`: more levels or members than allowed;
 * - `number`: a number that is not finite; `critical`: an unsupported critical extension (RFC 7515, 4.1.11);
 * - `member`: a header member of the wrong type;
 * - `form`: not of the form of the authorization server's opaque tokens.
 *
 * For an opaque token, `encoding` means that it does not have the syntax of a bearer token (RFC 6750, 2.1).
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
  | "form"

/**
 * Why the authorization server could not be asked about a token, or gave no usable answer:
 *
 * - `timeout`, `network`: it did not answer in time, or the connection failed;
 * - `status`: it answered with an error of its own (429 or 5xx); `refused`: it rejected the client that asks;
 * - `endpoint`: there is no introspection endpoint where it should be, or it redirects;
 * - `answer`: its answer is not one of RFC 7662; `signature`: its answer is not signed as required (RFC 9701);
 * - `keys`: the keys for signed answers are unavailable; `configuration`: the client's own secret or key cannot be used;
 * - `circuit`: the circuit is open, or the server asked its callers to wait; `busy`: too many requests are in flight;
 * - `limited`: too many tokens that were never seen arrived; `closed`: the validator is shutting down.
 */
export type IntrospectionProblem =
  | "timeout"
  | "network"
  | "status"
  | "refused"
  | "endpoint"
  | "answer"
  | "signature"
  | "keys"
  | "configuration"
  | "circuit"
  | "busy"
  | "limited"
  | "closed"

/**
 * What is wrong with an answer:
 *
 * - `status`, `contentType`: a success of another status than 200, or of another media type; `size`: larger than allowed;
 * - `encoding`, `json`, `duplicate`, `depth`, `members`, `number`: as of a token, see `Problem`;
 * - `active`: `active` is missing or not a boolean;
 * - `unsigned`: not signed, although that is required; `form`, `header`, `algorithm`, `type`, `key`, `invalid`: the parts and
 *   the signature of a signed answer; `issuer`, `audience`, `issuedAt`, `expiry`, `claim`: its claims.
 */
export type AnswerProblem =
  | "status"
  | "contentType"
  | "size"
  | "encoding"
  | "json"
  | "duplicate"
  | "depth"
  | "members"
  | "number"
  | "active"
  | "unsigned"
  | "form"
  | "header"
  | "algorithm"
  | "type"
  | "key"
  | "invalid"
  | "issuer"
  | "audience"
  | "issuedAt"
  | "expiry"
  | "claim"

/**
 * The check of a DPoP proof that failed (RFC 9449, 4.3):
 *
 * - `header`: the request has more than one `DPoP` header;
 * - `typ`, `alg`, `jwk`: the header member is missing, or its value is not accepted, such as a key with private members;
 * - `signature`: the key in the proof does not verify it;
 * - `jti`, `htm`, `htu`, `iat`, `ath`: the claim is missing, or does not fit this request, this moment or this token;
 * - `exp`, `nbf`: the proof has the claim, and is not valid now.
 */
export type ProofCheck =
  | "header"
  | "typ"
  | "alg"
  | "jwk"
  | "signature"
  | "jti"
  | "htm"
  | "htu"
  | "iat"
  | "exp"
  | "nbf"
  | "ath"

/** Why a request with a valid token is rejected: the caller does not prove that it has the key that the token is bound to. */
export type BindingReason =
  /** The token is not bound, and the API or the scheme `DPoP` requires that it is (`TOKEN_UNBOUND`). */
  | { readonly _tag: "TokenUnbound" }
  /** The token is bound in a way that the API does not check (`TOKEN_BINDING_UNSUPPORTED`). */
  | { readonly _tag: "BindingUnsupported" }
  /** The key of the proof, or the client certificate, is another one (`TOKEN_BINDING_MISMATCH`). */
  | { readonly _tag: "BindingMismatch"; readonly confirmation: "jkt" | "x5t#S256" }
  /** The token is bound to a DPoP key, and came without a proof or as a bearer token (`DPOP_REQUIRED`). */
  | { readonly _tag: "ProofMissing" }
  /** The DPoP proof is not a signed JWT in compact form (`DPOP_INVALID`). */
  | { readonly _tag: "ProofMalformed"; readonly part: Part; readonly problem: Problem }
  /** The DPoP proof failed a check (`DPOP_INVALID`). */
  | { readonly _tag: "ProofRejected"; readonly check: ProofCheck }
  /** The DPoP proof was used before (`DPOP_INVALID`). */
  | { readonly _tag: "ProofReplayed" }
  /** The DPoP proof has no current nonce (`DPOP_NONCE_REQUIRED`). */
  | { readonly _tag: "ProofNonceRequired" }
  /** The record of used proofs failed or is full: a 503 (`AUTHORIZATION_UNAVAILABLE`). */
  | { readonly _tag: "ProofReplaysUnavailable" }
  /**
   * The request has no client certificate (`none`), has it in a header that came from an address that is not a listed proxy
   * (`untrusted`), or has it there in another form than expected (`malformed`) (`TOKEN_CERTIFICATE_MISSING`).
   */
  | { readonly _tag: "CertificateMissing"; readonly certificate: "none" | "untrusted" | "malformed" }

/** Why a token is rejected. A validator alone gives none of `BindingReason`. */
export type Reason =
  | BindingReason
  /** Not a signed JWT in compact form (`TOKEN_INVALID`). */
  | { readonly _tag: "TokenMalformed"; readonly part: Part; readonly problem: Problem }
  /** Its algorithm is not one of the policy's (`TOKEN_ALGORITHM_UNSUPPORTED`). */
  | { readonly _tag: "AlgorithmUnsupported" }
  /** Its `typ` is not an expected one (`TOKEN_TYPE_MISMATCH`). */
  | { readonly _tag: "TypeMismatch" }
  /** Its issuer is not trusted (`TOKEN_ISSUER_UNTRUSTED`). */
  | { readonly _tag: "IssuerUntrusted" }
  /**
   * No trusted key matches its header (`JWKS_KEY_NOT_FOUND`). `keyIssuer` is the `issuer` of the key that the token names, if
   * the provider published the key for another issuer.
   */
  | { readonly _tag: "KeyNotFound"; readonly reason: JwksError.NotFoundReason; readonly keyIssuer?: string }
  /** The issuer's keys are unavailable, so that the token cannot be validated now: a 503 (`JWKS_UNAVAILABLE`). */
  | { readonly _tag: "KeysUnavailable"; readonly retryAfter: Duration.Duration }
  /** Its signature is invalid (`TOKEN_SIGNATURE_INVALID`). */
  | { readonly _tag: "SignatureInvalid" }
  /** It is expired (`TOKEN_EXPIRED`). */
  | { readonly _tag: "TokenExpired" }
  /** It is not valid yet (`nbf`), or issued in the future (`iat`) (`TOKEN_NOT_YET_VALID`). */
  | { readonly _tag: "TokenNotYetValid"; readonly claim: "nbf" | "iat" }
  /** It was issued longer ago than `maxAge` (`TOKEN_TOO_OLD`). */
  | { readonly _tag: "TokenTooOld" }
  /** It is for another audience (`TOKEN_AUDIENCE_MISMATCH`). */
  | { readonly _tag: "AudienceMismatch" }
  /** It lacks a claim (`TOKEN_CLAIM_MISSING`). */
  | { readonly _tag: "ClaimMissing"; readonly claim: string }
  /**
   * A claim does not match its schema, or exceeds the bound in `expected` (`TOKEN_CLAIM_INVALID`). Names that the schema does not
   * declare appear as `*`.
   */
  | { readonly _tag: "ClaimInvalid"; readonly path: string; readonly expected?: string }
  /** A claim does not have the expected value (`VALIDATION_FAILED`). */
  | { readonly _tag: "ClaimRejected"; readonly claim: "iss" | "nonce" | "azp" | "at_hash" | "c_hash" | "sub" }
  /** It is revoked (`TOKEN_REVOKED`). */
  | { readonly _tag: "TokenRevoked" }
  /** The list of revocations is unavailable, so that the token cannot be validated now: a 503 (`AUTHORIZATION_UNAVAILABLE`). */
  | { readonly _tag: "RevocationUnavailable" }
  /** The authorization server says that it is not active: expired, revoked, or unknown (`TOKEN_INACTIVE`). */
  | { readonly _tag: "TokenInactive" }
  /**
   * The authorization server did not say whether it is active, so that the token cannot be validated now: a 503
   * (`INTROSPECTION_UNAVAILABLE`).
   */
  | {
    readonly _tag: "IntrospectionUnavailable"
    readonly problem: IntrospectionProblem
    readonly detail?: AnswerProblem
    readonly retryAfter: Duration.Duration
  }

/** A code of a `TokenError`. */
export type Code = (typeof reasonCodes)[Reason["_tag"]]

/** The members of a reason as details of the error. */
const detailsOf = (reason: Reason): Readonly<Record<string, string | number>> => {
  const { _tag: _, ...details } = reason
  if (!("retryAfter" in details)) return details
  const { retryAfter, ...others } = details
  return { ...others, retry_after_ms: Math.ceil(Duration.toMillis(retryAfter)) }
}

const proofMessages: Record<ProofCheck, string> = {
  header: "The request has more than one DPoP proof",
  typ: "The DPoP proof is not of the type dpop+jwt",
  alg: "The DPoP proof is signed with an algorithm that is not allowed",
  jwk: "The DPoP proof has no acceptable public key",
  signature: "The signature of the DPoP proof is invalid",
  jti: "The DPoP proof has no usable jti",
  htm: "The DPoP proof is for another method",
  htu: "The DPoP proof is for another URL",
  iat: "The DPoP proof is too old, or made in the future",
  exp: "The DPoP proof is expired",
  nbf: "The DPoP proof is not valid yet",
  ath: "The DPoP proof is for another access token"
}

const certificateMessages = {
  none: "The token is bound to a client certificate, and the request has none",
  untrusted: "The request has a client certificate in a header, and does not come from a listed proxy",
  malformed: "The client certificate in the header is malformed"
}

/** The message, where the reason says more than the catalogue's description. */
const messageOf = (reason: Reason): string | undefined => {
  switch (reason._tag) {
    case "TokenMalformed":
      return `The token is malformed (${reason.part}: ${reason.problem})`
    case "KeyNotFound":
      return reason.keyIssuer === undefined
        ? undefined
        : `The key of the token is published for another issuer: ${reason.keyIssuer}`
    case "ClaimMissing":
      return `The token lacks the claim ${reason.claim}`
    case "ClaimInvalid":
      return reason.expected === undefined
        ? `The claim at ${reason.path} does not match its schema`
        : `The claim at ${reason.path} must have ${reason.expected}`
    case "ClaimRejected":
      return `The claim ${reason.claim} does not have the expected value`
    case "ProofMalformed":
      return `The DPoP proof is malformed (${reason.part}: ${reason.problem})`
    case "ProofRejected":
      return proofMessages[reason.check]
    case "ProofReplayed":
      return "The DPoP proof was used before"
    case "CertificateMissing":
      return certificateMessages[reason.certificate]
    case "IntrospectionUnavailable": {
      const { detail, problem } = reason
      return `The token could not be introspected (${detail === undefined ? problem : `${problem}: ${detail}`})`
    }
    default:
      return undefined
  }
}

/**
 * A token was rejected. `reason` says why; recover with `Effect.catchReason("TokenError", "TokenExpired", ...)`. `code` and
 * HTTP status follow from the reason: 401, or 503 where the token cannot be validated now.
 *
 * **Example** (Reading the reason)
 *
 * ```ts import.meta.vitest
 * import { TokenError } from "@keelson/token"
 *
 * const error = new TokenError.TokenError({ _tag: "ClaimMissing", claim: "tenant" })
 * error.message // => "The token lacks the claim tenant"
 * error.code // => "TOKEN_CLAIM_MISSING"
 * error.status // => 401
 * ```
 */
export class TokenError extends KeelsonError.CodedError<Code> {
  readonly _tag = "TokenError"
  override readonly name = "TokenError"
  readonly reason: Reason
  /** How long to wait before retrying the same token; zero if retrying cannot help. */
  readonly retryAfter: Duration.Duration
  constructor(reason: Reason) {
    super({ code: reasonCodes[reason._tag], message: messageOf(reason), details: detailsOf(reason) })
    this.reason = reason
    this.retryAfter = "retryAfter" in reason ? reason.retryAfter : Duration.zero
  }
  /** Whether the token itself was rejected (a 401), rather than that it cannot be validated now (a 503). */
  get isRejection(): boolean {
    return ErrorCode.codeInfo[this.code].status === 401
  }
}
