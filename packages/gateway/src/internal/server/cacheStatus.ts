/**
 * How the cache took part in a response: the header `Cache-Status`, and the word for metrics.
 *
 * @see RFC 9211
 */

/** What happened to a request, as metrics and logs name it. */
export type CacheResult = "hit" | "miss" | "revalidated" | "stale" | "bypass"

/** The `Cache-Status` of an answer from the cache that is fresh for some more seconds. */
export const hit = (ttl: number | undefined): string => ttl === undefined ? "keelson; hit" : `keelson; hit; ttl=${ttl}`

/**
 * The `Cache-Status` of an answer for which the store was asked.
 *
 * - `isStored`: whether the response is stored.
 * - `isCollapsed`: whether several requests waited for the same answer of the store.
 */
export const forwarded = (
  reason: "uri-miss" | "stale" | "bypass" | "method" | "partial" | "request",
  status: number | undefined,
  isStored = false,
  isCollapsed = false
): string =>
  `keelson; fwd=${reason}${status === undefined ? "" : `; fwd-status=${status}`}${isStored ? "; stored" : ""}${
    isCollapsed ? "; collapsed" : ""
  }`
