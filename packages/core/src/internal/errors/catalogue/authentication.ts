import type { CodeInfo } from "../../../ErrorCode.ts"

/** Codes of token errors. Their ids start with `TOK`. */
export const authentication = {
  TOKEN_ACQUISITION_FAILED: {
    id: "TOK-001",
    category: "AUTHENTICATION",
    severity: "ERROR",
    status: 401,
    retryable: false,
    breaker: "failure",
    description: "No token could be acquired from the authorization server or another token source.",
    troubleshooting: [
      "Check the client credentials and that the client may use the grant.",
      "Check the log of the authorization server for the request."
    ]
  },
  TOKEN_EXPIRED: {
    id: "TOK-002",
    category: "AUTHENTICATION",
    severity: "WARNING",
    status: 401,
    retryable: false,
    breaker: "success",
    description: "The token is past its expiry.",
    troubleshooting: ["Acquire a new token.", "If tokens expire early, compare the clocks of both machines."]
  },
  TOKEN_NOT_CACHED: {
    id: "TOK-003",
    category: "AUTHENTICATION",
    severity: "INFO",
    status: 200,
    retryable: false,
    breaker: "ignored",
    description: "No token was cached, so one was acquired. For information only.",
    troubleshooting: ["No action needed. If it is frequent, check the lifetime of the tokens."]
  },
  VALIDATION_FAILED: {
    id: "TOK-004",
    category: "AUTHENTICATION",
    severity: "ERROR",
    status: 401,
    retryable: false,
    breaker: "success",
    description: "The token's claims do not satisfy the validation policy.",
    troubleshooting: ["Compare issuer, audience and required claims of the policy with the claims of a token."]
  },
  TOKEN_RESPONSE_INVALID: {
    id: "TOK-005",
    category: "AUTHENTICATION",
    severity: "ERROR",
    status: 502,
    retryable: false,
    breaker: "failure",
    description: "The response of the authorization server is not a token response (RFC 6749, 5.1).",
    troubleshooting: [
      "Check the URL of the token endpoint: the response may come from a proxy or a login page.",
      "The details name the member at fault (`reason`), what it must be and what type was received."
    ]
  },
  TOKEN_REFRESH_FAILED: {
    id: "TOK-006",
    category: "AUTHENTICATION",
    severity: "ERROR",
    status: 401,
    retryable: false,
    breaker: "failure",
    description: "A token could not be refreshed.",
    troubleshooting: ["The refresh token may be expired, used or revoked. Authenticate the user or client again."]
  },
  TOKEN_INVALID: {
    id: "TOK-007",
    category: "AUTHENTICATION",
    severity: "ERROR",
    status: 401,
    retryable: false,
    breaker: "success",
    description: "The token is malformed, or its signature does not verify.",
    troubleshooting: ["Check that the caller sends the token unchanged and that it comes from a configured issuer."]
  },
  TOKEN_MISSING: {
    id: "TOK-008",
    category: "AUTHENTICATION",
    severity: "ERROR",
    status: 401,
    retryable: false,
    breaker: "success",
    description: "The request has no token.",
    troubleshooting: ["Send `Authorization: Bearer` with an access token (RFC 6750, 2.1)."]
  },
  DPOP_REQUIRED: {
    id: "TOK-009",
    category: "AUTHENTICATION",
    severity: "ERROR",
    status: 401,
    retryable: false,
    breaker: "success",
    description: "The request requires a DPoP proof (RFC 9449) and has none.",
    troubleshooting: ["Send a `DPoP` header with a fresh proof for this method and URL."]
  },
  DPOP_INVALID: {
    id: "TOK-010",
    category: "AUTHENTICATION",
    severity: "ERROR",
    status: 401,
    retryable: false,
    breaker: "success",
    description: "The DPoP proof (RFC 9449) does not verify, or was used before.",
    troubleshooting: ["Make a new proof per request, with the key that the token is bound to."]
  },
  PKCE_INVALID: {
    id: "TOK-011",
    category: "AUTHENTICATION",
    severity: "ERROR",
    status: 400,
    retryable: false,
    breaker: "success",
    description: "The PKCE code verifier does not match the challenge (RFC 7636).",
    troubleshooting: ["Use the verifier of the same authorization request, with method S256."]
  },
  TOKEN_WAIT_EXCEEDED: {
    id: "TOK-018",
    category: "AUTHENTICATION",
    severity: "WARNING",
    status: 503,
    retryable: true,
    breaker: "failure",
    description: "Another process acquires the token for all processes, and did not finish in time.",
    troubleshooting: [
      "Check the log of the other processes: the one that holds the lease waits for the authorization server.",
      "Set a `deadline` for acquisitions that is below `maxWait` of the shared tokens."
    ]
  },
  TOKEN_STORE_UNAVAILABLE: {
    id: "TOK-019",
    category: "AUTHENTICATION",
    severity: "ERROR",
    status: 503,
    retryable: true,
    breaker: "ignored",
    description: "The shared store of a rotating refresh token is unavailable, so the refresh token was not used.",
    troubleshooting: [
      "Check Redis. A process alone must not use a refresh token that the server accepts once only.",
      "If one process alone has the refresh token, `onStoreFailure: \"alone\"` lets it continue."
    ]
  }
} as const satisfies Record<string, CodeInfo>
