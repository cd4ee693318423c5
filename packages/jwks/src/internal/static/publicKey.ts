import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { importJWK, importSPKI, importX509, type JWK } from "jose"
import type { PublicAlgorithm } from "../../Algorithm.ts"
import { isBound, maxKidLength, privateMembers } from "../keys/keySelection.ts"
import { spkiFromPkcs1 } from "./der.ts"
import { formatPem, parsePem, type Pem, privateKey } from "./pem.ts"

const rsa = "an RSA public key of 2048 to 8192 bits"
const kinds: Record<PublicAlgorithm, string> = {
  RS256: rsa,
  RS384: rsa,
  RS512: rsa,
  PS256: rsa,
  PS384: rsa,
  PS512: rsa,
  ES256: "an EC public key on P-256",
  ES384: "an EC public key on P-384",
  ES512: "an EC public key on P-521",
  EdDSA: "an Ed25519 public key",
  Ed25519: "an Ed25519 public key"
}

const kindFor = (algorithm: PublicAlgorithm): string => `${kinds[algorithm]}, for ${algorithm}`

/** Whether an exponent is odd and not 1. With the exponent 1, a message is a valid signature for itself. */
const isExponent = (bytes: Uint8Array): boolean => {
  const last = bytes.at(-1) ?? 0
  return last % 2 === 1 && (last > 1 || bytes.subarray(0, -1).some((byte) => byte !== 0))
}

const isStrong = ({ algorithm }: CryptoKey): boolean => {
  if (!("modulusLength" in algorithm)) return true
  const { modulusLength } = algorithm
  return Predicate.isNumber(modulusLength) && modulusLength >= 2048 && modulusLength <= 8192 &&
    "publicExponent" in algorithm && algorithm.publicExponent instanceof Uint8Array &&
    isExponent(algorithm.publicExponent)
}

/** WebCrypto rejects keys of another type or curve. Its error is dropped, since the message may contain the key. */
const imported = (algorithm: PublicAlgorithm, run: () => Promise<CryptoKey | Uint8Array>) =>
  Effect.tryPromise({ try: run, catch: () => kindFor(algorithm) }).pipe(
    Effect.filterOrFail(
      (key): key is CryptoKey => !(key instanceof Uint8Array) && isStrong(key),
      () => kindFor(algorithm)
    )
  )

const importPem = (algorithm: PublicAlgorithm, { der, label }: Pem): Promise<CryptoKey> =>
  label === "CERTIFICATE"
    ? importX509(formatPem(label, der), algorithm, { extractable: false })
    : importSPKI(formatPem("PUBLIC KEY", label === "PUBLIC KEY" ? der : spkiFromPkcs1(der)), algorithm, {
      extractable: false
    })

/** Imports the key of a PEM text for one algorithm. Fails with a description of the expected key. */
export const fromPem = (algorithm: PublicAlgorithm, text: string): Effect.Effect<CryptoKey, string> =>
  Effect.fromResult(parsePem(text)).pipe(
    Effect.flatMap((pem) => imported(algorithm, () => importPem(algorithm, pem)))
  )

/** The members of a public key that are passed to WebCrypto, by key type. */
const members: Record<string, ReadonlyArray<"crv" | "e" | "kty" | "n" | "x" | "y">> = {
  RSA: ["kty", "n", "e"],
  EC: ["kty", "crv", "x", "y"],
  OKP: ["kty", "crv", "x"]
}

export interface JwkKey {
  readonly key: CryptoKey
  readonly kid: string | undefined
  readonly issuer: string | undefined
}

const isOptionalText = Predicate.or(Predicate.isString, Predicate.isUndefined)

/** Maps both names of the Ed25519 algorithm to `EdDSA`. */
const named = (algorithm: unknown): unknown => algorithm === "Ed25519" ? "EdDSA" : algorithm

/** Whether the `alg`, `use` and `key_ops` of a key, if present, allow verification with the algorithm. */
const isFor = (algorithm: PublicAlgorithm, { alg, key_ops, use }: Readonly<Record<string, unknown>>): boolean =>
  (alg === undefined || named(alg) === named(algorithm)) && (use === undefined || use === "sig") &&
  (key_ops === undefined || (Array.isArray(key_ops) && key_ops.includes("verify")))

const publicMembers = (
  algorithm: PublicAlgorithm,
  jwk: Readonly<Record<string, unknown>>
): Result.Result<JWK, string> => {
  const { crv, kty } = jwk
  if (kty === "oct" || Object.hasOwn(jwk, "k")) return Result.fail("a public key: a symmetric one is given as a secret")
  if (privateMembers.some((member) => Object.hasOwn(jwk, member))) return Result.fail(privateKey)
  if (!Predicate.isString(kty) || !isOptionalText(crv) || !isBound(algorithm, { kty, crv })) {
    return Result.fail(kindFor(algorithm))
  }
  if (!isFor(algorithm, jwk)) return Result.fail(`a key whose alg, use and key_ops are for verifying ${algorithm}`)
  const own = (members[kty] ?? []).map((member) => [member, jwk[member]] as const)
  return own.every((member): member is readonly [typeof member[0], string] => Predicate.isString(member[1]))
    ? Result.succeed(Object.fromEntries(own))
    : Result.fail(kindFor(algorithm))
}

/**
 * Imports the key of a JWK for one algorithm. Fails with a description of the expected key.
 *
 * @see RFC 7517, 4 and RFC 7518, 6
 */
export const fromJwk = Effect.fnUntraced(function*(
  algorithm: PublicAlgorithm,
  jwk: Readonly<Record<string, unknown>>
): Effect.fn.Return<JwkKey, string> {
  const own = yield* Effect.fromResult(publicMembers(algorithm, jwk))
  const { issuer, kid } = jwk
  if (!isOptionalText(kid) || kid === "" || (kid !== undefined && kid.length > maxKidLength)) {
    return yield* Effect.fail(`a kid of 1 to ${maxKidLength} characters`)
  }
  const key = yield* imported(algorithm, () => importJWK(own, algorithm, { extractable: false }))
  return { key, kid, issuer: Predicate.isString(issuer) ? issuer : undefined }
})
