import type { NotFoundReason } from "../../JwksError.ts"
import type { JoseHeader } from "../../unstable/KeySourceTag.ts"

/** The members of a key that selection reads. */
export interface Selectable {
  readonly kid: string | undefined
  readonly kty: string
  readonly crv: string | undefined
  readonly alg: string | undefined
  readonly use: string | undefined
}

export type Selection<K> =
  | { readonly _tag: "Found"; readonly keys: readonly [K, ...ReadonlyArray<K>] }
  | { readonly _tag: "NotFound"; readonly reason: NotFoundReason }

/** Upper bound of the characters of a key id. Longer ids are neither looked up nor kept. */
export const maxKidLength = 256

/** Upper bound of the keys to try, since each hostile token costs one signature check per key. */
export const maxCandidates = 4

interface Binding {
  readonly kty: string
  readonly crv?: string
}

/** The key type and curve of each algorithm (RFC 7518, 3.1; RFC 8037, 3.1; RFC 9864, 2.2). */
const algorithms: ReadonlyMap<string, Binding> = new Map<string, Binding>([
  ["RS256", { kty: "RSA" }],
  ["RS384", { kty: "RSA" }],
  ["RS512", { kty: "RSA" }],
  ["PS256", { kty: "RSA" }],
  ["PS384", { kty: "RSA" }],
  ["PS512", { kty: "RSA" }],
  ["ES256", { kty: "EC", crv: "P-256" }],
  ["ES384", { kty: "EC", crv: "P-384" }],
  ["ES512", { kty: "EC", crv: "P-521" }],
  ["EdDSA", { kty: "OKP", crv: "Ed25519" }],
  ["Ed25519", { kty: "OKP", crv: "Ed25519" }],
  ["HS256", { kty: "oct" }],
  ["HS384", { kty: "oct" }],
  ["HS512", { kty: "oct" }]
])

/** Whether two names denote the same algorithm: `EdDSA` and `Ed25519` do. */
export const isSameAlgorithm = (own: string, asked: string): boolean =>
  own === asked || (own === "EdDSA" && asked === "Ed25519") || (own === "Ed25519" && asked === "EdDSA")

/** Whether the algorithm is supported, and the key has its type and curve. */
export const isBound = (alg: string, key: Pick<Selectable, "crv" | "kty">): boolean => {
  const bound = algorithms.get(alg)
  return bound !== undefined && bound.kty === key.kty && (bound.crv === undefined || bound.crv === key.crv)
}

/** Whether `use` is one of a key that verifies tokens: `sig` (RFC 7517, 4.2), or `jwt-svid` in a SPIFFE bundle. */
export const isKeyUse = (use: string): boolean => use === "sig" || use === "jwt-svid"

/** Whether a key may verify signatures of an algorithm. A key of a SPIFFE bundle only verifies JWT-SVIDs. */
const fits = (key: Selectable, { alg, use }: Pick<JoseHeader, "alg" | "use">): boolean =>
  isBound(alg, key) && (key.alg === undefined || isSameAlgorithm(key.alg, alg)) &&
  (key.use === undefined || key.use === "sig" || key.use === use)

/** Orders keys: those with an `alg` first, then those with a `use`, otherwise in document order. */
const rank = (key: Selectable): number => (key.alg === undefined ? 2 : 0) + (key.use === undefined ? 1 : 0)

/** Keys in document order, and by `kid`. */
interface Selectables<K> {
  readonly all: ReadonlyArray<K>
  readonly byKid: Pick<ReadonlyMap<string, ReadonlyArray<K>>, "get">
}

/** The first keys of each identity, until there are more than may be tried. */
const distinct = <K>(keys: ReadonlyArray<K>, identityOf: (key: K) => unknown): ReadonlyArray<K> => {
  if (keys.length < 2) return keys
  const known = new Map<unknown, K>()
  for (const key of keys) {
    const identity = identityOf(key)
    if (!known.has(identity)) known.set(identity, key)
    if (known.size > maxCandidates) break
  }
  return [...known.values()]
}

/**
 * Returns the keys to try for a header, in order: with a `kid`, the fitting keys that have it; without a `kid`, all
 * fitting keys. The algorithm determines the key type, so the order does not depend on the key type. Keys of one identity
 * are tried once.
 *
 * @see RFC 7515, 4.1.4 and RFC 7517, 4.5
 */
export const select = <K extends Selectable>(
  { all, byKid }: Selectables<K>,
  header: JoseHeader,
  identityOf: (key: K) => unknown = (key) => key
): Selection<K> => {
  const { kid } = header
  const named = kid === undefined ? all : byKid.get(kid)
  if (named === undefined) return { _tag: "NotFound", reason: "unknown" }
  const fitting = named.filter((key) => fits(key, header)).toSorted((a, b) => rank(a) - rank(b))
  const [first, ...rest] = distinct(fitting, identityOf)
  if (first === undefined) return { _tag: "NotFound", reason: kid === undefined ? "unknown" : "mismatched" }
  return rest.length >= maxCandidates
    ? { _tag: "NotFound", reason: "ambiguous" }
    : { _tag: "Found", keys: [first, ...rest] }
}
