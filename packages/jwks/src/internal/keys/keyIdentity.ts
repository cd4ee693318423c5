import type { ImportedKey } from "../../KeySet.ts"

/** What a key of WebCrypto was made of, which can't be read out of it. */
const madeOf = new WeakMap<CryptoKey, string>()

/** Remembers what a key was made of. */
export const identify = (key: CryptoKey, { material }: ImportedKey, alg: string): void => {
  madeOf.set(key, JSON.stringify([alg, material]))
}

/** What tells a key from others: equal for two imports of the same key. */
export const identityOf = (key: CryptoKey): unknown => madeOf.get(key) ?? key
