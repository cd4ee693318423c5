import type { CodeInfo } from "../../../ErrorCode.ts"

/** Codes of key set errors. Their ids start with `JWK`. */
export const keys = {
  JWKS_KEY_NOT_FOUND: {
    id: "JWK-001",
    category: "AUTHENTICATION",
    severity: "WARNING",
    status: 401,
    retryable: false,
    breaker: "success",
    description: "No trusted key matches the token's header.",
    troubleshooting: [
      "Check that the token comes from the configured issuer.",
      "After a key rotation, a new key is found within the cooldown for unknown keys (`negativeCacheTtl`)."
    ]
  },
  JWKS_UNAVAILABLE: {
    id: "JWK-002",
    category: "NETWORK",
    severity: "CRITICAL",
    status: 503,
    retryable: true,
    breaker: "failure",
    description: "No trusted keys are available: the key set could not be fetched, or contains no usable key.",
    troubleshooting: [
      "Check the provider, and the last failure in the status of the cache.",
      "A longer `staleWindow` keeps keys during longer outages."
    ]
  },
  JWKS_INVALID: {
    id: "JWK-003",
    category: "NETWORK",
    severity: "ERROR",
    status: 502,
    retryable: false,
    breaker: "failure",
    description: "The response is not a key set with at least one usable key (RFC 7517, 5).",
    troubleshooting: [
      "Check the URL of the key set: the response may come from a proxy or a login page.",
      "The status of the cache lists why each key was skipped."
    ]
  },
  DISCOVERY_INVALID: {
    id: "JWK-004",
    category: "NETWORK",
    severity: "ERROR",
    status: 502,
    retryable: false,
    breaker: "failure",
    description: "The issuer's metadata is malformed, or names another issuer (RFC 8414, 3.3).",
    troubleshooting: ["Compare `issuer` with the one in the metadata: they must be equal, character by character."]
  },
  JWKS_NOT_REGISTERED: {
    id: "JWK-005",
    category: "CONFIGURATION",
    severity: "WARNING",
    status: 404,
    retryable: false,
    breaker: "ignored",
    description: "No key set provider is registered for this issuer or id.",
    troubleshooting: ["Register the provider, or correct the tenant, provider or issuer."]
  },
  JWKS_UNREGISTERED: {
    id: "JWK-006",
    category: "CONFIGURATION",
    severity: "WARNING",
    status: 410,
    retryable: false,
    breaker: "ignored",
    description: "The key set provider was removed.",
    troubleshooting: ["Register the provider again if it is still needed."]
  },
  JWKS_CONFLICT: {
    id: "JWK-007",
    category: "CONFIGURATION",
    severity: "WARNING",
    status: 409,
    retryable: false,
    breaker: "ignored",
    description: "The registration conflicts with an existing one.",
    troubleshooting: ["Remove the provider first, or register under another provider id."]
  },
  JWKS_LOADING: {
    id: "JWK-008",
    category: "NETWORK",
    severity: "INFO",
    status: 425,
    retryable: true,
    breaker: "ignored",
    description: "The key set is still being fetched for the first time.",
    troubleshooting: ["Repeat the request after a few seconds."]
  },
  SNAPSHOT_REFUSED: {
    id: "JWK-009",
    category: "INTERNAL",
    severity: "WARNING",
    status: 500,
    retryable: false,
    breaker: "ignored",
    description: "A stored key set was rejected.",
    troubleshooting: [
      "`reason` in the details names the cause. The cache fetches the key set instead.",
      "If it was tampered with, check who may write to the store."
    ]
  }
} as const satisfies Record<string, CodeInfo>
