/**
 * DPoP proofs: their form, and the checks that need neither a key nor a record of used proofs.
 *
 * @see RFC 9449, 4.2 and 4.3
 */
import type * as Jwk from "@keelson/jwks/Jwk"
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import type { DPoP } from "../../BindingOptions.ts"
import type * as TokenError from "../../TokenError.ts"
import { decodeSignature, type Segments, splitToken } from "../validation/compactJws.ts"
import { maxNumericDate } from "../validation/numericDate.ts"
import { decodeCanonical } from "../validation/platform.ts"
import { type JsonObject, own, parseObject } from "../validation/strictJson.ts"
import { parseProofKey } from "./proofKey.ts"
import { proofMalformed, proofRejected } from "./reasons.ts"
import { isTarget, normalizeUri } from "./targetUri.ts"

type Reason = TokenError.Reason

/** Upper bound of the characters of a proof. One with an RSA key of 8192 bits has about 4,000, with a URL of 2,000. */
const maxProofLength = 8192

/** Upper bound of the characters of a `jti`. */
const maxIdLength = 256

const limits = { maxDepth: 4, maxMembers: 64 }

/** The header of a proof. */
export interface ProofHeader {
  readonly alg: string
  readonly jwk: Jwk.Material
}

/** What proofs are checked against. */
export interface ProofRules {
  /** The algorithms of proofs. */
  readonly algorithms: ReadonlySet<string>
  /** The URLs of the API, without a slash at the end. */
  readonly baseUrls: ReadonlyArray<string>
  /** How long after `iat` a proof is accepted, in milliseconds. */
  readonly maxAge: number
  /** The clock tolerance in milliseconds. */
  readonly tolerance: number
}

/** The rules of checked options. */
export const proofRules = (
  { algorithms, clockTolerance, maxAge }: DPoP,
  baseUrls: ReadonlyArray<string> = []
): ProofRules => ({
  algorithms: new Set<string>(algorithms),
  baseUrls: baseUrls.map((url) => (normalizeUri(url) ?? url).replace(/\/$/, "")),
  maxAge: Duration.toMillis(maxAge),
  tolerance: Duration.toMillis(clockTolerance)
})

/** Splits a proof in its three parts, and decodes its signature. */
export const splitProof = (
  text: string
): Result.Result<{ readonly segments: Segments; readonly signature: Uint8Array<ArrayBuffer> }, Reason> => {
  const segments = splitToken(text, maxProofLength)
  if (Result.isFailure(segments)) return Result.fail(ofProof(segments.failure))
  const signature = decodeSignature(segments.success)
  return Result.isFailure(signature)
    ? Result.fail(ofProof(signature.failure))
    : Result.succeed({ segments: segments.success, signature: signature.success })
}

/** A reason about the form of a token, as one about the form of a proof. */
const ofProof = (reason: Reason): Reason =>
  reason._tag === "TokenMalformed" ? proofMalformed(reason.part, reason.problem) : reason

const parsePart = (part: "header" | "payload", segment: string): Result.Result<JsonObject, Reason> => {
  const bytes = decodeCanonical(segment)
  if (bytes === undefined) return Result.fail(proofMalformed(part, "encoding"))
  return Result.mapBoth(parseObject(bytes, limits), {
    onFailure: (problem) => proofMalformed(part, problem),
    onSuccess: ({ object }) => object
  })
}

/** Parses the header of a proof, without an extension, which none is supported of. */
export const parseProofHeader = ({ header }: Segments): Result.Result<JsonObject, Reason> =>
  Result.flatMap(
    parsePart("header", header),
    (members) =>
      own(members, "crit") === undefined && own(members, "b64") === undefined
        ? Result.succeed(members)
        : Result.fail(proofMalformed("header", "critical"))
  )

/** Parses the claims of a proof. */
export const parseProofClaims = ({ payload }: Segments): Result.Result<JsonObject, Reason> =>
  parsePart("payload", payload)

/** The type is compared as it is: RFC 9449, 4.3 has one spelling. */
export const checkProofType = (header: JsonObject): Reason | undefined =>
  own(header, "typ") === "dpop+jwt" ? undefined : proofRejected("typ")

export const checkProofAlgorithm = (header: JsonObject, { algorithms }: ProofRules): Reason | undefined => {
  const alg = own(header, "alg")
  return typeof alg === "string" && algorithms.has(alg) ? undefined : proofRejected("alg")
}

/** The public key in the header. */
export const decodeProofKey = (header: JsonObject): Result.Result<ProofHeader, Reason> => {
  const alg = own(header, "alg")
  const jwk = typeof alg === "string" ? parseProofKey(own(header, "jwk"), alg) : undefined
  return typeof alg !== "string" || jwk === undefined
    ? Result.fail(proofRejected("jwk"))
    : Result.succeed({ alg, jwk })
}

/** The identifier, with which a proof is used once. */
export const decodeProofId = (claims: JsonObject): Result.Result<string, Reason> => {
  const jti = own(claims, "jti")
  return typeof jti === "string" && jti !== "" && jti.length <= maxIdLength
    ? Result.succeed(jti)
    : Result.fail(proofRejected("jti"))
}

/** Methods are case-sensitive: RFC 9110, 9.1. */
export const checkProofMethod = (claims: JsonObject, method: string): Reason | undefined =>
  own(claims, "htm") === method ? undefined : proofRejected("htm")

export const checkProofUrl = (claims: JsonObject, target: string, { baseUrls }: ProofRules): Reason | undefined => {
  const htu = own(claims, "htu")
  return typeof htu === "string" && isTarget(htu, target, baseUrls) ? undefined : proofRejected("htu")
}

const dateOf = (claims: JsonObject, name: string): number | undefined => {
  const value = own(claims, name)
  return typeof value === "number" && value >= 0 && value <= maxNumericDate ? value * 1000 : undefined
}

/** The time at which a proof ceases to be accepted, in milliseconds since 1970; `undefined` without a valid `iat`. */
export const proofEnd = (claims: JsonObject, { maxAge, tolerance }: ProofRules): number | undefined => {
  const iat = dateOf(claims, "iat")
  return iat === undefined ? undefined : iat + maxAge + tolerance
}

/** `iat` is required. `exp` and `nbf` are not defined for proofs, and hold where a proof has them (RFC 7519, 4.1). */
export const checkProofTimes = (claims: JsonObject, rules: ProofRules, now: number): Reason | undefined => {
  const { maxAge, tolerance } = rules
  const end = proofEnd(claims, rules)
  if (end === undefined || now >= end || now < end - maxAge - 2 * tolerance) return proofRejected("iat")
  if (own(claims, "exp") !== undefined && now >= (dateOf(claims, "exp") ?? -Infinity) + tolerance) {
    return proofRejected("exp")
  }
  return own(claims, "nbf") !== undefined && now < (dateOf(claims, "nbf") ?? Infinity) - tolerance
    ? proofRejected("nbf")
    : undefined
}

/** `ath` has to be the hash of the access token. */
export const checkProofToken = (claims: JsonObject, tokenHash: string): Reason | undefined =>
  own(claims, "ath") === tokenHash ? undefined : proofRejected("ath")
