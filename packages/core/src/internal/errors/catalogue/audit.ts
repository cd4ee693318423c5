import type { CodeInfo } from "../../../ErrorCode.ts"

/** Codes of errors of audit logs. Their ids start with `AUD`. */
export const audit = {
  AUDIT_FILE_FAILED: {
    id: "AUD-001",
    category: "INTERNAL",
    severity: "ERROR",
    status: 500,
    retryable: true,
    breaker: "failure",
    description: "The audit log failed to write its file.",
    troubleshooting: [
      "Check that the directory of the file exists, that this process may write to it, and that the disk has space left."
    ]
  },
  AUDIT_SYSLOG_FAILED: {
    id: "AUD-002",
    category: "INTERNAL",
    severity: "ERROR",
    status: 503,
    retryable: true,
    breaker: "failure",
    description: "The audit log failed to send an entry to the syslog server.",
    troubleshooting: [
      "Check the host, the port and the protocol of the syslog server, and that it accepts connections from here."
    ]
  },
  AUDIT_STORE_FAILED: {
    id: "AUD-003",
    category: "INTERNAL",
    severity: "ERROR",
    status: 503,
    retryable: true,
    breaker: "failure",
    description: "The audit log failed to store a batch of entries in the object store.",
    troubleshooting: [
      "Check the endpoint, the bucket and the credentials of the object store. The batch is kept on disk meanwhile."
    ]
  },
  AUDIT_NOT_FLUSHED: {
    id: "AUD-004",
    category: "INTERNAL",
    severity: "ERROR",
    status: 503,
    retryable: true,
    breaker: "failure",
    description: "The audit log did not write all entries in time, because a sink is down or slow.",
    troubleshooting: [
      "Look for the error of the sink in the log. The entries wait in memory, and are counted as lost if the program ends before."
    ]
  },
  AUDIT_ENTRIES_LOST: {
    id: "AUD-005",
    category: "INTERNAL",
    severity: "ERROR",
    status: 500,
    retryable: false,
    breaker: "ignored",
    description:
      "A sink of the audit log was down or slow for so long that its buffer filled up, and entries were lost.",
    troubleshooting: [
      "Look for the error of the sink in the log, and compare `audit_entries_lost_total`. A line `audit.lost` in the sink names the entries.",
      "A larger `bufferSize` bridges a longer outage; with `overflow: wait` requests wait for room."
    ]
  }
} as const satisfies Record<string, CodeInfo>
