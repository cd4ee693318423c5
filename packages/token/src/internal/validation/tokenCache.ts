import * as Instant from "@keelson/core/unstable/Instant"
import type * as KeySource from "@keelson/jwks/KeySource"
import type * as Clock from "effect/Clock"
import type * as Exit from "effect/Exit"
import { LRUCache } from "lru-cache"
import type { Registered } from "../../Claims.ts"
import type { Reason } from "../../TokenError.ts"
import type { JsonObject } from "./strictJson.ts"
import type { Window } from "./timeChecks.ts"

/** A token whose signature was good and whose claims have the right shape; whether it may be used now is asked each time. */
export interface Entry<A> {
  /** The result, as an exit that is made once: a hit allocates nothing. */
  readonly exit: Exit.Exit<A>
  readonly value: A
  readonly registered: Registered
  readonly members: JsonObject
  readonly alg: string
  readonly trust: KeySource.KeyTrust
  /** Which of the keys that were to be tried verified it, from 1. */
  readonly key: { readonly place: number; readonly candidates: number }
  readonly window: Window
  /** The monotonic nanosecond at which it ends: a wall clock that is set back does not make a token live longer. */
  readonly endsAt: bigint
  /** Bytes in memory, as estimated. */
  readonly size: number
}

/** A token that was refused after its signature had been looked at. */
interface Refusal {
  readonly reason: Reason
  readonly trusts: ReadonlyArray<KeySource.KeyTrust>
  readonly until: Instant.Instant
  readonly isStillSo: StillRefused
}

/** Whether a token is refused for the same reason at another time, in milliseconds since 1970. */
export type StillRefused = (now: number) => boolean

export interface CacheLimits {
  readonly maxEntries: number
  readonly maxBytes: number
}

const maxRefusals = 1000
const refusalMillis = 10_000

/**
 * Verified tokens of one validator, by the hash of the token. The cache is the validator's own, so that an entry can't be
 * found under another policy, claims schema or key source; and each entry holds on to the trust in the key that verified
 * it.
 */
export class TokenCache<A> {
  readonly #entries: LRUCache<string, Entry<A>>
  readonly #refusals = new LRUCache<string, Refusal>({ max: maxRefusals })

  constructor({ maxBytes, maxEntries }: CacheLimits) {
    this.#entries = new LRUCache({ max: maxEntries, maxSize: maxBytes, sizeCalculation: ({ size }) => size })
  }

  get entries(): number {
    return this.#entries.size
  }
  get bytes(): number {
    return this.#entries.calculatedSize
  }

  /** An entry that may be used now. One that may not goes at once. */
  get(hash: string, clock: Clock.Clock): Entry<A> | undefined {
    const entry = this.#entries.get(hash)
    if (entry === undefined) return undefined
    if (isUsable(entry, clock)) return entry
    this.#entries.delete(hash)
    return undefined
  }
  set(hash: string, entry: Entry<A>): void {
    this.#entries.set(hash, entry)
  }

  /** Why a token was refused a moment ago, by keys that have not changed since. */
  refusal(hash: string, clock: Clock.Clock): Reason | undefined {
    const refusal = this.#refusals.get(hash)
    if (refusal === undefined) return undefined
    const isGood = !Instant.hasCome(refusal.until, clock) && refusal.isStillSo(clock.currentTimeMillisUnsafe()) &&
      refusal.trusts.every((trust) => trust.holds(clock))
    if (isGood) return refusal.reason
    this.#refusals.delete(hash)
    return undefined
  }
  refuse(
    hash: string,
    reason: Reason,
    trusts: ReadonlyArray<KeySource.KeyTrust>,
    clock: Clock.Clock,
    isStillSo: StillRefused
  ): void {
    this.#refusals.set(hash, { reason, trusts, isStillSo, until: Instant.after(Instant.now(clock), refusalMillis) })
  }

  clear(): void {
    this.#entries.clear()
    this.#refusals.clear()
  }
}

/** Time on both clocks, and the trust in the key. */
export const isUsable = ({ endsAt, trust, window }: Entry<unknown>, clock: Clock.Clock): boolean => {
  const wall = clock.currentTimeMillisUnsafe()
  return wall >= window.begins && wall < window.ends && clock.monotonicTimeNanosUnsafe() < endsAt && trust.holds(clock)
}
