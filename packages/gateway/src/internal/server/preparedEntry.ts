import type { CacheEntry } from "@keelson/cache/CacheEntry"
import * as DateTime from "effect/DateTime"
import * as HeaderRules from "../../HeaderRules.ts"

/** What is made once for an entry in memory: a hit only adds what differs from request to request. */
export interface PreparedEntry {
  readonly etag: string | undefined
  readonly lastModified: string | undefined
  /** The `Date` of the response of the store. */
  readonly date: string | undefined
  /** Names and values in turn, without the length. */
  readonly headers: ReadonlyArray<string>
  /** When the store sent or confirmed it, in milliseconds since 1970. */
  readonly confirmedAt: number
  /** When it expires, in milliseconds since 1970; infinite if never. */
  readonly expiresAt: number
}

/** The name under which entries have the time at which the store sent or confirmed them. */
export const confirmedName = "keelson-confirmed"

/** The headers of an answer with an object: those of the store, and for a bucket with tokens the ones that keep it out of other caches. */
export const objectHeaders = (
  headers: Readonly<Record<string, string>>,
  vary: string | undefined,
  isPublic: boolean
): Array<string> => {
  const pairs = ["accept-ranges", "bytes"]
  for (const name in headers) {
    if (name === confirmedName || name === "content-length" || name === "cache-control" || name === "accept-ranges") {
      continue
    }
    const value = headers[name]
    if (value !== undefined) pairs.push(name, value)
  }
  const control = HeaderRules.cacheControl(headers["cache-control"], isPublic)
  if (control !== undefined) pairs.push("cache-control", control)
  if (vary !== undefined) pairs.push("vary", vary)
  return pairs
}

/** Prepares an entry. */
export const prepareEntry = (
  { createdAt, expiresAt, metadata }: CacheEntry,
  select: (headers: Readonly<Record<string, string>>) => Readonly<Record<string, string>>,
  vary: string | undefined,
  isPublic: boolean
): PreparedEntry => {
  const stored = metadata.headers ?? {}
  const confirmed = Number(stored[confirmedName])
  return {
    etag: metadata.etag,
    lastModified: stored["last-modified"],
    date: stored["date"],
    headers: objectHeaders(select(stored), vary, isPublic),
    confirmedAt: Number.isFinite(confirmed) ? confirmed : DateTime.toEpochMillis(createdAt),
    expiresAt: expiresAt === undefined ? Number.POSITIVE_INFINITY : DateTime.toEpochMillis(expiresAt)
  }
}
