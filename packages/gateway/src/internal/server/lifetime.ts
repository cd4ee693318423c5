import * as Duration from "effect/Duration"
import type { StoreControl } from "./cacheControl.ts"
import type { BucketCaching } from "./NodeServed.ts"

/** The share of a lifetime by which it may end early, so that entries of one moment do not expire in one moment. */
const jitter = 0.1

/**
 * How long an entry lives. The store can lower it and never raise it. `undefined` leaves it to each tier.
 *
 * - `random`: from 0 to 1.
 */
export const lifetimeOf = (
  { shortest, ttl }: Pick<BucketCaching, "shortest" | "ttl">,
  { maxAge }: StoreControl,
  random: number
): Duration.Duration | undefined => {
  const own = ttl === undefined ? undefined : Duration.isZero(ttl) ? Number.POSITIVE_INFINITY : Duration.toMillis(ttl)
  const most = own ?? shortest
  const fromStore = maxAge === undefined ? Number.POSITIVE_INFINITY : maxAge * 1000
  if (own === undefined && most <= fromStore) return undefined
  const millis = Math.min(most, fromStore)
  return Number.isFinite(millis)
    ? Duration.millis(Math.max(1, Math.floor(millis * (1 - jitter * random))))
    : Duration.zero
}
