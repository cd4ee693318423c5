/** What an application writes around lru-cache to get the same accounting as the tier in memory. */
import type { CacheKey } from "@keelson/cache"
import { LRUCache } from "lru-cache"

interface Counts {
  hits: number
  misses: number
  evictions: number
  bytes: number
  items: number
}

interface Metadata {
  readonly contentType: string
  readonly etag: string
}

interface Held {
  readonly bytes: Uint8Array
  readonly metadata: Metadata
  readonly counts: Counts
  readonly size: number
  readonly created: number
  readonly expires: number
  accessed: number
}

/** Bytes of keys, bodies and metadata, counts by bucket, expiry and the time of the last lookup, by the wall clock alone. */
export class HandMade {
  readonly #buckets = new Map<string, Counts>()
  readonly #entries: LRUCache<string, Held>

  constructor(maxSize: number) {
    this.#entries = new LRUCache<string, Held>({
      maxSize,
      dispose: ({ counts, size }, _, reason) => {
        counts.bytes -= size
        counts.items--
        if (reason === "evict") counts.evictions++
      }
    })
  }
  #countsOf(bucket: string): Counts {
    const existing = this.#buckets.get(bucket)
    if (existing !== undefined) return existing
    const counts = { hits: 0, misses: 0, evictions: 0, bytes: 0, items: 0 }
    this.#buckets.set(bucket, counts)
    return counts
  }
  get({ bucket, id }: CacheKey.CacheKey): Held | undefined {
    const held = this.#entries.get(id)
    const now = Date.now()
    if (held === undefined || held.expires <= now) {
      this.#countsOf(bucket).misses++
      if (held !== undefined) this.#entries.delete(id)
      return undefined
    }
    held.counts.hits++
    held.accessed = now
    return held
  }
  set({ bucket, id }: CacheKey.CacheKey, bytes: Uint8Array, { contentType, etag }: Metadata, ttl: number): void {
    const now = Date.now()
    const counts = this.#countsOf(bucket)
    const size = 64 + bytes.length + Buffer.byteLength(id) + Buffer.byteLength(contentType) + Buffer.byteLength(etag)
    counts.bytes += size
    counts.items++
    const metadata = Object.freeze({ contentType, etag })
    this.#entries.set(id, { bytes, metadata, counts, size, created: now, expires: now + ttl, accessed: now }, { size })
  }
  get counts(): Counts {
    const total = { hits: 0, misses: 0, evictions: 0, bytes: 0, items: 0 }
    for (const { bytes, evictions, hits, items, misses } of this.#buckets.values()) {
      total.hits += hits
      total.misses += misses
      total.evictions += evictions
      total.bytes += bytes
      total.items += items
    }
    return total
  }
}
