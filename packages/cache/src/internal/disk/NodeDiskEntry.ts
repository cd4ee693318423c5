import type * as Instant from "@keelson/core/unstable/Instant"
import * as DateTime from "effect/DateTime"
import { type Body, type CacheEntry, type Metadata, sizeOf } from "../../CacheEntry.ts"
import type { CacheKey } from "../../CacheKey.ts"
import type { BucketCounts } from "../tier/counters.ts"
import { instantOf, type Life, timeOf } from "../tier/rules.ts"
import type { Identity } from "./NodeFileIo.ts"
import type { Meta } from "./NodeMeta.ts"

/** An entry on the disk. */
export interface DiskEntry {
  readonly name: string
  readonly key: CacheKey
  readonly metadata: Metadata
  readonly length: number
  readonly hash: string
  readonly life: Life
  readonly counts: BucketCounts
  readonly size: number
  /** The file whose content was compared with the hash by this process. Default none. */
  verified: Identity | undefined
  accessed: number
}

/** An entry that was found on the disk. */
export const recovered = (
  name: string,
  { createdAt, expiresAt, hash, key, length, metadata, staleUntil }: Meta,
  accessed: number,
  now: Instant.Instant,
  counts: BucketCounts
): DiskEntry => {
  // The wall clock may have been set back since: an entry never lives longer than it was given.
  const late = Math.max(0, createdAt - now.wall)
  const end = (time: number | undefined) => time === undefined ? undefined : instantOf(time - late, now)
  return {
    name,
    key,
    metadata,
    length,
    hash,
    life: { created: instantOf(createdAt, now), end: end(expiresAt), gone: end(staleUntil ?? expiresAt) },
    counts,
    size: sizeOf(key, metadata, length),
    verified: undefined,
    accessed
  }
}

const wallOf = (instant: Instant.Instant | undefined): number | undefined =>
  instant === undefined ? undefined : Math.round(instant.wall)

/** What its `.meta` file has. */
export const metaOf = ({ hash, key, length, life, metadata }: DiskEntry): Meta => ({
  key,
  metadata,
  length,
  hash,
  createdAt: Math.round(life.created.wall),
  expiresAt: wallOf(life.end),
  staleUntil: wallOf(life.gone)
})

/** The entry as callers see it. */
export const seen = ({ accessed, length, life, metadata }: DiskEntry, body: Body): CacheEntry => ({
  metadata,
  body,
  length,
  createdAt: timeOf(life.created),
  expiresAt: life.end === undefined ? undefined : timeOf(life.end),
  staleUntil: life.gone === undefined ? undefined : timeOf(life.gone),
  accessedAt: DateTime.makeUnsafe(accessed)
})
