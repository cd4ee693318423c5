/**
 * Nonces that the API gives out, without a record of them: each is the MAC of the number of a period of time.
 *
 * @see RFC 9449, 8 and 9
 */
import * as Effect from "effect/Effect"
import * as base64url from "jose/base64url"
import { encodeText } from "../validation/platform.ts"

/** The nonces of a moment. */
export interface NonceSet {
  /** The nonce to give out. */
  readonly current: string
  /** Whether proofs with a nonce are accepted: also that of the period before, and of the next, for a clock that is ahead. */
  readonly accepts: (nonce: unknown) => boolean
}

/** Bytes of a MAC that a nonce has. */
const nonceBytes = 18

/**
 * Gives out nonces, each valid for one to two periods. The MACs are computed once per period, and all processes with the same
 * key have the same nonces. A nonce is no secret: whoever sends a bad proof gets one.
 *
 * - `period`: in milliseconds.
 */
export class Nonces {
  readonly #key: CryptoKey
  readonly #period: number
  #nonces: { readonly index: number; readonly set: NonceSet } | undefined

  constructor(key: CryptoKey, period: number) {
    this.#key = key
    this.#period = period
  }

  /** A generator with the key of these bytes. */
  static make(secret: Uint8Array<ArrayBuffer>, period: number): Effect.Effect<Nonces> {
    return Effect.map(
      Effect.promise(() => crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["sign"])),
      (key) => new Nonces(key, period)
    )
  }

  /** The nonces at a time, in milliseconds since 1970. */
  at(now: number): NonceSet | Promise<NonceSet> {
    const index = Math.floor(now / this.#period)
    return this.#nonces?.index === index ? this.#nonces.set : this.#compute(index)
  }

  async #compute(index: number): Promise<NonceSet> {
    const [before, current, next] = await Promise.all([
      this.#nonceOf(index - 1),
      this.#nonceOf(index),
      this.#nonceOf(index + 1)
    ])
    const set: NonceSet = {
      current,
      accepts: (nonce) => nonce === current || nonce === before || nonce === next
    }
    this.#nonces = { index, set }
    return set
  }
  async #nonceOf(index: number): Promise<string> {
    const mac = await crypto.subtle.sign("HMAC", this.#key, encodeText(`keelson DPoP nonce ${index}`))
    return base64url.encode(new Uint8Array(mac, 0, nonceBytes))
  }
}
