/**
 * The service tag of `KeySource` and its types. Static keys and validators import it from here, so that they do not load a
 * cache of key sets.
 */
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Material } from "../Jwk.ts"
import type { JwksKeyNotFound, JwksNotRegistered, JwksUnavailable } from "../JwksError.ts"

/** What selects a key: the members of a JOSE header that do (RFC 7515, 4.1), and the kind of token. */
export interface JoseHeader {
  readonly alg: string
  readonly kid?: string | undefined
  /** For a JWT-SVID. The keys of a SPIFFE bundle, whose `use` is `jwt-svid`, are only found with it. Default none. */
  readonly use?: "jwt-svid" | undefined
}

/** Why a key is trusted, and until when. All keys of a key set share one object. */
export interface KeyTrust {
  /**
   * Increases with each key set of a provider that replaces another. For display and logs only: a cache of verified
   * tokens binds to the identity of the `KeyTrust` object, which stays the same as long as the keys do.
   */
  readonly generation: number
  /**
   * Whether the trust still holds: the set has not been replaced or invalidated, and is not past its stale deadline.
   * The function reads the given clock and allocates nothing, so that a cache of verified tokens can call it on every
   * hit.
   */
  readonly holds: (clock: Clock.Clock) => boolean
  /**
   * The monotonic instant, in nanoseconds, at which the trust ends unless a refresh renews it. `undefined` if the
   * trust does not expire.
   */
  readonly staleDeadline: () => bigint | undefined
}

/** A key to try for a token's signature, imported for one algorithm. */
export interface Candidate {
  readonly kid: string | undefined
  /** The algorithm (RFC 7518, 3.1) that the key was imported for: the `alg` of the header passed to `find`. */
  readonly alg: string
  /** Not extractable. Symmetric only if the algorithm is symmetric. */
  readonly key: CryptoKey
  /**
   * The public members of the same key (RFC 7518, 6). A verifier that does not use WebCrypto makes its own form of them.
   * Default none: signatures of this key are verified with WebCrypto.
   */
  readonly jwk?: Material | undefined
  /** The `issuer` member of the key, which some multi-tenant providers publish. */
  readonly issuer: string | undefined
  readonly trust: KeyTrust
}

/** The errors of a lookup. */
export type LookupError = JwksKeyNotFound | JwksUnavailable | JwksNotRegistered

/** Finds the keys to try for a token's signature. */
export class KeySource extends Context.Service<KeySource, {
  /**
   * Returns one to four candidates for a header, in the order to try them.
   *
   * Fails with `JwksKeyNotFound` (`JWKS_KEY_NOT_FOUND`, a 401), with `JwksUnavailable` (`JWKS_UNAVAILABLE`, a 503) if
   * an endpoint of the issuer has no usable keys, and with `JwksNotRegistered` (`JWKS_NOT_REGISTERED`) if this source
   * does not serve the issuer.
   */
  readonly find: (issuer: string, header: JoseHeader) => Effect.Effect<ReadonlyArray<Candidate>, LookupError>
}>()("@keelson/jwks/KeySource") {}

/** Upper bound of the candidates a source returns. A hostile token can cost as many signature checks. */
export { maxCandidates } from "../internal/keys/keySelection.ts"
