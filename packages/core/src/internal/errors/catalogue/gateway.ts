import type { CodeInfo } from "../../../ErrorCode.ts"

/** Codes of requests that a gateway refuses. Their ids start with `GWY`. */
export const gateway = {
  GATEWAY_REQUEST_INVALID: {
    id: "GWY-001",
    category: "INTERNAL",
    severity: "WARNING",
    status: 400,
    retryable: false,
    breaker: "ignored",
    description: "The request target or a header is malformed, or the key is not one that a store could have.",
    troubleshooting: [
      "Percent-encode the key once, as UTF-8: `%` as `%25`, without NUL. It has at most 1024 bytes.",
      "Remove `..` segments that climb out of the bucket, and send `PUT` without `aws-chunked`."
    ]
  },
  GATEWAY_BUCKET_NOT_FOUND: {
    id: "GWY-002",
    category: "INTERNAL",
    severity: "INFO",
    status: 404,
    retryable: false,
    breaker: "ignored",
    description: "No bucket of the gateway has the path of the request.",
    troubleshooting: ["Compare the path with `path` of the buckets: whole segments, in the same case."]
  },
  GATEWAY_KEY_MISSING: {
    id: "GWY-003",
    category: "INTERNAL",
    severity: "INFO",
    status: 404,
    retryable: false,
    breaker: "ignored",
    description: "The request names a bucket without an object.",
    troubleshooting: ["Add the key to the path. To serve a document for the bucket itself, set `index`."]
  },
  GATEWAY_METHOD_NOT_ALLOWED: {
    id: "GWY-004",
    category: "INTERNAL",
    severity: "INFO",
    status: 405,
    retryable: false,
    breaker: "ignored",
    description: "The bucket does not serve the method of the request.",
    troubleshooting: ["Use a method that `Allow` lists, or add the method to `methods` of the bucket."]
  },
  GATEWAY_QUERY_REFUSED: {
    id: "GWY-005",
    category: "INTERNAL",
    severity: "WARNING",
    status: 400,
    retryable: false,
    breaker: "ignored",
    description:
      "The query asks for a version, for other response headers, or has a signature; or a write has a query.",
    troubleshooting: [
      "Remove `versionId`, `response-...` and `X-Amz-...` from the query, and the whole query of a write."
    ]
  },
  GATEWAY_ADDRESS_REJECTED: {
    id: "GWY-006",
    category: "AUTHORIZATION",
    severity: "WARNING",
    status: 403,
    retryable: false,
    breaker: "ignored",
    description: "The access rules of the bucket do not allow the client's address.",
    troubleshooting: [
      "Add the address or its network to `access.allow` of the bucket.",
      "If the gateway is behind a proxy, list the proxy's address in `listen.proxies`."
    ]
  },
  GATEWAY_RATE_LIMITED: {
    id: "GWY-007",
    category: "INTERNAL",
    severity: "WARNING",
    status: 429,
    retryable: true,
    breaker: "ignored",
    description: "The client, its user or the bucket has used up its rate of requests.",
    troubleshooting: ["Wait for as long as `Retry-After` says, or raise the limit that `limit` names in `rateLimit`."]
  },
  GATEWAY_PRECONDITION_FAILED: {
    id: "GWY-008",
    category: "INTERNAL",
    severity: "INFO",
    status: 412,
    retryable: false,
    breaker: "ignored",
    description: "A precondition of the request, `If-Match` or `If-Unmodified-Since`, does not hold for the object.",
    troubleshooting: ["Read the object again, and repeat the request with its new ETag."]
  },
  GATEWAY_RANGE_NOT_SATISFIABLE: {
    id: "GWY-009",
    category: "INTERNAL",
    severity: "INFO",
    status: 416,
    retryable: false,
    breaker: "ignored",
    description: "No byte of the object is in the range of the request.",
    troubleshooting: ["Compare the range with the length that `Content-Range` names."]
  }
} as const satisfies Record<string, CodeInfo>
