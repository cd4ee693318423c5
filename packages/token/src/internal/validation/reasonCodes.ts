import type * as ErrorCode from "@keelson/core/ErrorCode"
import * as Struct from "effect/Struct"
import type * as TokenError from "../../TokenError.ts"

/** The code of each reason of a validator. */
export const validationCodes = {
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
  RevocationUnavailable: "AUTHORIZATION_UNAVAILABLE",
  TokenInactive: "TOKEN_INACTIVE",
  IntrospectionUnavailable: "INTROSPECTION_UNAVAILABLE"
} as const satisfies Record<Exclude<TokenError.Reason, TokenError.BindingReason>["_tag"], ErrorCode.ErrorCode>

/** The code of each reason to reject a request with a valid token, for want of a proof that the caller has its key. */
export const bindingCodes = {
  TokenUnbound: "TOKEN_UNBOUND",
  BindingUnsupported: "TOKEN_BINDING_UNSUPPORTED",
  BindingMismatch: "TOKEN_BINDING_MISMATCH",
  ProofMissing: "DPOP_REQUIRED",
  ProofMalformed: "DPOP_INVALID",
  ProofRejected: "DPOP_INVALID",
  ProofReplayed: "DPOP_INVALID",
  ProofNonceRequired: "DPOP_NONCE_REQUIRED",
  ProofReplaysUnavailable: "AUTHORIZATION_UNAVAILABLE",
  CertificateMissing: "TOKEN_CERTIFICATE_MISSING"
} as const satisfies Record<TokenError.BindingReason["_tag"], ErrorCode.ErrorCode>

/** The code of each reason. */
export const reasonCodes = { ...validationCodes, ...bindingCodes }

/** The names of rejected requests, in metrics and logs: the reasons of a validator, and those of the request itself. */
export const requestRejections = [
  ...Struct.keys(reasonCodes),
  "TokenMissing",
  "TokenRepeated",
  "TokenMisplaced",
  "OtherOrigin",
  "ScopesMissing",
  "CallerDenied"
] as const
export type RequestRejection = (typeof requestRejections)[number]
