/** What a metric is called and means. */
export interface Definition {
  /** Without the prefix. */
  readonly name: string
  readonly kind: "counter" | "gauge" | "histogram"
  readonly unit: string
  readonly labels: ReadonlyArray<string>
  readonly description: string
  /** How the sources of one series are put together. Default `sum`. */
  readonly combine?: "sum" | "max"
}

/** Every metric, by the name that code uses. */
export const definitions = {
  tokenAcquisitions: {
    name: "token_acquisitions_total",
    kind: "counter",
    unit: "acquisitions",
    labels: ["server", "status"],
    description: "Tokens asked of an authorization server, by result (success, failure)."
  },
  tokenAcquisitionDuration: {
    name: "token_acquisition_duration_seconds",
    kind: "histogram",
    unit: "seconds",
    labels: ["server"],
    description: "How long acquiring a token took."
  },
  tokenEscalations: {
    name: "token_refresh_escalations_total",
    kind: "counter",
    unit: "escalations",
    labels: ["server"],
    description: "How often failures in a row to acquire a token were escalated."
  },
  cacheHits: {
    name: "cache_hits_total",
    kind: "counter",
    unit: "lookups",
    labels: ["server"],
    description: "Token lookups answered from the cache."
  },
  cacheMisses: {
    name: "cache_misses_total",
    kind: "counter",
    unit: "lookups",
    labels: ["server"],
    description: "Token lookups that the cache could not answer."
  },
  circuitBreakerState: {
    name: "circuit_breaker_state",
    kind: "gauge",
    unit: "state",
    labels: ["server"],
    description: "State of a circuit: 0 closed, 1 open, 2 half-open.",
    combine: "max"
  },
  circuitBreakerRejections: {
    name: "circuit_breaker_rejections_total",
    kind: "counter",
    unit: "calls",
    labels: ["server"],
    description: "Calls that a circuit breaker rejected without making them."
  },
  circuitBreakerCalls: {
    name: "circuit_breaker_calls_total",
    kind: "counter",
    unit: "calls",
    labels: ["server"],
    description: "Calls that reached a circuit breaker, rejected ones included."
  },
  circuitBreakerTransitions: {
    name: "circuit_breaker_transitions_total",
    kind: "counter",
    unit: "transitions",
    labels: ["server", "from", "to"],
    description: "Changes of a circuit's state that this process made."
  },
  circuitBreakerStoreFallbacks: {
    name: "circuit_breaker_store_fallbacks_total",
    kind: "counter",
    unit: "calls",
    labels: [],
    description: "Calls that the in-process store admitted, because the shared one did not answer in time."
  },
  retryAttempts: {
    name: "retry_attempts_total",
    kind: "counter",
    unit: "attempts",
    labels: ["server"],
    description: "Attempts after the first one of a call."
  },
  retryBudgetSpent: {
    name: "retry_budget_spent_total",
    kind: "counter",
    unit: "calls",
    labels: ["server"],
    description: "Calls that failed without a further attempt, because the budget for retries was spent."
  },
  jwksRequests: {
    name: "jwks_cache_requests_total",
    kind: "counter",
    unit: "lookups",
    labels: ["tenant", "provider"],
    description: "Key lookups: hits and misses."
  },
  jwksHits: {
    name: "jwks_cache_hits_total",
    kind: "counter",
    unit: "lookups",
    labels: ["tenant", "provider"],
    description: "Key lookups answered at once from memory."
  },
  jwksMisses: {
    name: "jwks_cache_misses_total",
    kind: "counter",
    unit: "lookups",
    labels: ["tenant", "provider"],
    description: "Key lookups that memory could not answer, whatever became of them."
  },
  jwksStale: {
    name: "jwks_cache_stale_total",
    kind: "counter",
    unit: "lookups",
    labels: ["tenant", "provider"],
    description: "Hits on keys past their lifetime."
  },
  jwksFloodLimited: {
    name: "jwks_cache_flood_limited_total",
    kind: "counter",
    unit: "lookups",
    labels: ["tenant", "provider"],
    description: "Lookups of unknown keys that were not allowed to cause a fetch."
  },
  jwksLookupFailures: {
    name: "jwks_cache_lookup_failures_total",
    kind: "counter",
    unit: "lookups",
    labels: ["tenant", "provider", "reason"],
    description: "Lookups without a key by reason (unknown, mismatched, ambiguous, unavailable): the last one is a 503."
  },
  jwksRefresh: {
    name: "jwks_cache_refresh_total",
    kind: "counter",
    unit: "fetches",
    labels: ["tenant", "provider", "status"],
    description: "Fetches of a key set by result (success, not_modified, failure)."
  },
  jwksRefreshErrors: {
    name: "jwks_cache_refresh_errors_total",
    kind: "counter",
    unit: "fetches",
    labels: ["tenant", "provider"],
    description: "Fetches of a key set that failed with all their attempts."
  },
  jwksRefreshDuration: {
    name: "jwks_cache_refresh_duration_seconds",
    kind: "histogram",
    unit: "seconds",
    labels: ["tenant", "provider"],
    description: "How long a fetch of a key set took with all its attempts."
  },
  jwksSnapshotErrors: {
    name: "jwks_cache_snapshot_errors_total",
    kind: "counter",
    unit: "calls",
    labels: ["tenant", "provider"],
    description: "Calls to the store of snapshots that failed, and snapshots that were refused."
  },
  jwksHealth: {
    name: "jwks_cache_health",
    kind: "gauge",
    unit: "state",
    labels: ["tenant", "provider"],
    description: "Health of a key set: 0 ok, 1 degraded, 2 bad.",
    combine: "max"
  },
  jwksClockSkew: {
    name: "jwks_cache_clock_skew_seconds",
    kind: "gauge",
    unit: "seconds",
    labels: ["tenant", "provider"],
    description: "By how much the provider's clock is ahead of ours, by its Date header.",
    combine: "max"
  },
  tokenValidations: {
    name: "token_validations_total",
    kind: "counter",
    unit: "tokens",
    labels: ["validator", "result"],
    description: "Tokens that were validated, by result: `accepted`, or the id of the code that they were refused with."
  },
  tokenCacheHits: {
    name: "token_cache_hits_total",
    kind: "counter",
    unit: "tokens",
    labels: ["validator"],
    description: "Tokens whose signature and claims were remembered."
  },
  tokenCacheMisses: {
    name: "token_cache_misses_total",
    kind: "counter",
    unit: "tokens",
    labels: ["validator"],
    description: "Tokens that were not remembered, whatever became of them."
  },
  tokenCacheEntries: {
    name: "token_cache_entries",
    kind: "gauge",
    unit: "tokens",
    labels: ["validator"],
    description: "Tokens that are remembered."
  },
  tokenCacheBytes: {
    name: "token_cache_bytes",
    kind: "gauge",
    unit: "bytes",
    labels: ["validator"],
    description: "Memory that the remembered tokens take, as estimated."
  },
  revocationEntries: {
    name: "revocation_entries",
    kind: "gauge",
    unit: "entries",
    labels: ["store"],
    description: "Revocations that this process holds, by where the list is kept (memory, redis)."
  },
  revocationStoreFailures: {
    name: "revocation_store_failures_total",
    kind: "counter",
    unit: "calls",
    labels: ["operation"],
    description: "Calls to the shared list of revocations that failed or were late, by operation (check, revoke)."
  },
  httpRequests: {
    name: "http_requests_total",
    kind: "counter",
    unit: "requests",
    labels: ["method", "endpoint", "status"],
    description: "HTTP requests by status; the status is `error` where there was no response."
  },
  httpRequestDuration: {
    name: "http_request_duration_seconds",
    kind: "histogram",
    unit: "seconds",
    labels: ["method", "endpoint"],
    description: "How long an HTTP request took until the head of its response, or its failure."
  },
  errors: {
    name: "errors_total",
    kind: "counter",
    unit: "errors",
    labels: ["server", "error_code", "category"],
    description: "Errors by their catalogue id and category."
  }
} as const satisfies Record<string, Definition>

type Definitions = typeof definitions

/** The name that code uses for a metric of a kind. */
export type MetricName<Kind extends Definition["kind"] = Definition["kind"]> = {
  readonly [Name in keyof Definitions]: Definitions[Name]["kind"] extends Kind ? Name : never
}[keyof Definitions]

/** Exactly the labels of a metric. */
export type Labels<Name extends MetricName> = { readonly [Label in Definitions[Name]["labels"][number]]: string }
