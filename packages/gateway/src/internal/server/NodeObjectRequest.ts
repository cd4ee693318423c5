/**
 * GET and HEAD of an object, for a caller that may read it: from memory, from a slower tier, or from the store.
 */
import type { CacheEntry } from "@keelson/cache/CacheEntry"
import type { CacheError } from "@keelson/cache/CacheError"
import * as CacheKey from "@keelson/cache/CacheKey"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type { StoreCall, StoreHandler, StoreHead, StoreRequest } from "../../ObjectStore.ts"
import type { FillPlan } from "../fill/fill.ts"
import { readCacheControl } from "./cacheControl.ts"
import { lifetimeOf } from "./lifetime.ts"
import { answerEntry } from "./NodeCacheAnswer.ts"
import type { NodeExchange } from "./NodeExchange.ts"
import type { ServedBucket, Shared } from "./NodeServed.ts"
import { NodeStoreAnswer, type StorePlan } from "./NodeStoreAnswer.ts"
import { confirmedName } from "./preparedEntry.ts"

/** How long expired entries are kept, to be confirmed by the store without their body. */
const keptMillis = 3_600_000

/** Upper bound of a body that is buffered, whatever the tiers accept. */
const maxBuffered = 64 * 1024 * 1024

const stale = { stale: true } as const

const expiresAt = (entry: CacheEntry): number =>
  entry.expiresAt === undefined ? Number.POSITIVE_INFINITY : DateTime.toEpochMillis(entry.expiresAt)

/** The key of an object in the cache; `undefined` for one that cannot be cached. */
export const cacheKeyOf = ({ options, variant }: ServedBucket, key: string): CacheKey.CacheKey | undefined =>
  Result.getOrUndefined(CacheKey.make({ bucket: options.name, key, variant }))

/** Removes an object from all tiers, and keeps running fills from storing what they read before. Returns whether a tier had it. */
export const forgetObject = (
  { cache, fills }: Shared,
  cacheKey: CacheKey.CacheKey
): Effect.Effect<boolean, CacheError> =>
  Effect.suspend(() => {
    fills.discard((id) => id === cacheKey.id || id === `${cacheKey.id}\0HEAD`)
    return cache.delete(cacheKey)
  })

/** Answers a GET or HEAD. */
export const answerObject = (x: NodeExchange, bucket: ServedBucket, key: string): void => {
  const cacheKey = bucket.caching.maxItemSize === 0 || bucket.headers.isUncacheable(x.request.headers)
    ? undefined
    : cacheKeyOf(bucket, key)
  if (cacheKey === undefined) return answerUncached(x, bucket, key, "bypass")
  const { cache, clock } = x.shared
  const entry = cache.getUnsafe(cacheKey, clock)
  if (entry !== undefined) {
    const body = answerEntry(x, bucket, entry)
    if (body !== undefined) x.runBody(body)
    return
  }
  const started = clock.monotonicTimeNanosUnsafe()
  x.runBody(Effect.flatMap(Effect.orElseSucceed(cache.get(cacheKey, stale), () => undefined), (found) => {
    x.split.cache = x.since(started)
    if (found !== undefined && expiresAt(found) > clock.currentTimeMillisUnsafe()) {
      const body = answerEntry(x, bucket, found)
      // An entry that cannot be read is a miss.
      return body === undefined
        ? Effect.void
        : Effect.catch(body, () => Effect.sync(() => answerMiss(x, bucket, cacheKey, undefined)))
    }
    return Effect.sync(() => answerMiss(x, bucket, cacheKey, found))
  }))
}

const answerMiss = (
  x: NodeExchange,
  bucket: ServedBucket,
  cacheKey: CacheKey.CacheKey,
  expired: CacheEntry | undefined
): void => {
  if (x.isOver) return
  // A range never causes a whole fetch, and HEAD none at all; an expired entry is confirmed by either.
  if (expired === undefined && x.header("range") !== undefined) {
    return answerUncached(x, bucket, cacheKey.key, "partial")
  }
  if (expired === undefined && x.isHead) return answerUncached(x, bucket, cacheKey.key, "method")
  const now = x.shared.clock.currentTimeMillisUnsafe()
  // Another request may have stored it while a slower tier was asked.
  const fresh = x.shared.cache.getUnsafe(cacheKey, x.shared.clock, { peek: true })
  if (fresh !== undefined) {
    const body = answerEntry(x, bucket, fresh)
    if (body !== undefined) x.runBody(body)
    return
  }
  const isProbe = x.isHead || x.header("range") !== undefined
  const answer = new NodeStoreAnswer(x, {
    bucket,
    reason: expired === undefined ? "uri-miss" : "stale",
    expired,
    isUsableStale: expired !== undefined && now < expiresAt(expired) + bucket.caching.staleMillis,
    isForwarded: false,
    isProbe,
    own: ownRequest(x, bucket, cacheKey.key)
  })
  x.storeStarted = x.shared.clock.monotonicTimeNanosUnsafe()
  const id = isProbe ? `${cacheKey.id}\0HEAD` : cacheKey.id
  const joined = x.shared.fills.join(id, fillPlan(x, bucket, cacheKey, expired, isProbe), answer)
  if (joined) answer.collapse()
}

/** Streams the answer of the store to this client alone. */
const answerUncached = (
  x: NodeExchange,
  bucket: ServedBucket,
  key: string,
  reason: StorePlan["reason"]
): void => {
  const answer = new NodeStoreAnswer(x, {
    bucket,
    reason,
    expired: undefined,
    isUsableStale: false,
    isForwarded: true,
    isProbe: false,
    own: ownRequest(x, bucket, key)
  })
  x.storeStarted = x.shared.clock.monotonicTimeNanosUnsafe()
  answer.dispatch()
}

/** The request for one client. A range is one of GET (RFC 9110, 14.2), which some stores answer with HEAD too. */
const ownRequest = (x: NodeExchange, bucket: ServedBucket, key: string): StoreRequest => {
  // A header that cannot be sent on is left out: it is a precondition or a range, without which the whole object is the answer.
  const headers = bucket.headers.toStore("GET", x.request.headers) ?? {}
  if (!x.isHead) return { method: "GET", key, headers }
  const { range: _, "if-range": __, ...others } = headers
  return { method: "HEAD", key, headers: others }
}

/** What an entry keeps of a response. */
const storedHeaders = ({ headers: rules }: ServedBucket, { headers }: StoreHead): Readonly<Record<string, string>> => {
  const { date } = headers
  const kept = rules.fromStore(200, headers)
  return date === undefined ? kept : { ...kept, date }
}

/** The length that the head announces; `undefined` without a valid one. */
const lengthOf = ({ headers }: StoreHead): number | undefined => {
  const text = headers["content-length"]
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}

/** The request of a fill depends on the key and the entry alone: no header of a client reaches the store. */
const fillPlan = (
  x: NodeExchange,
  bucket: ServedBucket,
  cacheKey: CacheKey.CacheKey,
  expired: CacheEntry | undefined,
  isProbe: boolean
): FillPlan => {
  const { cache, clock, fork } = x.shared
  const { caching, counts, store } = bucket
  const etag = expired?.metadata.etag
  const request: StoreRequest = {
    method: isProbe ? "HEAD" : "GET",
    key: cacheKey.key,
    headers: etag === undefined ? {} : { "if-none-match": etag }
  }
  const life = (head: StoreHead) =>
    Effect.map(Random.next, (random) => ({
      ttl: lifetimeOf(caching, readCacheControl(head.headers["cache-control"]), random),
      staleWindow: Duration.millis(Math.max(caching.staleMillis, keptMillis))
    }))
  const confirmed = () => ({ [confirmedName]: String(clock.currentTimeMillisUnsafe()) })
  const onHead = (head: StoreHead): void => {
    if (head.status === 304) {
      const headers = { ...storedHeaders(bucket, head), ...confirmed() }
      fork(Effect.ignore(Effect.flatMap(life(head), (own) => cache.refresh(cacheKey, { ...own, etag, headers }))))
    }
    const isGone = head.status === 404 || head.status === 410 || (isProbe && head.status === 200)
    if (isGone) fork(Effect.ignore(cache.delete(cacheKey)))
  }
  return {
    dispatch: (handler: StoreHandler): StoreCall =>
      store.dispatch(request, {
        ...handler,
        onHead: (head) => {
          onHead(head)
          handler.onHead(head)
        },
        onFailure: (failure, cause) => {
          if (failure === "aborted") counts.fills.aborted++
          else counts.fills.broken++
          handler.onFailure(failure, cause)
        }
      }),
    storedLength: (head) => {
      if (isProbe) return undefined
      const length = lengthOf(head)
      const isStored = length !== undefined && length <= Math.min(caching.maxItemSize, maxBuffered) &&
        readCacheControl(head.headers["cache-control"]).isStorable
      if (!isStored) counts.fills.uncached++
      return isStored ? length : undefined
    },
    commit: (head, bytes, done) => {
      const headers = { ...storedHeaders(bucket, head), ...confirmed() }
      const stored = Effect.flatMap(life(head), (own) =>
        cache.set(cacheKey, {
          ...own,
          body: bytes,
          length: bytes.length,
          metadata: { contentType: head.headers["content-type"], etag: head.headers["etag"], headers }
        }))
      const counted = Effect.andThen(stored, Effect.sync(() => counts.fills.stored++))
      fork(Effect.ensuring(Effect.ignore(counted), Effect.sync(done)))
    }
  }
}
