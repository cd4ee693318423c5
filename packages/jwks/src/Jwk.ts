/**
 * Parses one public key of a key set strictly. An invalid key is skipped and does not affect the other keys.
 *
 * @see RFC 7517, 4 and RFC 7518, 6
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { base64url } from "jose"
import { isBound, maxKidLength, privateMembers, type Selectable } from "./internal/keys/keySelection.ts"

/**
 * Why a key was skipped:
 *
 * - `malformed`: not an object, or a member has the wrong type;
 * - `encoding`: a member is not canonical base64url, or has the wrong length;
 * - `private`, `symmetric`: key material that must not be in a public set;
 * - `type`, `curve`, `algorithm`: not supported for verification, or inconsistent with the other members;
 * - `use`, `operations`: the key is not for verification;
 * - `keyId`: `kid` is longer than 256 characters;
 * - `weak`: an RSA modulus of fewer than 2048 or more than 8192 bits, or an unsafe exponent;
 * - `duplicate`: the set already contains the key;
 * - `limit`: the set already contains a hundred keys;
 * - `unusable`: the platform failed to import the key.
 */
export const SkipReason = Schema.Literals([
  "malformed",
  "encoding",
  "private",
  "symmetric",
  "type",
  "curve",
  "algorithm",
  "use",
  "operations",
  "keyId",
  "weak",
  "duplicate",
  "limit",
  "unusable"
])
export type SkipReason = typeof SkipReason.Type

/** The public members of a key of a supported type. RSA numbers have no leading zeros. */
export type Material =
  | { readonly kty: "RSA"; readonly n: string; readonly e: string }
  | { readonly kty: "EC"; readonly crv: "P-256" | "P-384" | "P-521"; readonly x: string; readonly y: string }
  | { readonly kty: "OKP"; readonly crv: "Ed25519"; readonly x: string }

/** A public key as published. */
export interface Jwk extends Selectable {
  readonly material: Material
  /** The `issuer` member, which some multi-tenant providers publish. */
  readonly issuer: string | undefined
}

type Members = Readonly<Record<string, unknown>>

/** Members a public key must not have. `k` is the value of a symmetric key (RFC 7518, 6.4). */
const secretMembers = [...privateMembers, "k"]

/** Decodes a member from canonical base64url: no padding, no unused bits set. */
const bytesOf = (text: string): Uint8Array | undefined => {
  if (!/^[A-Za-z0-9_-]+$/.test(text)) return undefined
  const bytes = Result.getOrUndefined(Result.try(() => base64url.decode(text)))
  return bytes !== undefined && base64url.encode(bytes) === text ? bytes : undefined
}

/**
 * Decodes an unsigned big-endian number (RFC 7518, 2), without leading zeros, which some libraries write. Zero has no
 * bytes.
 */
const numberOf = (text: string): Uint8Array | undefined => {
  const bytes = bytesOf(text)
  const first = bytes?.findIndex((byte) => byte !== 0) ?? -1
  return first === -1 ? bytes?.subarray(bytes.length) : bytes?.subarray(first)
}

/** Returns the bit length of a number without leading zeros. */
const bitsOf = (bytes: Uint8Array): number => bytes.length * 8 - (Math.clz32(bytes[0] ?? 0) - 24)

/** At least 3, odd, and at most 32 bits: WebCrypto rejects longer exponents, and they make verification slow. */
const isSafeExponent = (bytes: Uint8Array): boolean => {
  const bits = bitsOf(bytes)
  return bits >= 2 && bits <= 32 && ((bytes.at(-1) ?? 0) & 1) === 1
}

const rsa = ({ e, n }: Members): Result.Result<Material, SkipReason> => {
  if (!Predicate.isString(n) || !Predicate.isString(e)) return Result.fail("malformed")
  const modulus = numberOf(n)
  const exponent = numberOf(e)
  if (modulus === undefined || exponent === undefined) return Result.fail("encoding")
  const bits = bitsOf(modulus)
  return bits < 2048 || bits > 8192 || !isSafeExponent(exponent)
    ? Result.fail("weak")
    : Result.succeed({ kty: "RSA", n: base64url.encode(modulus), e: base64url.encode(exponent) })
}

const coordinateBytes = { "P-256": 32, "P-384": 48, "P-521": 66, Ed25519: 32 } as const

const isCurve = (crv: unknown): crv is "P-256" | "P-384" | "P-521" =>
  crv === "P-256" || crv === "P-384" || crv === "P-521"

const ec = ({ crv, x, y }: Members): Result.Result<Material, SkipReason> => {
  if (!isCurve(crv)) return Result.fail(Predicate.isString(crv) ? "curve" : "malformed")
  if (!Predicate.isString(x) || !Predicate.isString(y)) return Result.fail("malformed")
  return [x, y].every((text) => bytesOf(text)?.length === coordinateBytes[crv])
    ? Result.succeed({ kty: "EC", crv, x, y })
    : Result.fail("encoding")
}

const okp = ({ crv, x }: Members): Result.Result<Material, SkipReason> => {
  if (crv !== "Ed25519") return Result.fail(Predicate.isString(crv) ? "curve" : "malformed")
  if (!Predicate.isString(x)) return Result.fail("malformed")
  return bytesOf(x)?.length === coordinateBytes[crv] ? Result.succeed({ kty: "OKP", crv, x }) : Result.fail("encoding")
}

const kinds: ReadonlyMap<unknown, (members: Members) => Result.Result<Material, SkipReason>> = new Map([
  ["RSA", rsa],
  ["EC", ec],
  ["OKP", okp]
])

const material = (members: Members): Result.Result<Material, SkipReason> => {
  const { kty } = members
  if (kty === "oct") return Result.fail("symmetric")
  const read = kinds.get(kty)
  if (read === undefined) return Result.fail(Predicate.isString(kty) ? "type" : "malformed")
  return secretMembers.some((name) => Object.hasOwn(members, name)) ? Result.fail("private") : read(members)
}

const isText = Predicate.or(Predicate.isString, Predicate.isUndefined)

/** Parses an entry of `keys`. Fails with the reason to skip the entry. */
export const parse = (input: unknown): Result.Result<Jwk, SkipReason> => {
  if (!Predicate.isObject(input)) return Result.fail("malformed")
  const members: Members = { ...input }
  const { alg, issuer, key_ops: operations, kid, use } = members
  if (!isText(kid) || !isText(alg) || !isText(use) || !isText(issuer)) return Result.fail("malformed")
  if (use !== undefined && use !== "sig") return Result.fail("use")
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes("verify"))) {
    return Result.fail("operations")
  }
  if (kid !== undefined && kid.length > maxKidLength) return Result.fail("keyId")
  return Result.flatMap(material(members), (found) => {
    const { crv, kty } = { crv: undefined, ...found }
    return alg === undefined || isBound(alg, { kty, crv })
      ? Result.succeed({ kid, alg, use, issuer, kty, crv, material: found })
      : Result.fail("algorithm")
  })
}

/** Identifies an entry of a set. A refresh does not import an entry again if its id is unchanged. */
export const entryId = ({ alg, issuer, kid, material, use }: Jwk): string =>
  JSON.stringify([kid ?? null, alg ?? null, use ?? null, issuer ?? null, material])

/**
 * Identifies a key when looking for duplicates. RSA keys with the same modulus are duplicates, whatever their other
 * members. Other key types compare the whole entry, so that one key may be published under two names.
 */
export const duplicateId = (jwk: Jwk): string => jwk.material.kty === "RSA" ? `RSA ${jwk.material.n}` : entryId(jwk)

/** The algorithm to import a key for when the set is parsed. Other algorithms of the key are imported on first use. */
export const defaultAlgorithm = ({ alg, crv, kty }: Jwk): string => {
  if (alg !== undefined) return alg
  if (kty === "RSA") return "RS256"
  if (kty === "OKP") return "EdDSA"
  if (crv === "P-256") return "ES256"
  return crv === "P-384" ? "ES384" : "ES512"
}
