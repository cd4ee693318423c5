import { auditDefinitions } from "./auditDefinitions.ts"
import { cacheDefinitions } from "./cacheDefinitions.ts"
import { callMetrics } from "./callMetrics.ts"
import { circuitDefinitions } from "./circuitDefinitions.ts"
import { dpopDefinitions } from "./dpopDefinitions.ts"
import { fleetDefinitions } from "./fleetDefinitions.ts"
import { gatewayDefinitions } from "./gatewayDefinitions.ts"
import { introspectionDefinitions } from "./introspectionDefinitions.ts"

/** The definition of a metric. */
export interface Definition {
  /** Without the prefix. */
  readonly name: string
  readonly kind: "counter" | "gauge" | "histogram"
  readonly unit: string
  readonly labels: ReadonlyArray<string>
  readonly description: string
  /** How the sources of one series are combined. Default `sum`. */
  readonly combine?: "sum" | "max"
}

/** Every metric, by the name that code uses. */
export const definitions = {
  tokenAcquisitions: {
    name: "token_acquisitions_total",
    kind: "counter",
    unit: "acquisitions",
    labels: ["server", "status"],
    description:
      "Token acquisitions from an authorization server, by result (success, failure; rejected where the server rejected the token of one caller)."
  },
  tokenAcquisitionDuration: {
    name: "token_acquisition_duration_seconds",
    kind: "histogram",
    unit: "seconds",
    labels: ["server"],
    description: "Duration of a token acquisition, with all its attempts."
  },
  tokenEscalations: {
    name: "token_refresh_escalations_total",
    kind: "counter",
    unit: "escalations",
    labels: ["server"],
    description: "Escalations after consecutive failures to acquire a token."
  },
  tokenResponseDeviations: {
    name: "token_response_deviations_total",
    kind: "counter",
    unit: "responses",
    labels: ["server", "kind"],
    description:
      "Token responses accepted although they deviate from RFC 6749, by what deviates (status, body, token_type, expires_in, scope, refresh_token, issued_token_type)."
  },
  callerTokenEvictions: {
    name: "caller_token_evictions_total",
    kind: "counter",
    unit: "tokens",
    labels: ["server"],
    description:
      "Callers whose token was dropped because a guard held its capacity; the next request exchanges their token again."
  },
  cacheHits: {
    name: "cache_hits_total",
    kind: "counter",
    unit: "lookups",
    labels: ["server"],
    description: "Lookups answered from a cache: of tokens (server), or of objects (layer, bucket)."
  },
  cacheMisses: {
    name: "cache_misses_total",
    kind: "counter",
    unit: "lookups",
    labels: ["server"],
    description: "Lookups that a cache could not answer: of tokens (server), or of objects (layer, bucket)."
  },
  ...fleetDefinitions,
  ...cacheDefinitions,
  ...auditDefinitions,
  ...circuitDefinitions,
  ...callMetrics,
  ...gatewayDefinitions,
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
    description: "Key lookups answered immediately from memory."
  },
  jwksMisses: {
    name: "jwks_cache_misses_total",
    kind: "counter",
    unit: "lookups",
    labels: ["tenant", "provider"],
    description: "Key lookups that memory could not answer."
  },
  jwksStale: {
    name: "jwks_cache_stale_total",
    kind: "counter",
    unit: "lookups",
    labels: ["tenant", "provider"],
    description: "Key lookups answered from memory with keys past their lifetime."
  },
  jwksFloodLimited: {
    name: "jwks_cache_flood_limited_total",
    kind: "counter",
    unit: "lookups",
    labels: ["tenant", "provider"],
    description: "Lookups of unknown keys that caused no fetch because of the cooldown."
  },
  jwksLookupFailures: {
    name: "jwks_cache_lookup_failures_total",
    kind: "counter",
    unit: "lookups",
    labels: ["tenant", "provider", "reason"],
    description:
      "Lookups that found no key, by reason (unknown, mismatched, ambiguous, unavailable); unavailable is a 503."
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
    description: "Fetches of a key set whose attempts all failed."
  },
  jwksRefreshDuration: {
    name: "jwks_cache_refresh_duration_seconds",
    kind: "histogram",
    unit: "seconds",
    labels: ["tenant", "provider"],
    description: "Duration of a fetch of a key set, with all its attempts."
  },
  jwksSnapshotErrors: {
    name: "jwks_cache_snapshot_errors_total",
    kind: "counter",
    unit: "calls",
    labels: ["tenant", "provider"],
    description: "Failed calls to the snapshot store, and rejected snapshots."
  },
  jwksDeviations: {
    name: "jwks_deviations_total",
    kind: "counter",
    unit: "documents",
    labels: ["tenant", "provider", "kind"],
    description:
      "Accepted key sets and static keys that deviate from RFC 7518 (padding, alphabet, whitespace, unusedBits, length, null)."
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
    description: "Seconds by which the provider's clock is ahead of this machine's, from the Date header.",
    combine: "max"
  },
  tokenValidations: {
    name: "token_validations_total",
    kind: "counter",
    unit: "tokens",
    labels: ["validator", "result"],
    description: "Validated tokens, by result: `accepted`, or the id of the error code."
  },
  requestRejections: {
    name: "request_rejections_total",
    kind: "counter",
    unit: "requests",
    labels: ["validator", "reason"],
    description:
      "Requests that HttpSecurity or BearerAuthentication rejected with 400, 401, 403 or 503, by the name of the reason."
  },
  tokenCacheHits: {
    name: "token_cache_hits_total",
    kind: "counter",
    unit: "tokens",
    labels: ["validator"],
    description: "Token cache hits: signature and claims were already verified."
  },
  tokenCacheMisses: {
    name: "token_cache_misses_total",
    kind: "counter",
    unit: "tokens",
    labels: ["validator"],
    description: "Token cache misses."
  },
  tokenCacheRejections: {
    name: "token_cache_rejections_total",
    kind: "counter",
    unit: "tokens",
    labels: ["validator"],
    description: "Token cache misses that were answered from the cache of rejected tokens."
  },
  tokenCacheEntries: {
    name: "token_cache_entries",
    kind: "gauge",
    unit: "tokens",
    labels: ["validator"],
    description: "Tokens in the cache of verified tokens."
  },
  tokenCacheBytes: {
    name: "token_cache_bytes",
    kind: "gauge",
    unit: "bytes",
    labels: ["validator"],
    description: "Estimated memory of the cache of verified tokens."
  },
  logoutRequests: {
    name: "logout_requests_total",
    kind: "counter",
    unit: "requests",
    labels: ["result"],
    description:
      "Back-channel logout requests by result: `ended`, or the id of the error. JWK-002 and AUTH-003 are a 503, which the provider may repeat."
  },
  ...introspectionDefinitions,
  revocationEntries: {
    name: "revocation_entries",
    kind: "gauge",
    unit: "entries",
    labels: ["store"],
    description: "Revocations held by this process, by kind of store (memory, redis)."
  },
  revocationStoreFailures: {
    name: "revocation_store_failures_total",
    kind: "counter",
    unit: "calls",
    labels: ["operation"],
    description: "Calls to the shared revocation list that failed or timed out, by operation (check, revoke)."
  },
  ...dpopDefinitions,
  httpRequests: {
    name: "http_requests_total",
    kind: "counter",
    unit: "requests",
    labels: ["method", "endpoint", "status"],
    description: "HTTP requests by status; `error` if there was no response."
  },
  httpRequestDuration: {
    name: "http_request_duration_seconds",
    kind: "histogram",
    unit: "seconds",
    labels: ["method", "endpoint"],
    description: "Duration of an HTTP request until the head of its response, or its failure."
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

/** The names that code uses for the metrics of one kind. */
export type MetricName<Kind extends Definition["kind"] = Definition["kind"]> = {
  readonly [Name in keyof Definitions]: Definitions[Name]["kind"] extends Kind ? Name : never
}[keyof Definitions]

/** Exactly the labels of a metric. */
export type Labels<Name extends MetricName> = { readonly [Label in Definitions[Name]["labels"][number]]: string }
