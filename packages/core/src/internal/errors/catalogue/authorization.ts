import type { CodeInfo } from "../../../ErrorCode.ts"

/** Codes of authorization errors. Their ids start with `AUTH`. */
export const authorization = {
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
    description: "The caller is authenticated but not allowed to do this.",
    troubleshooting: ["Grant the scope or role that the operation requires."]
  },
  AUTHORIZATION_UNAVAILABLE: {
    id: "AUTH-003",
    category: "AUTHORIZATION",
    severity: "CRITICAL",
    status: 503,
    retryable: true,
    breaker: "failure",
    description:
      "Whether the caller is allowed to do this cannot be decided now, because a service that the decision needs is down.",
    troubleshooting: ["Restore the key source, revocation store or authorization service named in `details`."]
  }
} as const satisfies Record<string, CodeInfo>
