import { REDACTED } from "./limits.ts"
import { redactText } from "./text.ts"

/** Headers whose values neither identify a caller nor grant access. `location`, `link` and `host` may, so they are not listed. */
const shown = new Set([
  "accept",
  "accept-encoding",
  "accept-ranges",
  "age",
  "allow",
  "cache-control",
  "connection",
  "content-encoding",
  "content-language",
  "content-length",
  "content-type",
  "date",
  "etag",
  "expires",
  "if-modified-since",
  "if-none-match",
  "keep-alive",
  "last-modified",
  "ratelimit",
  "ratelimit-limit",
  "ratelimit-policy",
  "ratelimit-remaining",
  "ratelimit-reset",
  "retry-after",
  "server",
  "traceparent",
  "transfer-encoding",
  "user-agent",
  "vary",
  "x-request-id"
])

/**
 * Redacts headers. Values of headers on the allowlist are kept as redacted text of at most 1024 characters, all others are
 * replaced by `[REDACTED]`.
 */
export const redactHeaders = (entries: Iterable<readonly [string, unknown]>): Record<string, string> =>
  Object.fromEntries(
    Array.from(entries, ([name, value]) => [
      redactText(name, 256),
      shown.has(name.toLowerCase()) && (typeof value === "string" || typeof value === "number")
        ? redactText(String(value), 1_024)
        : REDACTED
    ])
  )
