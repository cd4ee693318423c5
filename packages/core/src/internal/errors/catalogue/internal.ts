import type { CodeInfo } from "../../../ErrorCode.ts"

/** Codes of errors of Keelson itself. Their ids start with `INT`. */
export const internal = {
  INTERNAL_ERROR: {
    id: "INT-001",
    category: "INTERNAL",
    severity: "ERROR",
    status: 500,
    retryable: false,
    breaker: "failure",
    description: "A defect, or an error without a code.",
    troubleshooting: ["Check the log entry with the cause. If Keelson is at fault, report it."]
  },
  RETRY_EXHAUSTED: {
    id: "INT-002",
    category: "INTERNAL",
    severity: "ERROR",
    status: 503,
    retryable: false,
    breaker: "failure",
    description: "Every attempt failed, the last one with an error without a code.",
    troubleshooting: ["Check the attempts in `details` and the last error."]
  },
  SHUTTING_DOWN: {
    id: "INT-003",
    category: "INTERNAL",
    severity: "WARNING",
    status: 503,
    retryable: false,
    breaker: "ignored",
    description: "The service is shutting down.",
    troubleshooting: ["No action needed during a shutdown. Otherwise find the scope that closes too early."]
  },
  STORE_UNAVAILABLE: {
    id: "INT-004",
    category: "INTERNAL",
    severity: "WARNING",
    status: 503,
    retryable: true,
    breaker: "ignored",
    description: "A shared store such as Redis failed or did not respond in time.",
    troubleshooting: ["Check the store. Until it is available, this process uses the state in its memory."]
  }
} as const satisfies Record<string, CodeInfo>
