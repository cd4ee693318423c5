import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Redacted from "effect/Redacted"
import type { JWK } from "jose"
import * as base64url from "jose/base64url"
import { SignJWT } from "jose/jwt/sign"
import type { SigningAlgorithm } from "../../ClientAuth.ts"

/** What a proof is made of, besides the key. */
export interface ProofClaims {
  readonly method: string
  readonly url: URL
  /** The wall clock, in milliseconds. */
  readonly now: number
  readonly nonce: string | undefined
  /** The access token that the request carries. */
  readonly accessToken: Redacted.Redacted | undefined
}

/** The members of a public key by its type (RFC 7638, 3.2); a proof has no others (RFC 9449, 4.2). */
export const publicMembers = ({ crv, e, kty, n, x, y }: JWK): JWK => {
  if (kty === "RSA" && e !== undefined && n !== undefined) return { kty, e, n }
  if (kty === "EC" && crv !== undefined && x !== undefined && y !== undefined) return { kty, crv, x, y }
  if (kty === "OKP" && crv !== undefined && x !== undefined) return { kty, crv, x }
  throw new TypeError("not a public key")
}

/** Hashes of tokens, each computed once: a token is sent with many proofs. */
const hashes = new WeakMap<Redacted.Redacted, Promise<string>>()

/** The `ath` of a token (RFC 9449, 4.2). */
const hashOf = (token: Redacted.Redacted): Promise<string> => {
  const known = hashes.get(token)
  if (known !== undefined) return known
  const hash = crypto.subtle.digest("SHA-256", new TextEncoder().encode(Redacted.value(token))).then((digest) =>
    base64url.encode(new Uint8Array(digest))
  )
  hashes.set(token, hash)
  return hash
}

/**
 * Signs a proof for one request. Its `htu` has neither query nor fragment, and its `jti` comes from secure randomness.
 *
 * @see RFC 9449, 4.2
 */
export const signProof = async (
  key: CryptoKey,
  header: { readonly alg: SigningAlgorithm; readonly jwk: JWK },
  { accessToken, method, nonce, now, url }: ProofClaims
): Promise<string> =>
  new SignJWT({
    jti: SecureRandom.uuidV4Unsafe(),
    htm: method,
    htu: `${url.origin}${url.pathname}`,
    iat: Math.floor(now / 1_000),
    ...(accessToken === undefined ? undefined : { ath: await hashOf(accessToken) }),
    ...(nonce === undefined ? undefined : { nonce })
  }).setProtectedHeader({ typ: "dpop+jwt", ...header }).sign(key)
