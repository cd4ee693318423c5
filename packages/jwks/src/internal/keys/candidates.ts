import type { ImportedKey } from "../../KeySet.ts"
import type { Candidate, KeyTrust } from "../../KeySource.ts"

/** The algorithm and material that each key of WebCrypto was imported from, which cannot be read out of the key. */
const imported = new WeakMap<CryptoKey, string>()

/** The candidates of keys; `undefined` if one of them is not imported for the algorithm. */
export const candidatesOf = (
  keys: ReadonlyArray<ImportedKey>,
  alg: string,
  trust: KeyTrust
): ReadonlyArray<Candidate> | undefined => {
  const candidates: Array<Candidate> = []
  for (const source of keys) {
    const key = source.imported.get(alg)
    if (key === undefined) return undefined
    imported.set(key, JSON.stringify([alg, source.material]))
    candidates.push({ kid: source.kid, alg, key, issuer: source.issuer, trust })
  }
  return candidates
}

/** Each key once, since replicas of one issuer publish the same keys: the first of equal ones. */
export const distinct = (candidates: ReadonlyArray<Candidate>): ReadonlyArray<Candidate> => {
  const keys = new Map<unknown, Candidate>()
  for (const candidate of candidates) {
    const identity = imported.get(candidate.key) ?? candidate.key
    if (!keys.has(identity)) keys.set(identity, candidate)
  }
  return [...keys.values()]
}
