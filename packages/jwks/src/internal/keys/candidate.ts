import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { JwksKeyNotFound, JwksNotRegistered, JwksUnavailable } from "../../JwksError.ts"

/** The members of a JOSE header that select a key (RFC 7515, 4.1). Nothing else of a header is ever looked at. */
export interface JoseHeader {
  readonly alg: string
  readonly kid?: string | undefined
}

/** Why a key is trusted, and until when. It is one object for all keys of a key set. */
export interface KeyTrust {
  /**
   * For people and logs: it grows with each key set of one provider that replaces another. What a cache of verified tokens
   * binds to is this object itself, which is one and the same as long as the keys are.
   */
  readonly generation: number
  /**
   * Whether the trust still holds: the set has not been replaced or invalidated, and is not past its stale deadline. It
   * reads the clock by itself and allocates nothing, so that a cache of verified tokens can ask on every hit.
   */
  readonly holds: (clock: Clock.Clock) => boolean
  /**
   * The monotonic instant, in nanoseconds, at which the trust ends unless a refresh renews it; `undefined` where it does
   * not end by itself.
   */
  readonly staleDeadline: () => bigint | undefined
}

/** A key that may verify a token, imported for one algorithm. */
export interface Candidate {
  readonly kid: string | undefined
  /** The algorithm (RFC 7518, 3.1) that the key was imported for: the one of the header asked with. */
  readonly alg: string
  /** Not extractable; a symmetric one only where the algorithm is. */
  readonly key: CryptoKey
  /** The key's own `issuer` member, which some providers with many tenants publish. */
  readonly issuer: string | undefined
  readonly trust: KeyTrust
}

/** What a lookup may fail with. */
export type LookupError = JwksKeyNotFound | JwksUnavailable | JwksNotRegistered

/** Finds the keys that may verify a token. */
export class KeySource extends Context.Service<KeySource, {
  /**
   * The candidates for a header, from one to four and in the order to try them.
   *
   * Fails with `JwksKeyNotFound` (`JWKS_KEY_NOT_FOUND`, a 401), with `JwksUnavailable` (`JWKS_UNAVAILABLE`, a 503) where
   * an endpoint of the issuer has no usable keys, and with `JwksNotRegistered` (`JWKS_NOT_REGISTERED`) for an issuer that
   * this source does not serve.
   */
  readonly find: (issuer: string, header: JoseHeader) => Effect.Effect<ReadonlyArray<Candidate>, LookupError>
}>()("@keelson/jwks/KeySource") {}
