import type { CodeInfo } from "../ErrorCode.ts"

/** Name to entry. Neither an id nor a name is ever used again for another meaning. */
export const catalogue = {
  CONFIG_MISSING: {
    id: "CFG-001",
    category: "CONFIGURATION",
    severity: "ERROR",
    status: 500,
    retryable: false,
    breaker: "ignored",
    description: "A required configuration section or key is missing.",
    troubleshooting: ["Add the key named in `missing_key` to the configuration."]
  },
  INVALID_CONFIG: {
    id: "CFG-002",
    category: "CONFIGURATION",
    severity: "ERROR",
    status: 500,
    retryable: false,
    breaker: "ignored",
    description: "A configuration value is unknown, of the wrong type, out of its range, or contradicts another one.",
    troubleshooting: [
      "Correct the value at `path`; `expected` names the bound.",
      "Compare with the configuration reference: unknown keys are refused, so look for a misspelt one."
    ]
  },
  CONFIG_VARIABLE_MISSING: {
    id: "CFG-003",
    category: "CONFIGURATION",
    severity: "ERROR",
    status: 500,
    retryable: false,
    breaker: "ignored",
    description: "A `${VAR}` in the configuration names an environment variable that is not set.",
    troubleshooting: ["Set the variable named in `var_name`, or write `$${` where a literal `${` is meant."]
  },
  TOKEN_ACQUISITION_FAILED: {
    id: "TOK-001",
    category: "AUTHENTICATION",
    severity: "ERROR",
    status: 401,
    retryable: false,
    breaker: "failure",
    description: "No token could be acquired from the authorization server.",
    troubleshooting: [
      "Check the client credentials and that the client may use the grant.",
      "Look at the authorization server's own log for the request."
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
    description: "No token was cached, so that one had to be acquired. For information only.",
    troubleshooting: ["Nothing to do; if it is frequent, look at the lifetime of the tokens."]
  },
  VALIDATION_FAILED: {
    id: "TOK-004",
    category: "AUTHENTICATION",
    severity: "ERROR",
    status: 401,
    retryable: false,
    breaker: "success",
    description: "The token's claims do not satisfy the validation policy.",
    troubleshooting: ["Compare issuer, audience and required claims of the policy with what the issuer puts in tokens."]
  },
  TOKEN_RESPONSE_INVALID: {
    id: "TOK-005",
    category: "AUTHENTICATION",
    severity: "ERROR",
    status: 502,
    retryable: false,
    breaker: "failure",
    description: "The authorization server answered with something that is not a token response (RFC 6749, 5.1).",
    troubleshooting: ["Check the token endpoint's URL: a proxy or login page may be answering instead."]
  },
  TOKEN_REFRESH_FAILED: {
    id: "TOK-006",
    category: "AUTHENTICATION",
    severity: "ERROR",
    status: 401,
    retryable: false,
    breaker: "failure",
    description: "A token could not be refreshed.",
    troubleshooting: ["The refresh token may be expired, used or revoked: let the user or client authenticate again."]
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
    description: "The request carries no token.",
    troubleshooting: ["Send `Authorization: Bearer` with an access token (RFC 6750, 2.1)."]
  },
  DPOP_REQUIRED: {
    id: "TOK-009",
    category: "AUTHENTICATION",
    severity: "ERROR",
    status: 401,
    retryable: false,
    breaker: "success",
    description: "The request needs a DPoP proof (RFC 9449) and carries none.",
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
  TIMEOUT: {
    id: "NET-001",
    category: "NETWORK",
    severity: "ERROR",
    status: 504,
    retryable: true,
    breaker: "failure",
    description: "No answer came in time, whatever was being called.",
    troubleshooting: [
      "Check that the called service is up and how long it takes to answer.",
      "Compare the attempt timeout and the deadline with that."
    ]
  },
  NETWORK_ERROR: {
    id: "NET-002",
    category: "NETWORK",
    severity: "ERROR",
    status: 502,
    retryable: true,
    breaker: "failure",
    description: "The connection failed: name resolution, refusal, reset, or a broken response.",
    troubleshooting: ["Check the host name, the network path and that the service listens."]
  },
  TLS_FAILED: {
    id: "NET-003",
    category: "NETWORK",
    severity: "ERROR",
    status: 495,
    retryable: false,
    breaker: "failure",
    description: "The TLS handshake failed, or the certificate is not trusted.",
    troubleshooting: [
      "For a private certificate authority, name its file in `caFile`; verification cannot be turned off.",
      "Check the certificate's expiry and host names."
    ]
  },
  RATE_LIMITED: {
    id: "NET-004",
    category: "NETWORK",
    severity: "WARNING",
    status: 429,
    retryable: true,
    breaker: "ignored",
    description: "The called service asks for fewer requests (429).",
    troubleshooting: ["Lower the request rate, or ask for a higher limit."]
  },
  UPSTREAM_UNAVAILABLE: {
    id: "NET-005",
    category: "NETWORK",
    severity: "ERROR",
    status: 502,
    retryable: true,
    breaker: "failure",
    description: "The called service answered with a server error (5xx).",
    troubleshooting: ["Look at the called service's health and log."]
  },
  UPSTREAM_REJECTED: {
    id: "NET-006",
    category: "NETWORK",
    severity: "ERROR",
    status: 502,
    retryable: false,
    breaker: "success",
    description: "The called service refused the request with a client error (4xx).",
    troubleshooting: ["Check the request: repeating it unchanged will not help."]
  },
  CIRCUIT_OPEN: {
    id: "NET-007",
    category: "NETWORK",
    severity: "WARNING",
    status: 503,
    retryable: false,
    breaker: "ignored",
    description: "The circuit breaker rejects calls, because the called service kept failing.",
    troubleshooting: ["Look at the called service; the breaker tries it again by itself after the open duration."]
  },
  UNAUTHORIZED: {
    id: "AUTH-001",
    category: "AUTHORIZATION",
    severity: "ERROR",
    status: 401,
    retryable: false,
    breaker: "success",
    description: "The caller is not authenticated.",
    troubleshooting: ["Authenticate, and send the credentials with the request."]
  },
  FORBIDDEN: {
    id: "AUTH-002",
    category: "AUTHORIZATION",
    severity: "ERROR",
    status: 403,
    retryable: false,
    breaker: "success",
    description: "The caller is authenticated but may not do this.",
    troubleshooting: ["Grant the scope or role that the operation needs."]
  },
  AUTHORIZATION_UNAVAILABLE: {
    id: "AUTH-003",
    category: "AUTHORIZATION",
    severity: "CRITICAL",
    status: 503,
    retryable: true,
    breaker: "failure",
    description:
      "Whether the caller may do this cannot be decided now, because a service that is needed for it is down.",
    troubleshooting: ["Restore the key source, revocation store or authorization service named in `details`."]
  },
  INTERNAL_ERROR: {
    id: "INT-001",
    category: "INTERNAL",
    severity: "ERROR",
    status: 500,
    retryable: false,
    breaker: "failure",
    description: "A defect or an error without a code of its own.",
    troubleshooting: ["Look at the log entry with the cause; if Keelson is at fault, report it."]
  },
  RETRY_EXHAUSTED: {
    id: "INT-002",
    category: "INTERNAL",
    severity: "ERROR",
    status: 503,
    retryable: false,
    breaker: "failure",
    description: "Every attempt failed with an error that has no code of its own.",
    troubleshooting: ["Look at the attempts in `details` and at the last error."]
  },
  SHUTTING_DOWN: {
    id: "INT-003",
    category: "INTERNAL",
    severity: "WARNING",
    status: 503,
    retryable: false,
    breaker: "ignored",
    description: "The service that was to do the work is closing.",
    troubleshooting: ["Nothing to do in a shutdown; otherwise look for a scope that closes too early."]
  },
  STORE_UNAVAILABLE: {
    id: "INT-004",
    category: "INTERNAL",
    severity: "WARNING",
    status: 503,
    retryable: true,
    breaker: "ignored",
    description: "A shared store such as Redis did not answer in time.",
    troubleshooting: ["Check the store; until it is back, state is kept in this process."]
  }
} as const satisfies Record<string, CodeInfo>
