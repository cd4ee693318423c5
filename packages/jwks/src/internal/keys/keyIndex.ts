import type { ImportedKey } from "./importedKey.ts"

type Keys = ReadonlyArray<ImportedKey>

/** The keys of a set by `kid`, which cannot be changed. A `kid` can be any text, for example `__proto__`. */
export class KeyIndex implements ReadonlyMap<string, Keys> {
  readonly #keys: ReadonlyMap<string, Keys>

  constructor(all: Keys) {
    const index = new Map<string, Array<ImportedKey>>()
    for (const key of all) {
      if (key.kid === undefined) continue
      const named = index.get(key.kid)
      if (named === undefined) index.set(key.kid, [key])
      else named.push(key)
    }
    for (const named of index.values()) Object.freeze(named)
    this.#keys = index
    Object.freeze(this)
  }
  get size(): number {
    return this.#keys.size
  }
  get(kid: string): Keys | undefined {
    return this.#keys.get(kid)
  }
  has(kid: string): boolean {
    return this.#keys.has(kid)
  }
  keys(): MapIterator<string> {
    return this.#keys.keys()
  }
  values(): MapIterator<Keys> {
    return this.#keys.values()
  }
  entries(): MapIterator<[string, Keys]> {
    return this.#keys.entries()
  }
  [Symbol.iterator](): MapIterator<[string, Keys]> {
    return this.#keys.entries()
  }
  forEach(use: (keys: Keys, kid: string, index: ReadonlyMap<string, Keys>) => void): void {
    for (const [kid, keys] of this.#keys) use(keys, kid, this)
  }
}
