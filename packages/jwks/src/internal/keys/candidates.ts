import type { Candidate, KeyTrust } from "../../unstable/KeySourceTag.ts"
import { ImportedKey } from "./importedKey.ts"

/** The key of the set that each WebCrypto key was imported from, since that is not extractable. */
const sources = new WeakMap<CryptoKey, ImportedKey>()

/** Identifies the key of a candidate, and the algorithm that it verifies. */
const identityOf = ({ alg, key }: Candidate): unknown => {
  const source = sources.get(key)
  return source === undefined ? key : `${alg} ${ImportedKey.identityOf(source)}`
}

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
    sources.set(key, source)
    candidates.push(Object.freeze({ kid: source.kid, alg, key, jwk: source.material, issuer: source.issuer, trust }))
  }
  return Object.freeze(candidates)
}

/** Removes duplicate keys and keeps the first of each, since replicas of one issuer publish the same keys. */
export const distinct = (candidates: ReadonlyArray<Candidate>): ReadonlyArray<Candidate> => {
  if (candidates.length < 2) return candidates
  const keys = new Map<unknown, Candidate>()
  for (const candidate of candidates) {
    const identity = identityOf(candidate)
    if (!keys.has(identity)) keys.set(identity, candidate)
  }
  return [...keys.values()]
}
