/**
 * The names of older configurations, as one table: what each was called in its section, its name now, and its unit then.
 */

type Convert = (value: unknown) => unknown

/** A number with the unit that an older name stated. Any other value is left as it is, and rejected by decoding. */
export const inUnit = (unit: string): Convert => (value) =>
  typeof value === "number" || (typeof value === "string" && /^\s*[\d.]+\s*$/.test(value)) ? `${value} ${unit}` : value

const mebibytes = inUnit("MiB")
const seconds = inUnit("seconds")

/** One name: how it was written, how it is written, and its value then and now. */
export type Row = readonly [older: string, name: string, convert?: Convert]

/** The names by section. A section that moved is in `olderShape.ts`. */
export const olderNames = {
  server: [
    ["request_timeout", "requestTimeout", seconds],
    ["max_concurrent_requests", "maxConnections"]
  ],
  cache: [["cache_layers", "layers"]],
  memory: [
    ["max_item_size_mb", "maxItemSize", mebibytes],
    ["max_cache_size_mb", "maxSize", mebibytes],
    ["default_ttl_seconds", "ttl", seconds]
  ],
  disk: [
    ["cache_dir", "dir"],
    ["max_item_size_mb", "maxItemSize", mebibytes],
    ["max_disk_cache_size_mb", "maxSize", mebibytes],
    ["default_ttl_seconds", "ttl", seconds]
  ],
  redis: [
    ["redis_url", "url"],
    ["redis_password", "password"],
    ["redis_db", "database"],
    ["redis_key_prefix", "prefix"],
    ["redis_ttl_seconds", "ttl", seconds]
  ],
  bucket: [["path_prefix", "path"], ["ip_filter", "access"]],
  bucketCache: [
    ["ttl_seconds", "ttl", seconds],
    ["max_item_size_mb", "maxItemSize", mebibytes]
  ],
  access: [["allowlist", "allow"], ["blocklist", "block"]],
  replica: [["connection_pool_size", "maxConnections"]],
  breaker: [
    ["failure_threshold", "failureThreshold"],
    ["success_threshold", "probeSuccesses"],
    ["timeout_seconds", "openDuration", seconds]
  ],
  jwt: [["issuer", "issuers", (value) => [value]], ["audience", "audiences", (value) => [value]]]
} as const satisfies Readonly<Record<string, ReadonlyArray<Row>>>
