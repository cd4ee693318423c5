import type { CodeInfo } from "../../../ErrorCode.ts"

/** The network: `NET`. */
export const network = {
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
  EGRESS_REFUSED: {
    id: "NET-008",
    category: "NETWORK",
    severity: "ERROR",
    status: 403,
    retryable: false,
    breaker: "ignored",
    description:
      "The rules for outgoing requests do not allow the URL, a redirect, the address behind its host, or its certificate.",
    troubleshooting: [
      "`reason` in the details names the rule: `url`, `scheme`, `credentials`, `host`, `address`, `redirect`, `header` or `pin`; for a guarded request also `origin`, a URL that is none of the guard's.",
      "If the host is meant to be reached, allow it in the egress options; a private address needs its network allowed.",
      "For `scheme`: only https is used; for a server on this machine see `allowLocalhost`."
    ]
  },
  RESPONSE_TOO_LARGE: {
    id: "NET-009",
    category: "NETWORK",
    severity: "ERROR",
    status: 502,
    retryable: false,
    breaker: "failure",
    description: "The response was cut, since its body is larger than allowed.",
    troubleshooting: ["Check that the URL is that of the document; if it is truly this large, raise `maxBytes`."]
  }
} as const satisfies Record<string, CodeInfo>
