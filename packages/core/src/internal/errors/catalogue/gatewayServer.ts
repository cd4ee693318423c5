import type { CodeInfo } from "../../../ErrorCode.ts"

/** Codes of answers of a gateway, and of its operation. Their ids start with `GWY-02`. */
export const gatewayServer = {
  GATEWAY_REQUEST_INVALID: {
    id: "GWY-020",
    category: "VALIDATION",
    severity: "INFO",
    status: 400,
    retryable: false,
    breaker: "ignored",
    description:
      "The request target, a query parameter or a header of the request is not valid, or a precondition does not hold.",
    troubleshooting: ["Percent-encode the key once, as UTF-8, and send no query parameters of S3."]
  },
  GATEWAY_ADDRESS_DENIED: {
    id: "GWY-021",
    category: "AUTHORIZATION",
    severity: "WARNING",
    status: 403,
    retryable: false,
    breaker: "ignored",
    description: "The bucket does not allow the address of the client.",
    troubleshooting: [
      "Compare `access` of the bucket with the address in the audit log.",
      "Behind a load balancer, list its addresses in `listen.proxies`."
    ]
  },
  GATEWAY_RATE_LIMITED: {
    id: "GWY-022",
    category: "AUTHORIZATION",
    severity: "WARNING",
    status: 429,
    retryable: true,
    breaker: "ignored",
    description: "The client, its address or the bucket has used its rate.",
    troubleshooting: ["Wait as long as `Retry-After` says.", "Compare `rateLimit` of the bucket with the traffic."]
  },
  GATEWAY_OBJECT_NOT_FOUND: {
    id: "GWY-023",
    category: "VALIDATION",
    severity: "INFO",
    status: 404,
    retryable: false,
    breaker: "ignored",
    description: "There is no such bucket or object.",
    troubleshooting: ["Compare the path with `path` of the buckets; letters, slashes and Unicode forms count."]
  },
  GATEWAY_METHOD_NOT_ALLOWED: {
    id: "GWY-024",
    category: "VALIDATION",
    severity: "INFO",
    status: 405,
    retryable: false,
    breaker: "ignored",
    description: "The bucket does not serve the method.",
    troubleshooting: ["The header `Allow` has the methods; `methods` of the bucket sets them."]
  },
  GATEWAY_UPLOAD_UNSUPPORTED: {
    id: "GWY-025",
    category: "VALIDATION",
    severity: "INFO",
    status: 501,
    retryable: false,
    breaker: "ignored",
    description: "The upload has no length, or an encoding that the gateway does not forward.",
    troubleshooting: [
      "Send the plain body with a Content-Length.",
      "In the AWS SDKs, set `requestChecksumCalculation` to WHEN_REQUIRED, so that they send no aws-chunked bodies."
    ]
  },
  GATEWAY_STORE_DENIED: {
    id: "GWY-026",
    category: "AUTHORIZATION",
    severity: "WARNING",
    status: 403,
    retryable: false,
    breaker: "ignored",
    description: "The store denied access to the object with the credentials of the gateway.",
    troubleshooting: [
      "Without the right to list the bucket, S3 says this of missing objects too.",
      "Check the credentials and the policy of the bucket at the store."
    ]
  },
  GATEWAY_STORE_UNAVAILABLE: {
    id: "GWY-027",
    category: "NETWORK",
    severity: "ERROR",
    status: 503,
    retryable: true,
    breaker: "failure",
    description: "The store is unavailable, overloaded, or not asked while its circuit is open.",
    troubleshooting: ["Check the store and the state of its circuit.", "Configure a second replica of the bucket."]
  },
  GATEWAY_STORE_TIMEOUT: {
    id: "GWY-028",
    category: "NETWORK",
    severity: "ERROR",
    status: 504,
    retryable: true,
    breaker: "failure",
    description: "The store could not be reached, or did not respond in time.",
    troubleshooting: ["Check the endpoint and the network between gateway and store, and `timeouts` of the replica."]
  },
  GATEWAY_RELOAD_REFUSED: {
    id: "GWY-029",
    category: "CONFIGURATION",
    severity: "ERROR",
    status: 409,
    retryable: false,
    breaker: "ignored",
    description: "The new configuration changes a section that takes effect only at a start. Nothing was changed.",
    troubleshooting: ["Start the gateway again, or undo the change of the section that the message names."]
  }
} as const satisfies Record<string, CodeInfo>
