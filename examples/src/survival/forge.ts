/** Tokens that an API must reject, each for one reason. */
import { Effect } from "effect"
import {
  base64url,
  type CryptoKey,
  decodeJwt,
  exportJWK,
  exportSPKI,
  generateKeyPair,
  importJWK,
  type JWK,
  type JWTPayload,
  SignJWT
} from "jose"
import type { SigningKey } from "./provider.ts"

/** What the bad tokens are made of; the provider's key is for tokens that are genuine but not valid for this API. */
export interface Material {
  /** A token that the API accepts. */
  readonly real: string
  readonly claims: JWTPayload
  readonly kid: string
  readonly providerKey: CryptoKey | Uint8Array
  readonly publicText: Uint8Array
  readonly ownKey: CryptoKey
  readonly ownJwk: JWK
}

/** Collects the material from a valid token and the provider's signing key. */
export const materialOf = (real: string, signing: SigningKey): Effect.Effect<Material> =>
  Effect.promise(async () => {
    const own = await generateKeyPair("ES256", { extractable: true })
    const { d: _, ...publicJwk } = signing
    const publicKey = await importJWK(publicJwk, "ES256", { extractable: true })
    if (publicKey instanceof Uint8Array) throw new TypeError("The provider's key is a secret")
    return {
      real,
      claims: decodeJwt(real),
      kid: signing.kid,
      providerKey: await importJWK(signing, "ES256"),
      publicText: new TextEncoder().encode(await exportSPKI(publicKey)),
      ownKey: own.privateKey,
      ownJwk: await exportJWK(own.publicKey)
    }
  })

const encode = (part: object): string => base64url.encode(JSON.stringify(part))

interface Changes {
  readonly claims?: JWTPayload
  readonly header?: object
}

const signed = (material: Material, key: Material["providerKey"], { claims, header }: Changes = {}) =>
  new SignJWT({ ...material.claims, ...claims })
    .setProtectedHeader({ alg: "ES256", typ: "at+jwt", kid: material.kid, ...header })
    .sign(key)

const hour = 3600
const iat = ({ claims }: Material): number => claims.iat ?? 0

/** A valid token that the API has not seen before. */
export const freshToken = (material: Material): Promise<string> =>
  signed(material, material.providerKey, { claims: { jti: crypto.randomUUID() } })

/** The kinds of bad tokens, named after what is wrong with them. */
export const kinds: Readonly<Record<string, (material: Material) => string | Promise<string>>> = {
  "unknown key": (material) => signed(material, material.ownKey, { header: { kid: crypto.randomUUID() } }),
  "signed by another key": (material) => signed(material, material.ownKey),
  "embeds its own key": (material) =>
    signed(material, material.ownKey, { header: { kid: "own", jwk: material.ownJwk } }),
  "alg none": ({ claims, kid }) => `${encode({ alg: "none", typ: "at+jwt", kid })}.${encode(claims)}.`,
  "HS256 with the public key": (material) => signed(material, material.publicText, { header: { alg: "HS256" } }),
  "changed claims": ({ claims, real }) => real.replace(/\.[^.]+\./, `.${encode({ ...claims, sub: "admin" })}.`),
  "signature stripped": ({ real }) => real.replace(/[^.]+$/, ""),
  "expired": (material) => signed(material, material.providerKey, { claims: { exp: iat(material) - hour } }),
  "not valid yet": (material) => signed(material, material.providerKey, { claims: { nbf: iat(material) + hour } }),
  "for another audience": (material) =>
    signed(material, material.providerKey, { claims: { aud: "https://invoices.example" } }),
  "from another issuer": (material) =>
    signed(material, material.providerKey, { claims: { iss: "https://issuer.example" } }),
  "not an access token": (material) => signed(material, material.providerKey, { header: { typ: "JWT" } }),
  "without the scope": (material) => signed(material, material.providerKey, { claims: { scope: "orders:write" } })
}
