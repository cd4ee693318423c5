import { type CacheStats, type Counts, hitRate } from "../../CacheStats.ts"

/** The counts of one bucket, while they change. */
export interface BucketCounts {
  hits: number
  misses: number
  evictions: number
  bytes: number
  items: number
}

/** Above what configurations have, and low enough for the memory of a program that derives buckets from requests. */
const maxBuckets = 1000

/** The name that all further buckets share. No bucket of a store has it. */
const others = "*"

const make = (): BucketCounts => ({ hits: 0, misses: 0, evictions: 0, bytes: 0, items: 0 })

const seen = ({ bytes, evictions, hits, items, misses }: BucketCounts): Counts => ({
  hits,
  misses,
  evictions,
  bytes,
  items,
  hitRate: hitRate(hits, misses)
})

/** The counts of a tier, by bucket. */
export class Counters {
  readonly #buckets = new Map<string, BucketCounts>()
  readonly #onBucket: ((bucket: string, counts: BucketCounts) => void) | undefined

  /** `onBucket` is called once for each bucket that is counted apart, and for `*`. */
  constructor(onBucket?: (bucket: string, counts: BucketCounts) => void) {
    this.#onBucket = onBucket
  }
  /** The counts of a bucket. The same bucket always has the same ones. */
  of(bucket: string): BucketCounts {
    return this.#buckets.get(bucket) ?? this.#add(bucket)
  }
  #add(bucket: string): BucketCounts {
    const name = this.#buckets.size < maxBuckets ? bucket : others
    const existing = this.#buckets.get(name)
    if (existing !== undefined) return existing
    const counts = make()
    this.#buckets.set(name, counts)
    this.#onBucket?.(name, counts)
    return counts
  }
  /** All counts at this moment. */
  stats(maxBytes: number | undefined): CacheStats {
    const total = make()
    const buckets: Record<string, Counts> = Object.create(null)
    for (const [name, counts] of this.#buckets) {
      buckets[name] = seen(counts)
      total.hits += counts.hits
      total.misses += counts.misses
      total.evictions += counts.evictions
      total.bytes += counts.bytes
      total.items += counts.items
    }
    return { ...seen(total), maxBytes, buckets }
  }
}
