/** A case of the corpus: one mutation of a control token, and the reason why it must be rejected. */
import type { TokenError } from "../../src/index.ts"
import type { Control } from "./control.ts"
import { type Alg, encode, type Signer, signTexts } from "./signer.ts"

export type Reason = TokenError.Reason

export interface Case {
  readonly name: string
  readonly mutate: (control: Control) => string | Promise<string>
  readonly reason: Reason
  /** The algorithms that the case applies to. Default: all. */
  readonly on?: ReadonlyArray<Alg>
}

type Members = Readonly<Record<string, unknown>>

export const malformed = (part: TokenError.Part, problem: TokenError.Problem): Reason => ({
  _tag: "TokenMalformed",
  part,
  problem
})
export const invalid = (path: string): Reason => ({ _tag: "ClaimInvalid", path })
export const missing = (claim: string): Reason => ({ _tag: "ClaimMissing", claim })
export const notFound = (reason: "ambiguous" | "mismatched" | "unknown"): Reason => ({ _tag: "KeyNotFound", reason })
export const algorithmUnsupported: Reason = { _tag: "AlgorithmUnsupported" }
export const typeMismatch: Reason = { _tag: "TypeMismatch" }
export const signatureInvalid: Reason = { _tag: "SignatureInvalid" }
export const issuerUntrusted: Reason = { _tag: "IssuerUntrusted" }
export const audienceMismatch: Reason = { _tag: "AudienceMismatch" }

/** A value as text for the name of a case. */
export const shown = (value: unknown): string => {
  const text = JSON.stringify(value) ?? "none"
  return text.length > 60 ? `${text.slice(0, 60)}... (${text.length})` : text
}

/** The control with changed header members, signed by its key or another one. Removes undefined members. */
export const withHeader = (
  { claims, header, signer }: Control,
  members: Members,
  by: Signer = signer
): Promise<string> => signTexts(by, JSON.stringify({ ...header, ...members }), JSON.stringify(claims))

/** The control with changed claims, signed by its key or another one. Removes undefined claims. */
export const withClaims = ({ claims, header, signer }: Control, members: Members, by: Signer = signer) =>
  signTexts(by, JSON.stringify(header), JSON.stringify({ ...claims, ...members }))

/** The control with another header text, signed unchanged. */
export const withHeaderText = ({ claims, signer }: Control, header: string | Uint8Array) =>
  signTexts(signer, header, JSON.stringify(claims))

/** The control with another payload text, signed unchanged. */
export const withPayload = ({ header, signer }: Control, payload: string | Uint8Array) =>
  signTexts(signer, JSON.stringify(header), payload)

/** The JSON text of an object, with more text inserted before its closing brace. */
export const adding = (members: Members, text: string): string => `${JSON.stringify(members).slice(0, -1)},${text}}`

/** The control with another signature. */
export const withSignature = ({ token }: Control, signature: string | Uint8Array): string =>
  `${token.slice(0, token.lastIndexOf(".") + 1)}${typeof signature === "string" ? signature : encode(signature)}`

/** The control's signed text, and its signature. */
export const signedOf = ({ token }: Control): string => token.slice(0, token.lastIndexOf("."))
export const signatureBytes = ({ token }: Control): Buffer =>
  Buffer.from(token.slice(token.lastIndexOf(".") + 1), "base64url")

/** One case for each value of a header member. */
export const headerCases = (name: string, values: ReadonlyArray<unknown>, reason: Reason): ReadonlyArray<Case> =>
  values.map((value) => ({
    name: `${name} ${shown(value)}`,
    mutate: (control) => withHeader(control, { [name]: value }),
    reason
  }))

/** One case for each value of a claim. */
export const claimCases = (
  name: string,
  values: ReadonlyArray<unknown>,
  reason: Reason = invalid(name)
): ReadonlyArray<Case> =>
  values.map((value) => ({
    name: `${name} ${shown(value)}`,
    mutate: (control) => withClaims(control, { [name]: value }),
    reason
  }))
