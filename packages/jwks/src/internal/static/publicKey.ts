import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { exportJWK } from "jose/key/export"
import { importJWK, importSPKI } from "jose/key/import"
import type { PublicAlgorithm } from "../../Algorithm.ts"
import type { Material, SkipReason } from "../../Jwk.ts"
import * as KeyForms from "../../unstable/KeyForms.ts"
import { type Deviation, isExponent, own } from "../keys/keyMembers.ts"
import { isBound, isSameAlgorithm, maxKidLength } from "../keys/keySelection.ts"
import { parseKey } from "../keys/parseKey.ts"
import { formatPem, parsePem, type Pem, privateKey } from "./pem.ts"

type Members = Readonly<Record<string, unknown>>

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

const isStrong = ({ algorithm }: CryptoKey): boolean => {
  if (!("modulusLength" in algorithm)) return true
  const { modulusLength } = algorithm
  return Predicate.isNumber(modulusLength) && modulusLength >= 2048 && modulusLength <= 8192 &&
    "publicExponent" in algorithm && algorithm.publicExponent instanceof Uint8Array &&
    isExponent(algorithm.publicExponent.subarray(algorithm.publicExponent.findIndex((byte) => byte !== 0)))
}

/** WebCrypto rejects keys of another type or curve. Its error is dropped, since the message may contain the key. */
const imported = (algorithm: PublicAlgorithm, run: () => Promise<CryptoKey | Uint8Array>) =>
  Effect.tryPromise({ try: run, catch: () => kindFor(algorithm) }).pipe(
    Effect.filterOrFail(
      (key): key is CryptoKey => !(key instanceof Uint8Array) && isStrong(key),
      () => kindFor(algorithm)
    )
  )

/** A key imported for one algorithm, and its public members. */
export interface PublicKey {
  /** Not extractable. */
  readonly key: CryptoKey
  readonly jwk: Material
}

const importMaterial = (algorithm: PublicAlgorithm, jwk: Material): Effect.Effect<PublicKey, string> =>
  Effect.map(
    imported(algorithm, () => importJWK({ ...jwk }, algorithm, { extractable: false })),
    (key) => ({ key, jwk })
  )

/** The SubjectPublicKeyInfo of a PEM text. */
const spkiOf = ({ der, label }: Pem): Uint8Array | undefined => {
  if (label === "PUBLIC KEY") return der
  return label === "CERTIFICATE" ? KeyForms.spkiFromCertificate(der) : KeyForms.spkiFromPkcs1(der)
}

/** Imports the key of a PEM text for one algorithm. Fails with a description of the expected key. */
export const fromPem = Effect.fnUntraced(function*(
  algorithm: PublicAlgorithm,
  text: string
): Effect.fn.Return<PublicKey, string> {
  const spki = spkiOf(yield* Effect.fromResult(parsePem(text)))
  if (spki === undefined) return yield* Effect.fail(kindFor(algorithm))
  const pss = KeyForms.fromPss(spki)
  if (pss !== undefined && !pss.algorithms.some((name) => name === algorithm)) {
    return yield* Effect.fail(`${kindFor(algorithm)}; ${KeyForms.describePss(pss)}`)
  }
  const pem = formatPem("PUBLIC KEY", pss?.der ?? spki)
  // Extractable, so that its members can be read.
  const extractable = yield* imported(algorithm, () => importSPKI(pem, algorithm, { extractable: true }))
  const members: unknown = yield* Effect.promise(() => exportJWK(extractable))
  const { jwk } = yield* Effect.fromResult(Result.mapError(parseKey(members), () => kindFor(algorithm)))
  return yield* importMaterial(algorithm, jwk.material)
})

/** A key of a JWK, and how the JWK deviates from its canonical form. */
export interface JwkKey {
  readonly publicKey: PublicKey
  readonly kid: string | undefined
  readonly use: string | undefined
  readonly issuer: string | undefined
  readonly deviations: ReadonlyArray<Deviation>
}

/** The description of the expected key, where it is not the kind of key. */
const expectations: Partial<Record<SkipReason, string>> = {
  keyId: `a kid of at most ${maxKidLength} characters`,
  private: privateKey,
  symmetric: "a public key: a symmetric one is given as a secret"
}

/** Describes the expected key. A JWK with a `k` has the reason `private`, but is symmetric. */
const expectedFor = (algorithm: PublicAlgorithm, jwk: Members, reason: SkipReason): string => {
  if (reason === "use" || reason === "operations" || reason === "algorithm") {
    return `a key whose alg, use and key_ops are for verifying ${algorithm}`
  }
  const isSymmetric = reason === "private" && Predicate.isNotNullish(own(jwk, "k"))
  return expectations[isSymmetric ? "symmetric" : reason] ?? kindFor(algorithm)
}

/**
 * Imports the key of a JWK for one algorithm. The JWK is checked like an entry of a key set. Fails with a description of
 * the expected key.
 *
 * @see RFC 7517, 4 and RFC 7518, 6
 */
export const fromJwk = Effect.fnUntraced(function*(
  algorithm: PublicAlgorithm,
  members: Members
): Effect.fn.Return<JwkKey, string> {
  const { deviations, jwk } = yield* Effect.fromResult(
    Result.mapError(parseKey(members), (reason) => expectedFor(algorithm, members, reason))
  )
  const { alg, issuer, kid, material, use } = jwk
  if (!isBound(algorithm, jwk)) return yield* Effect.fail(kindFor(algorithm))
  if (alg !== undefined && !isSameAlgorithm(alg, algorithm)) {
    return yield* Effect.fail(expectedFor(algorithm, members, "algorithm"))
  }
  return { publicKey: yield* importMaterial(algorithm, material), kid, use, issuer, deviations }
})
