/** Tokens that an API must not take, each bad in one way. */
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

/** What a forger may know, and for tokens that are merely not meant for this API, the provider's own key. */
export interface Material {
  /** A token that the API takes. */
  readonly real: string
  readonly claims: JWTPayload
  readonly kid: string
  readonly providerKey: CryptoKey | Uint8Array
  readonly publicText: Uint8Array
  readonly ownKey: CryptoKey
  readonly ownJwk: JWK
}

/** What can be made of a good token, and of the key that the provider signs with. */
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

const signed = (of: Material, key: Material["providerKey"], { claims, header }: Changes = {}) =>
  new SignJWT({ ...of.claims, ...claims })
    .setProtectedHeader({ alg: "ES256", typ: "at+jwt", kid: of.kid, ...header })
    .sign(key)

const hour = 3600
const iat = ({ claims }: Material): number => claims.iat ?? 0

/** A token like the real one, which the API has not seen before: nothing is wrong with it. */
export const fresh = (of: Material): Promise<string> =>
  signed(of, of.providerKey, { claims: { jti: crypto.randomUUID() } })

/** Each kind by what is wrong with it. */
export const kinds: Readonly<Record<string, (of: Material) => string | Promise<string>>> = {
  "a key that nobody has": (of) => signed(of, of.ownKey, { header: { kid: crypto.randomUUID() } }),
  "signed by another key": (of) => signed(of, of.ownKey),
  "brings its own key": (of) => signed(of, of.ownKey, { header: { kid: "own", jwk: of.ownJwk } }),
  "alg none": ({ claims, kid }) => `${encode({ alg: "none", typ: "at+jwt", kid })}.${encode(claims)}.`,
  "HS256 with the public key": (of) => signed(of, of.publicText, { header: { alg: "HS256" } }),
  "changed claims": ({ claims, real }) => real.replace(/\.[^.]+\./, `.${encode({ ...claims, sub: "admin" })}.`),
  "signature stripped": ({ real }) => real.replace(/[^.]+$/, ""),
  "expired": (of) => signed(of, of.providerKey, { claims: { exp: iat(of) - hour } }),
  "not valid yet": (of) => signed(of, of.providerKey, { claims: { nbf: iat(of) + hour } }),
  "for another audience": (of) => signed(of, of.providerKey, { claims: { aud: "https://invoices.example" } }),
  "of another issuer": (of) => signed(of, of.providerKey, { claims: { iss: "https://issuer.example" } }),
  "no access token": (of) => signed(of, of.providerKey, { header: { typ: "JWT" } }),
  "without the scope": (of) => signed(of, of.providerKey, { claims: { scope: "orders:write" } })
}
