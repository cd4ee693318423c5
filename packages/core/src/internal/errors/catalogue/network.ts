import type { CodeInfo } from "../../../ErrorCode.ts"

/** Codes of network errors. Their ids start with `NET`. */
export const network = {
  TIMEOUT: {
    id: "NET-001",
    category: "NETWORK",
    severity: "ERROR",
    status: 504,
    retryable: true,
    breaker: "failure",
    description: "The call did not end in time.",
    troubleshooting: [
      "Check that the called service is up, and check its response times.",
      "Compare the attempt timeout and the deadline with the response times."
    ]
  },
  NETWORK_ERROR: {
    id: "NET-002",
    category: "NETWORK",
    severity: "ERROR",
    status: 502,
    retryable: true,
    breaker: "failure",
    description:
      "The connection failed: the name was not resolved, the connection was refused or reset, or the response was incomplete or malformed.",
    troubleshooting: ["Check the host name and the network path, and check that the service is listening."]
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
      "For a private certificate authority, set `caFile` to its certificate file; verification cannot be turned off.",
      "Check the expiry date and the host names of the certificate."
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
    description: "The called service responded with a server error (5xx).",
    troubleshooting: ["Check the health and log of the called service."]
  },
  UPSTREAM_REJECTED: {
    id: "NET-006",
    category: "NETWORK",
    severity: "ERROR",
    status: 502,
    retryable: false,
    breaker: "success",
    description:
      "The called service rejected the request with a client error (4xx), or its response could not be decoded.",
    troubleshooting: ["Correct the request: it fails again if it is repeated unchanged."]
  },
  CIRCUIT_OPEN: {
    id: "NET-007",
    category: "NETWORK",
    severity: "WARNING",
    status: 503,
    retryable: false,
    breaker: "ignored",
    description: "The circuit breaker rejects calls, because calls to the service failed repeatedly.",
    troubleshooting: ["Check the called service. After the open duration the breaker admits a probe call."]
  },
  EGRESS_REFUSED: {
    id: "NET-008",
    category: "NETWORK",
    severity: "ERROR",
    status: 403,
    retryable: false,
    breaker: "ignored",
    description:
      "The rules for outgoing requests do not allow the URL, the address or certificate of its host, or a redirect.",
    troubleshooting: [
      "`reason` in the details names the rule: `url`, `scheme`, `credentials`, `host`, `address`, `redirect`, `header` or `pin`. For requests of a guard it can also be `origin`: the URL is outside the guard's origins.",
      "To allow a host, add it to `allowedHosts`; to allow a private address, add its network to `allowedNetworks`.",
      "If `reason` is `scheme`, use https; for a server on this machine provide `LocalDevelopment.layer` or set `allowLocalhost`; for a host without TLS use `insecureHosts`."
    ]
  },
  RESPONSE_TOO_LARGE: {
    id: "NET-009",
    category: "NETWORK",
    severity: "ERROR",
    status: 502,
    retryable: false,
    breaker: "failure",
    description: "The response body is larger than allowed; reading it was stopped.",
    troubleshooting: ["Check the URL. If the document really is this large, raise `maxBytes`."]
  },
  REQUEST_INVALID: {
    id: "NET-010",
    category: "NETWORK",
    severity: "ERROR",
    status: 500,
    retryable: false,
    breaker: "ignored",
    description:
      "The request cannot be sent: its URL, its method, a header or its body is invalid. Nothing reached the service.",
    troubleshooting: [
      "Check the request: its headers for invalid characters, the scheme of its URL, and whether its body can be encoded.",
      "The HTTP client may already be closed, for example while the process shuts down."
    ]
  },
  THROTTLED: {
    id: "NET-016",
    category: "NETWORK",
    severity: "WARNING",
    status: 503,
    retryable: true,
    breaker: "ignored",
    description: "The called service asked its callers to wait, and the call may not wait so long. It was not made.",
    troubleshooting: [
      "Lower the request rate, or ask for a higher limit.",
      "To wait longer, raise `maxWait` of the throttle, or the deadline of the call."
    ]
  },
  CANCELLED: {
    id: "NET-011",
    category: "NETWORK",
    severity: "WARNING",
    status: 499,
    retryable: false,
    breaker: "ignored",
    description: "The caller cancelled the call by its `AbortSignal`.",
    troubleshooting: [
      "If the signal is a timeout, use `AbortSignal.timeout` or `attemptTimeout`: both are recorded as `TIMEOUT`."
    ]
  },
  BULKHEAD_FULL: {
    id: "NET-013",
    category: "NETWORK",
    severity: "WARNING",
    status: 503,
    retryable: true,
    breaker: "ignored",
    description:
      "The bulkhead rejects the call: as many calls as allowed are in flight, and no place became free in time.",
    troubleshooting: [
      "`reason` in the details is `queue` (the queue is full), `wait` (the call waited for `maxWait`), `deadline` (the deadline of the call came first) or `keys` (too many keys are in use).",
      "Check the response times of the called service: calls in flight are calls per second times response time.",
      "If the service can take more, raise `maxConcurrent`; for short bursts, raise `maxQueued`."
    ]
  },
  LIMIT_EXCEEDED: {
    id: "NET-014",
    category: "NETWORK",
    severity: "WARNING",
    status: 503,
    retryable: true,
    breaker: "ignored",
    description:
      "The adaptive limit rejects the call: the service has as many calls in flight as it answers without delay.",
    troubleshooting: [
      "`reason` in the details is `queue` (the queue is full), `wait` (the call waited for `maxWait`), `deadline` (the deadline of the call came first) or `displaced` (a call of a higher priority took its place).",
      "Compare `keelson_adaptive_limit` with the load. A low limit means that latency rose above its baseline, or that calls timed out: check the service and what it depends on.",
      "Send less, or repeat the call after `Retry-After`."
    ]
  },
  ENDPOINTS_UNAVAILABLE: {
    id: "NET-017",
    category: "NETWORK",
    severity: "ERROR",
    status: 503,
    retryable: false,
    breaker: "ignored",
    description: "No endpoint of the service admits calls: the circuits of all are open, or their limits are reached.",
    troubleshooting: [
      "`rejections` in the details has the code of each endpoint; its own troubleshooting steps apply.",
      "If all circuits are open, check what the endpoints share: the network, DNS, credentials, or a release."
    ]
  }
} as const satisfies Record<string, CodeInfo>
