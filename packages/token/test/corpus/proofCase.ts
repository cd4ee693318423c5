/** A case of the corpus of proofs: one mutation of a control proof, and the reason why the request must be rejected. */
import type { TokenError } from "../../src/index.ts"
import type { Members, ProofSigner } from "../proofSupport.ts"
import { type Alg, encode, type Signer, signSegments, signTexts } from "./signer.ts"

export type Reason = TokenError.Reason

/** An accepted proof, with everything needed to make mutations of it. */
export interface ProofControl {
  readonly signer: ProofSigner
  /** A key of the same algorithm that the token is not bound to. */
  readonly stranger: ProofSigner
  readonly header: Members
  readonly claims: Members
  readonly proof: string
}

export interface ProofCase {
  readonly name: string
  readonly mutate: (control: ProofControl) => string | Promise<string>
  readonly reason: Reason
  /** The algorithms that the case applies to. Default: all. */
  readonly on?: ReadonlyArray<Alg>
}

export const rejected = (check: TokenError.ProofCheck): Reason => ({ _tag: "ProofRejected", check })
export const malformed = (part: TokenError.Part, problem: TokenError.Problem): Reason => ({
  _tag: "ProofMalformed",
  part,
  problem
})
export const otherKey: Reason = { _tag: "BindingMismatch", confirmation: "jkt" }
export const noProof: Reason = { _tag: "ProofMissing" }

export const shown = (value: unknown): string => {
  const text = JSON.stringify(value) ?? "none"
  return text.length > 70 ? `${text.slice(0, 70)}... (${text.length})` : text
}

/** The control with changed header members, signed by its key or another one. Removes undefined members. */
export const withHeader = ({ claims, header, signer }: ProofControl, members: Members, by: Signer = signer) =>
  signTexts(by, JSON.stringify({ ...header, ...members }), JSON.stringify(claims))

/** The control with changed members of its key. */
export const withJwk = (control: ProofControl, members: Members) =>
  withHeader(control, { jwk: { ...control.signer.jwk, ...members } })

/** The control with changed claims. Removes undefined claims. */
export const withClaims = ({ claims, header, signer }: ProofControl, members: Members) =>
  signTexts(signer, JSON.stringify(header), JSON.stringify({ ...claims, ...members }))

/** The control with another header text, or another payload text, signed unchanged. */
export const withHeaderText = ({ claims, signer }: ProofControl, header: string | Uint8Array) =>
  signTexts(signer, header, JSON.stringify(claims))
export const withPayload = ({ header, signer }: ProofControl, payload: string | Uint8Array) =>
  signTexts(signer, JSON.stringify(header), payload)

/** The control with other encoded segments, signed. */
export const withSegments = (
  { claims, header, signer }: ProofControl,
  change: (segments: { readonly header: string; readonly payload: string }) => {
    readonly header: string
    readonly payload: string
  }
) => {
  const changed = change({ header: encode(JSON.stringify(header)), payload: encode(JSON.stringify(claims)) })
  return signSegments(signer, changed.header, changed.payload)
}

/** The JSON text of an object, with more text inserted before its closing brace. */
export const adding = (members: Members, text: string): string => `${JSON.stringify(members).slice(0, -1)},${text}}`

export const withSignature = ({ proof }: ProofControl, signature: string | Uint8Array): string =>
  `${proof.slice(0, proof.lastIndexOf(".") + 1)}${typeof signature === "string" ? signature : encode(signature)}`
export const signatureBytes = ({ proof }: ProofControl): Buffer =>
  Buffer.from(proof.slice(proof.lastIndexOf(".") + 1), "base64url")

/** One case for each value of a header member. */
export const headerCases = (
  name: string,
  values: ReadonlyArray<unknown>,
  reason: Reason = rejected("typ")
): ReadonlyArray<ProofCase> =>
  values.map((value) => ({
    name: `${name} ${shown(value)}`,
    mutate: (control) => withHeader(control, { [name]: value }),
    reason
  }))

/** One case for each value of a claim. */
export const claimCases = (
  name: string,
  values: ReadonlyArray<unknown>,
  reason: Reason
): ReadonlyArray<ProofCase> =>
  values.map((value) => ({
    name: `${name} ${shown(value)}`,
    mutate: (control) => withClaims(control, { [name]: value }),
    reason
  }))
