/**
 * What a cache has done and holds: counts, bytes and items, in all and by bucket.
 */

/** Counts of one bucket, or of all. */
export interface Counts {
  /** Lookups that found an entry. */
  readonly hits: number
  /** Lookups that found none, or an expired one. */
  readonly misses: number
  /** Entries that were removed to make room, or because they expired. */
  readonly evictions: number
  /** Bytes that the entries count with. */
  readonly bytes: number
  readonly items: number
  /** The share of lookups that found an entry; 0 before the first lookup. */
  readonly hitRate: number
}

/** The statistics of a tier at one moment. */
export interface CacheStats extends Counts {
  /** The most bytes that the entries may count with; `undefined` without a bound. */
  readonly maxBytes: number | undefined
  /** The same by bucket. A tier counts the first 1,000 buckets apart, and all others as `*`. */
  readonly buckets: Readonly<Record<string, Counts>>
}

/** The share of lookups that found an entry; 0 without lookups. */
export const hitRate = (hits: number, misses: number): number => hits + misses === 0 ? 0 : hits / (hits + misses)

/** Counts without anything, as those of an unknown bucket. */
export const empty: Counts = { hits: 0, misses: 0, evictions: 0, bytes: 0, items: 0, hitRate: 0 }

/** The counts of one bucket; `empty` for a bucket that the cache does not know. */
export const ofBucket = ({ buckets }: CacheStats, bucket: string): Counts =>
  (Object.hasOwn(buckets, bucket) ? buckets[bucket] : undefined) ?? empty

/** The counts of two caches together. */
export const add = (a: Counts, b: Counts): Counts => {
  const hits = a.hits + b.hits
  const misses = a.misses + b.misses
  return {
    hits,
    misses,
    evictions: a.evictions + b.evictions,
    bytes: a.bytes + b.bytes,
    items: a.items + b.items,
    hitRate: hitRate(hits, misses)
  }
}
