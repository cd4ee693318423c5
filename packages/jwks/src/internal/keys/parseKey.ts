import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as base64url from "jose/base64url"
import type { Jwk, Material, SkipReason } from "../../Jwk.ts"
import {
  bytesOf,
  coordinateOf,
  type Deviation,
  isExponent,
  isModulus,
  type Note,
  numberOf,
  optional,
  own
} from "./keyMembers.ts"
import { isBound, isKeyUse, maxKidLength } from "./keySelection.ts"

/** A parsed key, and how it deviates from its canonical form. */
export interface ParsedKey {
  readonly jwk: Jwk
  readonly deviations: ReadonlyArray<Deviation>
}

type ReadMaterial = (members: object, note: Note) => Result.Result<Material, SkipReason>

const rsa: ReadMaterial = (members, note) => {
  const [n, e] = [own(members, "n"), own(members, "e")]
  if (!Predicate.isString(n) || !Predicate.isString(e)) return Result.fail("malformed")
  const modulus = numberOf(n, note)
  const exponent = numberOf(e, note)
  if (modulus === undefined || exponent === undefined) return Result.fail("encoding")
  return isModulus(modulus) && isExponent(exponent)
    ? Result.succeed({ kty: "RSA", n: base64url.encode(modulus), e: base64url.encode(exponent) })
    : Result.fail("weak")
}

const coordinateBytes = { "P-256": 32, "P-384": 48, "P-521": 66, Ed25519: 32 } as const

const isCurve = (crv: unknown): crv is "P-256" | "P-384" | "P-521" =>
  crv === "P-256" || crv === "P-384" || crv === "P-521"

const ec: ReadMaterial = (members, note) => {
  const [crv, x, y] = [own(members, "crv"), own(members, "x"), own(members, "y")]
  if (!isCurve(crv)) return Result.fail(Predicate.isString(crv) ? "curve" : "malformed")
  if (!Predicate.isString(x) || !Predicate.isString(y)) return Result.fail("malformed")
  const first = coordinateOf(x, coordinateBytes[crv], note)
  const second = coordinateOf(y, coordinateBytes[crv], note)
  return first === undefined || second === undefined
    ? Result.fail("encoding")
    : Result.succeed({ kty: "EC", crv, x: base64url.encode(first), y: base64url.encode(second) })
}

/** The bytes of an Ed25519 key are no number: they have exactly their length (RFC 8037, 2). */
const okp: ReadMaterial = (members, note) => {
  const [crv, x] = [own(members, "crv"), own(members, "x")]
  if (crv !== "Ed25519") return Result.fail(Predicate.isString(crv) ? "curve" : "malformed")
  if (!Predicate.isString(x)) return Result.fail("malformed")
  const bytes = bytesOf(x, note)
  return bytes?.length === coordinateBytes[crv]
    ? Result.succeed({ kty: "OKP", crv, x: base64url.encode(bytes) })
    : Result.fail("encoding")
}

const kinds: ReadonlyMap<unknown, ReadMaterial> = new Map([["RSA", rsa], ["EC", ec], ["OKP", okp]])

/**
 * Members a public key must not have (RFC 7518, 6.2.2, 6.3.2 and 6.4; RFC 8037, 2; `priv` of newer key types). Some
 * platforms export a public key with these members set to `undefined`.
 */
const secretMembers = ["d", "p", "q", "dp", "dq", "qi", "oth", "priv", "k"]

const material: ReadMaterial = (members, note) => {
  const kty = own(members, "kty")
  if (kty === "oct") return Result.fail("symmetric")
  const read = kinds.get(kty)
  if (read === undefined) return Result.fail(Predicate.isString(kty) ? "type" : "malformed")
  return secretMembers.some((name) => optional(members, name, note) !== undefined)
    ? Result.fail("private")
    : read(members, note)
}

/** Upper bound of the characters of an issuer, as in the options of a provider. */
const maxIssuerLength = 2048

const isText = Predicate.or(Predicate.isString, Predicate.isUndefined)

/** Upper bound of the items of `key_ops`: eight operations are registered. */
const maxOperations = 32

/** Whether `key_ops` is absent, or a list of different texts with `verify` (RFC 7517, 4.3). */
const areOperations = (operations: unknown): boolean =>
  operations === undefined ||
  (Array.isArray(operations) && operations.length <= maxOperations && operations.includes("verify") &&
    operations.every(Predicate.isString) &&
    new Set(operations).size === operations.length)

/**
 * Parses a public key, of a set or of the application. Fails with the reason to refuse it.
 *
 * @see RFC 7517, 4 and RFC 7518, 6
 */
export const parseKey = (members: unknown): Result.Result<ParsedKey, SkipReason> => {
  if (!Predicate.isObject(members)) return Result.fail("malformed")
  const deviations = new Set<Deviation>()
  const note: Note = (deviation) => void deviations.add(deviation)
  const read = (name: string) => optional(members, name, note)
  const [kid, alg, use, issuer] = [read("kid"), read("alg"), read("use"), read("issuer")]
  if (!isText(kid) || !isText(alg) || !isText(use) || !isText(issuer)) return Result.fail("malformed")
  if (issuer !== undefined && issuer.length > maxIssuerLength) return Result.fail("malformed")
  if (use !== undefined && !isKeyUse(use)) return Result.fail("use")
  if (!areOperations(read("key_ops"))) return Result.fail("operations")
  if (kid !== undefined && kid.length > maxKidLength) return Result.fail("keyId")
  return Result.flatMap(material(members, note), (found) => {
    const { crv, kty } = { crv: undefined, ...found }
    if (alg !== undefined && !isBound(alg, { kty, crv })) return Result.fail("algorithm")
    return Result.succeed({
      jwk: { kid, alg, use, issuer, kty, crv, material: found },
      deviations: [...deviations]
    })
  })
}
