import type { CodeInfo } from "../../../ErrorCode.ts"

/** Codes of answers of a gateway, and of its operation. Their ids start with `GWY-02`. */
export const gatewayServer = {
  GATEWAY_OBJECT_NOT_FOUND: {
    id: "GWY-020",
    category: "INTERNAL",
    severity: "INFO",
    status: 404,
    retryable: false,
    breaker: "ignored",
    description: "There is no such bucket or object.",
    troubleshooting: ["Compare the path with `path` of the buckets; letters, slashes and Unicode forms count."]
  },
  GATEWAY_UPLOAD_UNSUPPORTED: {
    id: "GWY-021",
    category: "INTERNAL",
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
    id: "GWY-022",
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
  GATEWAY_RELOAD_REFUSED: {
    id: "GWY-023",
    category: "CONFIGURATION",
    severity: "ERROR",
    status: 409,
    retryable: false,
    breaker: "ignored",
    description: "The new configuration changes a section that takes effect only at a start. Nothing was changed.",
    troubleshooting: ["Start the gateway again, or undo the change of the section that the message names."]
  }
} as const satisfies Record<string, CodeInfo>
