import * as Jwk from "@keelson/jwks/Jwk"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type { Digest } from "../validation/digest.ts"

/** The members of a thumbprint, in the order of RFC 7638, 3.2. They are base64url, so that no text needs an escape. */
const thumbprintText = (material: Jwk.Material): string => {
  switch (material.kty) {
    case "EC":
      return `{"crv":"${material.crv}","kty":"EC","x":"${material.x}","y":"${material.y}"}`
    case "OKP":
      return `{"crv":"${material.crv}","kty":"OKP","x":"${material.x}"}`
    case "RSA":
      return `{"e":"${material.e}","kty":"RSA","n":"${material.n}"}`
  }
}

/** The thumbprint of a key with SHA-256: RFC 7638. */
export const thumbprintOf = (material: Jwk.Material, digest: Digest): string | Promise<string> =>
  digest(thumbprintText(material))

/** Members that belong to private and symmetric keys. `Jwk.parse` allows those that are null. */
const secretMembers = ["d", "p", "q", "dp", "dq", "qi", "oth", "priv", "k"]

/** The key type and curve of each algorithm that a proof may have. */
const kinds: ReadonlyMap<string, readonly [kty: Jwk.Material["kty"], crv?: string]> = new Map([
  ["RS256", ["RSA"]],
  ["RS384", ["RSA"]],
  ["RS512", ["RSA"]],
  ["PS256", ["RSA"]],
  ["PS384", ["RSA"]],
  ["PS512", ["RSA"]],
  ["ES256", ["EC", "P-256"]],
  ["ES384", ["EC", "P-384"]],
  ["ES512", ["EC", "P-521"]],
  ["EdDSA", ["OKP", "Ed25519"]],
  ["Ed25519", ["OKP", "Ed25519"]]
])

/** Whether a JSON object has the members of a key, spelled as in their canonical form: a key must have one thumbprint. */
const isCanonical = (members: object, material: Jwk.Material): boolean =>
  Object.entries(material).every(([name, value]) => Reflect.get(members, name) === value)

/**
 * The public key in the header of a proof, for one algorithm. `undefined` for anything else than the public members of a key
 * of that algorithm's type and curve.
 */
export const parseProofKey = (members: unknown, alg: string): Jwk.Material | undefined => {
  if (!Predicate.isObject(members) || secretMembers.some((name) => Object.hasOwn(members, name))) return undefined
  const parsed = Result.getOrUndefined(Jwk.parse(members))
  const [kty, crv] = kinds.get(alg) ?? []
  if (parsed === undefined || parsed.kty !== kty || parsed.crv !== crv) return undefined
  if (parsed.alg !== undefined && parsed.alg !== alg) return undefined
  return isCanonical(members, parsed.material) ? parsed.material : undefined
}
