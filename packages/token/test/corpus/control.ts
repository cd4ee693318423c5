/** The control tokens, of which every token of the corpus is a mutation, and the validator that accepts them. */
import { StaticKeys } from "@keelson/jwks"
import { Redacted } from "effect"
import { Claims, TokenValidator, ValidationPolicy } from "../../src/index.ts"
import { type Alg, algorithms, makeSigner, type Signer, signTexts } from "./signer.ts"

/** Part of every text that a control token's author chose. No reason or message may contain it. */
export const canary = "canary"

/** Seconds since 1970. */
export const now = 1_800_000_000
export const issuer = "https://idp.example/tenant-k"
/** Another issuer that the same validator trusts, with different keys. */
export const neighbour = "https://other.example"
export const audience = "https://api.example/orders"

type Members = Readonly<Record<string, unknown>>

/** An accepted token, with everything needed to make mutations of it. */
export interface Control {
  readonly alg: Alg
  readonly signer: Signer
  /** An untrusted key of the same algorithm and kid. */
  readonly stranger: Signer
  /** The key of the other issuer. */
  readonly neighbour: Signer
  /** The issuer's keys, by algorithm. */
  readonly own: Readonly<Record<Alg, Signer>>
  readonly header: Members
  readonly claims: Members
  readonly token: string
}

const claims: Members = {
  iss: issuer,
  aud: audience,
  sub: `${canary}-sub`,
  client_id: `${canary}-client`,
  jti: `${canary}-jti`,
  iat: now - 10,
  nbf: now - 10,
  exp: now + 600,
  scope: `${canary}:read`,
  roles: [`${canary}-role`]
}

const kidOf = (alg: Alg): string => `${canary}-${alg}`

const signersOf = async (kidOf: (alg: Alg) => string): Promise<Readonly<Record<Alg, Signer>>> => ({
  RS256: await makeSigner("RS256", kidOf("RS256")),
  ES256: await makeSigner("ES256", kidOf("ES256")),
  EdDSA: await makeSigner("EdDSA", kidOf("EdDSA")),
  HS256: await makeSigner("HS256", kidOf("HS256"))
})

/** All keys, made once, since RSA keys take long to generate. */
export const makeKeys = async () => {
  const own = await signersOf(kidOf)
  const others = await signersOf((alg) => `${kidOf(alg)}-neighbour`)
  const made = await signersOf((alg) => `${kidOf(alg)}-stranger`)
  const strange = (alg: Alg): Signer => ({ ...made[alg], kid: kidOf(alg) })
  const strangers = {
    RS256: strange("RS256"),
    ES256: strange("ES256"),
    EdDSA: strange("EdDSA"),
    HS256: strange("HS256")
  }
  return { own, others, strangers }
}
export type Keys = Awaited<ReturnType<typeof makeKeys>>

/** The control token of an algorithm. */
export const controlOf = async ({ others, own, strangers }: Keys, alg: Alg): Promise<Control> => {
  const header = { alg, kid: own[alg].kid, typ: "at+jwt" }
  const token = await signTexts(own[alg], JSON.stringify(header), JSON.stringify(claims))
  return { alg, signer: own[alg], stranger: strangers[alg], neighbour: others[alg], own, header, claims, token }
}

/** A key source of the signers' keys, each for its algorithm only. */
export const keysOf = (issuer: string, signers: ReadonlyArray<Signer>) =>
  StaticKeys.layer({
    issuers: [issuer],
    keys: signers.map(({ alg, jwk, kid, secret }) =>
      alg === "HS256"
        ? { id: kid, algorithm: alg, secret: Redacted.make(secret) }
        : { id: kid, algorithm: alg, jwk }
    )
  })

/** The policy that accepts the controls: four algorithms, two issuers. */
export const policy = ValidationPolicy.accessToken({
  issuers: [issuer, neighbour],
  audiences: [audience],
  algorithms
})

export class Corpus extends TokenValidator.Service<Corpus>()("test/Corpus", { claims: Claims.AccessToken }) {}
