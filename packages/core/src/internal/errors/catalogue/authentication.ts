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
  SUBJECT_TOKEN_REJECTED: {
    id: "TOK-014",
    category: "AUTHENTICATION",
    severity: "WARNING",
    status: 401,
    retryable: false,
    breaker: "success",
    description:
      "The authorization server issued no token on behalf of a subject: it rejected the subject's token or the request.",
    troubleshooting: [
      "`error` in the details is the OAuth error. `invalid_grant`: the subject's token is expired, revoked or not valid there.",
      "If all subjects are rejected, check that the client may act for them, and `resource`, `audience` and `scope`."
    ]
  },
  TOKEN_NOT_BOUND: {
    id: "TOK-012",
    category: "AUTHENTICATION",
    severity: "ERROR",
    status: 502,
    retryable: false,
    breaker: "failure",
    description:
      "A token that is bound to the client's key was requested (RFC 9449, 5), but the server issued a Bearer token.",
    troubleshooting: [
      "Enable DPoP for the client at the authorization server.",
      "If the server does not support DPoP, and tokens need no protection, set `dpop` to `preferred` or `off`."
    ]
  },
  DPOP_KEY_MISSING: {
    id: "TOK-013",
    category: "AUTHENTICATION",
    severity: "ERROR",
    status: 500,
    retryable: false,
    breaker: "failure",
    description: "The token is bound to a key (RFC 9449), but the guard has no key to prove that it may use the token.",
    troubleshooting: [
      "Set the guard's `dpop` to `required`, and request the token with the guard's key.",
      "If no bound token is wanted, disable DPoP for the client at the authorization server."
    ]
  },
  WORKLOAD_IDENTITY_UNAVAILABLE: {
    id: "TOK-016",
    category: "AUTHENTICATION",
    severity: "ERROR",
    status: 503,
    retryable: false,
    breaker: "failure",
    description: "The platform has no identity for this workload, or refused to issue its token.",
    troubleshooting: [
      "`reason` in the details is `environment` (an environment variable of the platform is missing), `status` (the endpoint refused the request), `flavor` (another service answered in place of the metadata server), `credentials` (those that sign the request could not be read) or `none` (no source of `firstOf` has a token).",
      "Check that an identity is assigned to the workload: the permission `id-token: write` of the job, the managed identity, the service account or the IAM role."
    ]
  },
  WORKLOAD_TOKEN_INVALID: {
    id: "TOK-017",
    category: "AUTHENTICATION",
    severity: "ERROR",
    status: 503,
    retryable: false,
    breaker: "failure",
    description:
      "The platform's token cannot be used: its file or response is unreadable, empty or malformed, or the token is expired or for another audience.",
    troubleshooting: [
      "`reason` in the details is `unreadable`, `empty`, `malformed`, `expired` or `audience`; `path` is the file.",
      "If `reason` is `expired`, check what writes the file (kubelet, spiffe-helper, an agent), and the clock of this machine.",
      "If `reason` is `audience`, ask the platform for a token with the audience that the receiver expects."
    ]
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
