import type { Definition } from "./definitions.ts"

/** The metrics of object caches. Hits and misses are in the families of those of tokens, with other labels. */
export const cacheDefinitions = {
  tierHits: {
    name: "cache_hits_total",
    kind: "counter",
    unit: "lookups",
    labels: ["layer", "bucket"],
    description: "Lookups answered from a cache: of tokens (server), or of objects (layer, bucket)."
  },
  tierMisses: {
    name: "cache_misses_total",
    kind: "counter",
    unit: "lookups",
    labels: ["layer", "bucket"],
    description: "Lookups that a cache could not answer: of tokens (server), or of objects (layer, bucket)."
  },
  tierEvictions: {
    name: "cache_evictions_total",
    kind: "counter",
    unit: "entries",
    labels: ["layer", "bucket"],
    description: "Entries of an object cache that were removed to make room, or because they expired."
  },
  tierSize: {
    name: "cache_size_bytes",
    kind: "gauge",
    unit: "bytes",
    labels: ["layer", "bucket"],
    description: "Bytes that the entries of an object cache count with."
  },
  tierItems: {
    name: "cache_items",
    kind: "gauge",
    unit: "entries",
    labels: ["layer", "bucket"],
    description: "Entries of an object cache."
  },
  tierGetDuration: {
    name: "cache_get_duration_seconds",
    kind: "histogram",
    unit: "seconds",
    labels: ["layer"],
    description: "Duration of a lookup in a tier that reads from disk or Redis."
  },
  tierSetDuration: {
    name: "cache_set_duration_seconds",
    kind: "histogram",
    unit: "seconds",
    labels: ["layer"],
    description: "Duration of storing an entry in a tier that writes to disk or Redis."
  },
  tierFailures: {
    name: "cache_failures_total",
    kind: "counter",
    unit: "calls",
    labels: ["layer", "operation"],
    description: "Calls to a tier of an object cache that failed, by operation (get, set, delete, clear, refresh)."
  }
} as const satisfies Record<string, Definition>
