import type { NotFoundReason } from "../../JwksError.ts"
import type { JoseHeader } from "../../KeySource.ts"

/** What selection looks at of a key. */
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

/** Longer key ids are not looked for, and not kept. */
export const maxKidLength = 256

/** With more keys to try than this, each hostile token would cost as many signature checks. */
export const maxCandidates = 4

interface Binding {
  readonly kty: string
  readonly crv?: string
}

/** Algorithms with the key type and curve that each is bound to (RFC 7518, 3.1; RFC 8037, 3.1; RFC 9864, 2.2). */
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

/** The two names of one algorithm. */
const isSameAlgorithm = (own: string, asked: string): boolean =>
  own === asked || (own === "EdDSA" && asked === "Ed25519") || (own === "Ed25519" && asked === "EdDSA")

/** Whether a key type and curve are those of an algorithm that is known. */
export const isBound = (alg: string, key: Pick<Selectable, "crv" | "kty">): boolean => {
  const bound = algorithms.get(alg)
  return bound !== undefined && bound.kty === key.kty && (bound.crv === undefined || bound.crv === key.crv)
}

/** Whether a key may verify what is signed with an algorithm. */
const fits = (key: Selectable, alg: string): boolean =>
  isBound(alg, key) && (key.alg === undefined || isSameAlgorithm(key.alg, alg)) &&
  (key.use === undefined || key.use === "sig")

/** Keys that say what they are for come first: by algorithm, then by use; then as they come. */
const rank = (key: Selectable): number => (key.alg === undefined ? 2 : 0) + (key.use === undefined ? 1 : 0)

/**
 * The keys to try for a header, in order. With a `kid`, those that have it; without one, all that fit. The key type
 * follows from the algorithm, so that it needs no place in the order.
 *
 * @see RFC 7515, 4.1.4 and RFC 7517, 4.5
 */
export const select = <K extends Selectable>(
  keys: { readonly all: ReadonlyArray<K>; readonly byKid: ReadonlyMap<string, ReadonlyArray<K>> },
  { alg, kid }: JoseHeader
): Selection<K> => {
  const named = kid === undefined ? keys.all : keys.byKid.get(kid)
  if (named === undefined) return { _tag: "NotFound", reason: "unknown" }
  const [first, ...rest] = named.filter((key) => fits(key, alg)).toSorted((a, b) => rank(a) - rank(b))
  if (first === undefined) return { _tag: "NotFound", reason: kid === undefined ? "unknown" : "mismatched" }
  return rest.length >= maxCandidates
    ? { _tag: "NotFound", reason: "ambiguous" }
    : { _tag: "Found", keys: [first, ...rest] }
}

/** Members that a public key must not have (RFC 7518, 6.2.2 and 6.3.2; RFC 8037, 2; `priv` of newer kinds). */
export const privateMembers = ["d", "p", "q", "dp", "dq", "qi", "oth", "priv"]
