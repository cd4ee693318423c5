import type { Jwk, Material } from "../../Jwk.ts"

/** A key of a set, imported for its default algorithm when the set was parsed. It is frozen. */
export class ImportedKey implements Jwk {
  readonly id: string
  readonly kid: string | undefined
  readonly kty: string
  readonly crv: string | undefined
  readonly alg: string | undefined
  readonly use: string | undefined
  readonly issuer: string | undefined
  readonly material: Material
  /** Private, so that code that receives a key set cannot replace the keys that verify tokens. */
  readonly #imports = new Map<string, CryptoKey | undefined>()
  /** Made when keys are first compared, which few sets need. */
  #identity: string | undefined

  constructor({ alg, crv, issuer, kid, kty, material, use }: Jwk, id: string) {
    this.id = id
    this.kid = kid
    this.kty = kty
    this.crv = crv
    this.alg = alg
    this.use = use
    this.issuer = issuer
    this.material = Object.freeze(material)
    Object.freeze(this)
  }

  /** Identifies the key by its material and issuer, not by its `kid`: one key may be published under several `kid`s. */
  static readonly identityOf = (key: ImportedKey): string =>
    key.#identity ??= JSON.stringify([key.issuer ?? null, key.material])

  /** The imported WebCrypto keys by algorithm. `undefined` if the platform failed to import the key for the algorithm. */
  static readonly importsOf = (key: ImportedKey): Map<string, CryptoKey | undefined> => key.#imports
}
