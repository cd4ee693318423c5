import { LRUCache } from "lru-cache"

/**
 * Who issued a nonce. An authorization server and a resource server have nonces of their own, also at one origin (RFC 9449, 8.2
 * and 9).
 */
export type NonceIssuer = "authorizationServer" | "resourceServer"

/** The latest nonce of each server. */
export interface Nonces {
  readonly get: (issuer: NonceIssuer, url: URL) => string | undefined
  /** Keeps the nonce of a `DPoP-Nonce` header. Returns whether the header has one. */
  readonly keep: (issuer: NonceIssuer, url: URL, header: string | undefined) => boolean
}

/** Above the number of origins that programs call. */
const capacity = 100

/** The characters of a nonce (RFC 9449, 8.1), and an upper bound of its length, since it is sent with each request. */
const form = /^[\u0021\u0023-\u005b\u005d-\u007e]{1,1024}$/

export const makeNonces = (): Nonces => {
  const latest = new LRUCache<string, string>({ max: capacity })
  const keyOf = (issuer: NonceIssuer, { origin }: URL) => `${issuer} ${origin}`
  return {
    get: (issuer, url) => latest.get(keyOf(issuer, url)),
    keep: (issuer, url, header) => {
      if (header === undefined || !form.test(header)) return false
      latest.set(keyOf(issuer, url), header)
      return true
    }
  }
}
