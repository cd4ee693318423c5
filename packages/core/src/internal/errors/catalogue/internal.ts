import type { CodeInfo } from "../../../ErrorCode.ts"

/** Keelson itself: `INT`. */
export const internal = {
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
