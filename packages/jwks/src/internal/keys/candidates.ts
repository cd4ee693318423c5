import type { Candidate, KeyTrust } from "../../unstable/KeySourceTag.ts"
import { ImportedKey } from "./importedKey.ts"

/** The algorithm, material and issuer of each imported WebCrypto key, since the key is not extractable. */
const imported = new WeakMap<CryptoKey, string>()

/** Returns the candidates of keys, frozen since lookups share them, or `undefined` if a key is not imported for the algorithm. */
export const candidatesOf = (
  keys: ReadonlyArray<ImportedKey>,
  alg: string,
  trust: KeyTrust
): ReadonlyArray<Candidate> | undefined => {
  const candidates: Array<Candidate> = []
  for (const source of keys) {
    const key = ImportedKey.importsOf(source).get(alg)
    if (key === undefined) return undefined
    imported.set(key, `${alg} ${ImportedKey.identityOf(source)}`)
    candidates.push(Object.freeze({ kid: source.kid, alg, key, jwk: source.material, issuer: source.issuer, trust }))
  }
  return Object.freeze(candidates)
}

/** Removes duplicate keys and keeps the first of each, since replicas of one issuer publish the same keys. */
export const distinct = (candidates: ReadonlyArray<Candidate>): ReadonlyArray<Candidate> => {
  const keys = new Map<unknown, Candidate>()
  for (const candidate of candidates) {
    const identity = imported.get(candidate.key) ?? candidate.key
    if (!keys.has(identity)) keys.set(identity, candidate)
  }
  return [...keys.values()]
}
