/**
 * The error of caches, with its reason.
 */
import * as KeelsonError from "@keelson/core/KeelsonError"

/** Why a call to a cache failed. */
export type Reason =
  /** There is no entry with this key, or its ETag is another one (`CACHE_ENTRY_NOT_FOUND`). */
  | { readonly _tag: "NotFound" }
  /** The item is larger than the tier or the bucket stores, in bytes (`CACHE_ITEM_TOO_LARGE`). */
  | { readonly _tag: "ItemTooLarge"; readonly size: number; readonly maxItemSize: number }
  /** The body ended early, or has another length than was announced (`CACHE_BODY_INCOMPLETE`). */
  | { readonly _tag: "BodyIncomplete"; readonly announced: number; readonly received: number }
  /** The disk or Redis has no space left (`CACHE_STORAGE_FULL`). */
  | { readonly _tag: "StorageFull" }
  /** The disk failed to read or write (`CACHE_IO_FAILED`); `operation` is what was tried. */
  | { readonly _tag: "Io"; readonly operation: string }
  /** Redis failed, or did not respond in time (`CACHE_REDIS_FAILED`). */
  | { readonly _tag: "Redis"; readonly operation: string }
  /** All connections to Redis are in use, and none became free in time (`CACHE_REDIS_BUSY`). */
  | { readonly _tag: "RedisBusy"; readonly operation: string }
  /** A stored entry cannot be read (`CACHE_ENTRY_CORRUPT`); `problem` says what does not match. */
  | {
    readonly _tag: "Serialization"
    readonly problem: "format" | "version" | "length" | "hash" | "key"
  }

const codes = {
  NotFound: "CACHE_ENTRY_NOT_FOUND",
  ItemTooLarge: "CACHE_ITEM_TOO_LARGE",
  BodyIncomplete: "CACHE_BODY_INCOMPLETE",
  StorageFull: "CACHE_STORAGE_FULL",
  Io: "CACHE_IO_FAILED",
  Redis: "CACHE_REDIS_FAILED",
  RedisBusy: "CACHE_REDIS_BUSY",
  Serialization: "CACHE_ENTRY_CORRUPT"
} as const satisfies Record<Reason["_tag"], string>

/** A code of a `CacheError`. */
export type Code = (typeof codes)[Reason["_tag"]]

const messageOf = (reason: Reason): string | undefined => {
  switch (reason._tag) {
    case "ItemTooLarge":
      return `The item has ${reason.size} bytes, and the cache stores items of at most ${reason.maxItemSize} bytes`
    case "BodyIncomplete":
      return `The body has ${reason.received} bytes instead of ${reason.announced}; nothing was stored`
    case "Io":
      return `The disk of the cache failed (${reason.operation})`
    case "Redis":
      return `Redis failed or did not respond in time (${reason.operation})`
    case "RedisBusy":
      return `All connections to Redis are in use (${reason.operation})`
    case "Serialization":
      return `A stored entry cannot be read (${reason.problem})`
    default:
      return undefined
  }
}

const detailsOf = (reason: Reason): Readonly<Record<string, string | number>> => {
  const { _tag, ...details } = reason
  return { reason: _tag, ...details }
}

/**
 * A call to a cache failed. `reason` says why; recover with `Effect.catchReason("CacheError", "StorageFull", ...)`. It contains
 * no key and no content.
 *
 * **Example** (Reading the reason)
 *
 * ```ts import.meta.vitest
 * import { CacheError } from "@keelson/cache"
 *
 * const error = new CacheError.CacheError({ _tag: "ItemTooLarge", size: 20, maxItemSize: 10 })
 * error.code // => "CACHE_ITEM_TOO_LARGE"
 * error.message // => "The item has 20 bytes, and the cache stores items of at most 10 bytes"
 * ```
 */
export class CacheError extends KeelsonError.CodedError<Code> {
  readonly _tag = "CacheError"
  override readonly name = "CacheError"
  readonly reason: Reason
  constructor(reason: Reason, cause?: unknown) {
    super({ code: codes[reason._tag], message: messageOf(reason), details: detailsOf(reason), cause })
    this.reason = reason
  }
}
