import type { CodeInfo } from "../../../ErrorCode.ts"

/** Codes of errors of the stores behind the gateway. Their ids start with `GWY`. */
export const objectStore = {
  GATEWAY_STORE_UNREACHABLE: {
    id: "GWY-010",
    category: "INTERNAL",
    severity: "ERROR",
    status: 504,
    retryable: true,
    breaker: "failure",
    description: "The object store cannot be reached, or it broke the connection off.",
    troubleshooting: ["Check the endpoint of the replica, DNS, firewalls, and the certificate of the store."]
  },
  GATEWAY_STORE_TIMEOUT: {
    id: "GWY-011",
    category: "INTERNAL",
    severity: "ERROR",
    status: 504,
    retryable: true,
    breaker: "failure",
    description: "The object store did not answer in time.",
    troubleshooting: [
      "Check how the store performs. Raise `timeouts.head` or `timeouts.idle` of the replica if it is slow."
    ]
  },
  GATEWAY_STORE_FAILED: {
    id: "GWY-012",
    category: "INTERNAL",
    severity: "ERROR",
    status: 502,
    retryable: true,
    breaker: "failure",
    description: "The object store answered with an error of its own.",
    troubleshooting: ["Check the state of the store, and its logs for the time of the request."]
  },
  GATEWAY_STORE_INCOMPLETE: {
    id: "GWY-013",
    category: "INTERNAL",
    severity: "ERROR",
    status: 502,
    retryable: true,
    breaker: "failure",
    description: "The body of an object broke off, or has another length than the store announced.",
    troubleshooting: ["Check the network to the store, and what proxies between do with long responses."]
  },
  GATEWAY_STORE_CREDENTIALS: {
    id: "GWY-014",
    category: "INTERNAL",
    severity: "ERROR",
    status: 503,
    retryable: true,
    breaker: "failure",
    description: "There are no valid credentials for the object store.",
    troubleshooting: [
      "Check the source of the credentials that the message names. For profiles, web identities and platforms, install the package `@aws-sdk/credential-providers`."
    ]
  },
  GATEWAY_STORE_UNAVAILABLE: {
    id: "GWY-015",
    category: "INTERNAL",
    severity: "ERROR",
    status: 503,
    retryable: true,
    breaker: "ignored",
    description: "No replica of a bucket was asked: all circuits are open, or all connections are in use.",
    troubleshooting: [
      "See which replica failed, and why, in the log and the metrics of its circuit. If all connections are in use, raise `maxConnections` of the replica."
    ]
  },
  GATEWAY_STORE_REQUEST_REFUSED: {
    id: "GWY-016",
    category: "INTERNAL",
    severity: "WARNING",
    status: 400,
    retryable: false,
    breaker: "ignored",
    description: "The request cannot be sent to an object store: its key or a header is not valid.",
    troubleshooting: ["Check the key and the headers of the request."]
  },
  GATEWAY_STORE_ABORTED: {
    id: "GWY-017",
    category: "INTERNAL",
    severity: "INFO",
    status: 500,
    retryable: false,
    breaker: "ignored",
    description: "The caller ended the request to the object store.",
    troubleshooting: ["Nothing is wrong, unless many callers leave: then look at the latency."]
  }
} as const satisfies Record<string, CodeInfo>
