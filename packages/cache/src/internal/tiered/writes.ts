import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { NewEntry } from "../../CacheEntry.ts"
import { CacheError } from "../../CacheError.ts"
import type { CacheKey } from "../../CacheKey.ts"
import type { Guarded } from "./guarded.ts"
import { copyOf } from "./promotion.ts"

/** Whether a tier stores an item of this length in the bucket. */
export const accepts = ({ tier }: Guarded, bucket: string, length: number): boolean =>
  length <= tier.maxItemSize(bucket)

/** Removes what a tier has under a key that it could not or does not store now: it would answer with an older item. */
const removeOld = ({ attempt, tier }: Guarded, key: CacheKey): Effect.Effect<boolean> =>
  attempt("delete", tier.delete(key), () => false)

/** The same in several tiers. */
export const removeFrom = (tiers: ReadonlyArray<Guarded>, key: CacheKey): Effect.Effect<void> =>
  Effect.forEach(tiers, (tier) => removeOld(tier, key), { discard: true })

/** Writes an entry whose body can be read again. Returns the error if it was not stored. */
export const writeTier = (
  guarded: Guarded,
  key: CacheKey,
  entry: NewEntry<CacheError>
): Effect.Effect<CacheError | undefined> =>
  Effect.flatMap(
    guarded.attempt("set", Effect.as(guarded.tier.set(key, entry), undefined), (error) => error),
    (error) => error === undefined ? Effect.undefined : Effect.as(removeOld(guarded, key), error)
  )

/** Copies the entry that one tier has into others that accept it, and removes the key from those that do not. */
export const copyTo = (source: Guarded, targets: ReadonlyArray<Guarded>, key: CacheKey): Effect.Effect<void> =>
  Effect.gen(function*() {
    if (targets.length === 0) return
    const clock = yield* Clock.Clock
    const entry = yield* source.attempt("get", source.tier.get(key, { peek: true, stale: true }), () => undefined)
    const copy = entry === undefined ? undefined : copyOf(entry, clock)
    for (const target of targets) {
      if (entry === undefined || copy === undefined || !accepts(target, key.bucket, entry.length)) {
        yield* removeOld(target, key)
      } else {
        yield* writeTier(target, key, copy)
      }
    }
  })

/**
 * The tier that a body which can be read once is written to: the one that stores the largest items of the bucket, of several
 * the fastest. `undefined` if none stores an item of this length.
 */
export const sinkOf = (
  tiers: ReadonlyArray<Guarded>,
  bucket: string,
  length: number | undefined
): Guarded | undefined => {
  let sink: Guarded | undefined
  for (const guarded of tiers) {
    if (
      accepts(guarded, bucket, length ?? 1) &&
      (sink === undefined || guarded.tier.maxItemSize(bucket) > sink.tier.maxItemSize(bucket))
    ) sink = guarded
  }
  return sink
}

/** No tier stores the item. */
export const tooLarge = (tiers: ReadonlyArray<Guarded>, bucket: string, size: number): CacheError =>
  new CacheError({
    _tag: "ItemTooLarge",
    size,
    maxItemSize: Math.max(0, ...tiers.map(({ tier }) => tier.maxItemSize(bucket)))
  })
