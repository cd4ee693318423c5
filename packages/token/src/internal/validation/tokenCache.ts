import * as Instant from "@keelson/core/unstable/Instant"
import type * as KeySource from "@keelson/jwks/unstable/KeySourceTag"
import type * as Clock from "effect/Clock"
import type * as Exit from "effect/Exit"
import { LRUCache } from "lru-cache"
import type * as TokenError from "../../TokenError.ts"
import type { TokenClaims, ValidityWindow } from "./checks.ts"
import type { ParsedToken } from "./compactJws.ts"
import type { TrustedIssuer } from "./rules.ts"
import { own } from "./strictJson.ts"

/** A token with a valid signature and decoded claims. Whether it may be used now is checked on every use. */
export interface VerifiedToken<A> extends TokenClaims {
  /** The result, as an exit that is made once: a cache hit allocates nothing. */
  readonly exit: Exit.Exit<A>
  readonly value: A
  readonly alg: string
  readonly trust: KeySource.KeyTrust
  readonly issuer: TrustedIssuer
  /** Which of the candidate keys verified it, counted from 1. */
  readonly key: { readonly place: number; readonly candidates: number }
  readonly window: ValidityWindow
  /** The monotonic nanosecond at which it ends: setting the wall clock back does not extend its lifetime. */
  readonly endsAt: bigint
  /** Estimated bytes in memory. */
  readonly size: number
}

/** A rejected token, with the keys that were tried: none for a token that was rejected before any key was looked up. */
interface RejectedToken {
  readonly reason: TokenError.Reason
  readonly trusts: ReadonlyArray<KeySource.KeyTrust>
  readonly until: Instant.Instant
  readonly isStillRejected: StillRejected
}

/** What the lookup of a token's keys reads: the names in its header, and its issuer. It depends on the token and the policy alone. */
export interface KeyNames extends Pick<ParsedToken, "header" | "issuer" | "members"> {
  readonly registered: Pick<ParsedToken["registered"], "iss">
}

/** Whether a token is rejected for the same reason at another time, in milliseconds since 1970. */
export type StillRejected = (now: number) => boolean

export interface CacheLimits {
  readonly maxEntries: number
  readonly maxBytes: number
}

const maxRejected = 1000
/** Upper bound of the characters of the names of a token that are kept: a hostile token may have 16 KiB of them. */
const maxNamesLength = 512
const rejectedMillis = 10_000

/**
 * The verified tokens of one validator, by the hash of the token. Each validator has its own cache, so that no entry is
 * used under another policy, claims schema or key source. Each entry references the trust in the key that verified it.
 *
 * Rejected tokens are kept for 10 seconds, in LRU caches of their own: one for those that no key was looked up for, so that a
 * flood of them evicts no others.
 */
export class TokenCache<A> {
  readonly #verified: LRUCache<string, VerifiedToken<A>>
  readonly #rejected = new LRUCache<string, RejectedToken>({ max: maxRejected })
  // Made at their first use: an LRU cache allocates for all of its entries at once.
  #rejectedWithoutKeys: LRUCache<string, RejectedToken> | undefined
  #keyNames: LRUCache<string, KeyNames> | undefined

  constructor({ maxBytes, maxEntries }: CacheLimits) {
    this.#verified = new LRUCache({ max: maxEntries, maxSize: maxBytes, sizeCalculation: ({ size }) => size })
  }

  /** The number of verified tokens. */
  get entries(): number {
    return this.#verified.size
  }
  /** The estimated bytes of the verified tokens. */
  get bytes(): number {
    return this.#verified.calculatedSize
  }

  /** Returns a verified token that may be used now, and deletes one that may not. */
  get(hash: string, clock: Clock.Clock): VerifiedToken<A> | undefined {
    const verified = this.#verified.get(hash)
    if (verified === undefined) return undefined
    if (isUsable(verified, clock)) return verified
    this.#verified.delete(hash)
    return undefined
  }
  set(hash: string, verified: VerifiedToken<A>): void {
    this.#verified.set(hash, verified)
  }

  /** Returns why a token was rejected a moment ago, unless a key that was tried has changed since. */
  rejection(hash: string, clock: Clock.Clock): TokenError.Reason | undefined {
    return reasonIn(this.#rejected, hash, clock) ?? reasonIn(this.#rejectedWithoutKeys, hash, clock)
  }
  reject(
    hash: string,
    reason: TokenError.Reason,
    trusts: ReadonlyArray<KeySource.KeyTrust>,
    clock: Clock.Clock,
    isStillRejected: StillRejected
  ): void {
    const until = Instant.after(Instant.now(clock), rejectedMillis)
    const rejected = trusts.length === 0
      ? this.#rejectedWithoutKeys ??= new LRUCache({ max: maxRejected })
      : this.#rejected
    rejected.set(hash, { reason, trusts, isStillRejected, until })
  }

  /** Returns what a token names its key by, if the key was not available when the token was last seen. */
  keyNames(hash: string): KeyNames | undefined {
    return this.#keyNames?.get(hash)
  }
  setKeyNames(hash: string, { header, issuer, members, registered: { iss } }: KeyNames): void {
    const tenant = own(members, "tid")
    // Of the claims only the tenant is read, and only if it is text.
    const tid = typeof tenant === "string" ? tenant : null
    // The algorithm, the type and the issuer are values of the policy.
    if ((header.kid?.length ?? 0) + (tid?.length ?? 0) > maxNamesLength) return
    this.#keyNames ??= new LRUCache({ max: maxRejected })
    this.#keyNames.set(hash, { header, issuer, members: tenant === undefined ? {} : { tid }, registered: { iss } })
  }

  clear(): void {
    this.#verified.clear()
    this.#rejected.clear()
    this.#rejectedWithoutKeys?.clear()
    this.#keyNames?.clear()
  }
}

const reasonIn = (
  cache: LRUCache<string, RejectedToken> | undefined,
  hash: string,
  clock: Clock.Clock
): TokenError.Reason | undefined => {
  const rejected = cache?.get(hash)
  if (cache === undefined || rejected === undefined) return undefined
  const isValid = !Instant.hasCome(rejected.until, clock) &&
    rejected.isStillRejected(clock.currentTimeMillisUnsafe()) &&
    rejected.trusts.every((trust) => trust.holds(clock))
  if (isValid) return rejected.reason
  cache.delete(hash)
  return undefined
}

/** Whether a token is within its window on both clocks, and its key and its issuer still trusted. */
export const isUsable = (
  { endsAt, issuer, trust, window }: VerifiedToken<unknown>,
  clock: Clock.Clock
): boolean => {
  const wall = clock.currentTimeMillisUnsafe()
  return wall >= window.begins && wall < window.ends && clock.monotonicTimeNanosUnsafe() < endsAt &&
    trust.holds(clock) &&
    (issuer.isTrusted === undefined || issuer.isTrusted())
}
