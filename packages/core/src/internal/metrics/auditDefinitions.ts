import type { Definition } from "./definitions.ts"

/** The metrics of audit logs. */
export const auditDefinitions = {
  auditWritten: {
    name: "audit_entries_written_total",
    kind: "counter",
    unit: "entries",
    labels: ["sink"],
    description: "Audit entries that a sink (file, syslog, s3) took over."
  },
  auditLost: {
    name: "audit_entries_lost_total",
    kind: "counter",
    unit: "entries",
    labels: ["sink"],
    description:
      "Audit entries that a sink does not have: its buffer was full, or the program ended before it was back."
  },
  auditPending: {
    name: "audit_buffer_bytes",
    kind: "gauge",
    unit: "bytes",
    labels: ["sink"],
    description: "Bytes of audit entries that wait for a sink."
  },
  auditFailures: {
    name: "audit_write_failures_total",
    kind: "counter",
    unit: "calls",
    labels: ["sink"],
    description: "Writes of a sink of the audit log that failed and are repeated."
  }
} as const satisfies Record<string, Definition>
