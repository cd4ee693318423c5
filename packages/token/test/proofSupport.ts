/** DPoP keys, proofs, tokens that are bound to them, and requests that present both. */
import { goodClaims, pairOf, sign } from "@keelson/testing/tokens"
import { Effect } from "effect"
import { calculateJwkThumbprint } from "jose"
import { createHash } from "node:crypto"
import type { BearerAuthentication } from "../src/index.ts"
import { type Alg, makeSigner, type Signer, signTexts } from "./corpus/signer.ts"

export const baseUrl = "https://api.example"

/** A client's key. */
export interface ProofSigner extends Signer {
  readonly jkt: string
}

const signers = new Map<string, Promise<ProofSigner>>()

const makeProofSigner = async (alg: Alg): Promise<ProofSigner> => {
  const { jwk: { alg: _, kid: __, ...jwk }, ...signer } = await makeSigner(alg, "proof")
  return { ...signer, jwk, jkt: await calculateJwkThumbprint(jwk) }
}

/** The key of an algorithm and a name, generated once. */
export const proofSigner = (alg: Alg = "ES256", name = "client"): Effect.Effect<ProofSigner> =>
  Effect.promise(() => {
    const key = `${alg} ${name}`
    const signer = signers.get(key) ?? makeProofSigner(alg)
    signers.set(key, signer)
    return signer
  })

export const sha256 = (text: string): string => createHash("sha256").update(text).digest("base64url")

export type Members = Readonly<Record<string, unknown>>

let proofs = 0

/** The claims of a good proof for `GET /me`, made now, with a new `jti`. */
export const proofClaims = (token: string, now: number): Members => ({
  jti: `proof-${++proofs}`,
  htm: "GET",
  htu: `${baseUrl}/me`,
  iat: Math.floor(now / 1000),
  ath: sha256(token)
})

/** A proof. Removes undefined members. */
export const signProof = (
  signer: ProofSigner,
  claims: Members,
  header: Members = {}
): Effect.Effect<string> =>
  Effect.promise(() =>
    signTexts(
      signer,
      JSON.stringify({ typ: "dpop+jwt", alg: signer.alg, jwk: signer.jwk, ...header }),
      JSON.stringify(claims)
    )
  )

/** A good proof with some claims changed. */
export const makeProof = Effect.fnUntraced(function*(signer: ProofSigner, token: string, claims: Members = {}) {
  const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
  return yield* signProof(signer, { ...proofClaims(token, now), ...claims })
})

/** A token with a claim `cnf`, of the issuer that the validators of these tests trust. */
export const tokenWithCnf = Effect.fnUntraced(function*(cnf: unknown, claims: Members = {}) {
  return yield* sign(yield* pairOf("ES256"), {
    ...(yield* goodClaims),
    ...claims,
    ...(cnf === undefined ? {} : { cnf })
  })
})

/** A token that is bound to a client's key. */
export const boundToken = ({ jkt }: ProofSigner, claims: Members = {}) => tokenWithCnf({ jkt }, claims)

/** A request with a token and a proof. */
export const boundRequest = (
  token: string,
  proof: string | undefined,
  { method = "GET", scheme = "DPoP", url = "/me" }: {
    readonly method?: string
    readonly scheme?: string
    readonly url?: string
  } = {}
): BearerAuthentication.Request => ({
  method,
  url,
  headers: [["authorization", `${scheme} ${token}`], ...(proof === undefined ? [] : [["dpop", proof]] as const)]
})
