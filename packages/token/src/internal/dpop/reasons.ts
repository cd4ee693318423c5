import type * as TokenError from "../../TokenError.ts"

type Reason = TokenError.BindingReason

/** Made once each, as are the errors that they make: a flood of hostile requests creates neither. */
const reasons = new Map<string, Reason>()

const shared = (reason: Reason): Reason => {
  const key = JSON.stringify(reason)
  const existing = reasons.get(key)
  if (existing !== undefined) return existing
  reasons.set(key, reason)
  return reason
}

const byCheck = new Map<TokenError.ProofCheck, Reason>()

/** The reason for a proof that failed a check. */
export const proofRejected = (check: TokenError.ProofCheck): Reason => {
  const existing = byCheck.get(check)
  if (existing !== undefined) return existing
  const reason: Reason = { _tag: "ProofRejected", check }
  byCheck.set(check, reason)
  return reason
}

/** The reason for a malformed part of a proof. */
export const proofMalformed = (part: TokenError.Part, problem: TokenError.Problem): Reason =>
  shared({ _tag: "ProofMalformed", part, problem })

export const tokenUnbound: Reason = { _tag: "TokenUnbound" }
export const bindingUnsupported: Reason = { _tag: "BindingUnsupported" }
export const otherKey: Reason = { _tag: "BindingMismatch", confirmation: "jkt" }
export const otherCertificate: Reason = { _tag: "BindingMismatch", confirmation: "x5t#S256" }
export const proofMissing: Reason = { _tag: "ProofMissing" }
export const proofReplayed: Reason = { _tag: "ProofReplayed" }
export const proofNonceRequired: Reason = { _tag: "ProofNonceRequired" }
export const replaysUnavailable: Reason = { _tag: "ProofReplaysUnavailable" }
export const certificateMissing = {
  none: { _tag: "CertificateMissing", certificate: "none" },
  untrusted: { _tag: "CertificateMissing", certificate: "untrusted" },
  malformed: { _tag: "CertificateMissing", certificate: "malformed" }
} as const satisfies Record<string, Reason>
