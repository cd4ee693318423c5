import type { CodeInfo } from "../../../ErrorCode.ts"

/** Codes of errors of caches. Their ids start with `CAC`. */
export const cache = {
  CACHE_KEY_INVALID: {
    id: "CAC-001",
    category: "INTERNAL",
    severity: "WARNING",
    status: 400,
    retryable: false,
    breaker: "ignored",
    description: "The key of a cache entry is empty, too long, or not valid Unicode, or its text form is malformed.",
    troubleshooting: ["Check the bucket and the key that the message names."]
  },
  CACHE_ITEM_TOO_LARGE: {
    id: "CAC-002",
    category: "INTERNAL",
    severity: "WARNING",
    status: 413,
    retryable: false,
    breaker: "ignored",
    description: "The item is larger than the largest that the cache stores.",
    troubleshooting: ["Raise `maxItemSize` of the tier or of the bucket, or do not cache the item."]
  },
  CACHE_ENTRY_NOT_FOUND: {
    id: "CAC-003",
    category: "INTERNAL",
    severity: "INFO",
    status: 404,
    retryable: false,
    breaker: "ignored",
    description: "The cache has no such entry.",
    troubleshooting: ["No action needed: load the item from its source."]
  },
  CACHE_STORAGE_FULL: {
    id: "CAC-004",
    category: "INTERNAL",
    severity: "ERROR",
    status: 507,
    retryable: true,
    breaker: "ignored",
    description: "The storage of the cache is full.",
    troubleshooting: [
      "Free space on the disk of the cache, or give Redis more memory.",
      "Lower `maxSize` of the tier below what the storage holds."
    ]
  },
  CACHE_IO_FAILED: {
    id: "CAC-005",
    category: "INTERNAL",
    severity: "ERROR",
    status: 500,
    retryable: true,
    breaker: "failure",
    description: "The storage of the cache failed to read or write.",
    troubleshooting: ["Check that the directory of the cache exists and that this process may write to it."]
  },
  CACHE_ENTRY_CORRUPT: {
    id: "CAC-006",
    category: "INTERNAL",
    severity: "WARNING",
    status: 500,
    retryable: true,
    breaker: "ignored",
    description: "A stored entry is not what was stored, or has a format that this version does not read.",
    troubleshooting: [
      "No action needed for single entries: they are removed and loaded again.",
      "Many of them point to a damaged disk, or to another application that writes to the same place."
    ]
  },
  CACHE_BODY_INCOMPLETE: {
    id: "CAC-007",
    category: "INTERNAL",
    severity: "WARNING",
    status: 502,
    retryable: true,
    breaker: "ignored",
    description: "The body of a new entry ended early, or has another length than was announced. Nothing was stored.",
    troubleshooting: ["Check the source of the body: its connection may have been cut."]
  },
  CACHE_REDIS_FAILED: {
    id: "CAC-008",
    category: "INTERNAL",
    severity: "WARNING",
    status: 503,
    retryable: true,
    breaker: "failure",
    description: "The Redis of the cache failed, or did not respond in time.",
    troubleshooting: [
      "Check that Redis is up and reachable. Until then the cache works without it.",
      "Compare `timeout` with the response times of Redis."
    ]
  },
  CACHE_REDIS_BUSY: {
    id: "CAC-009",
    category: "INTERNAL",
    severity: "WARNING",
    status: 503,
    retryable: true,
    breaker: "ignored",
    description: "All connections to the Redis of the cache are in use, and none became free in time.",
    troubleshooting: [
      "Raise `poolSize` while Redis has capacity left, or `maxQueued` and `timeout` for short bursts.",
      "Until then the cache works without Redis for the calls that are too many."
    ]
  }
} as const satisfies Record<string, CodeInfo>
