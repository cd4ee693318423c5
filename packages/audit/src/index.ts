/**
 * Audit logs: bounded, redacted entries to files, syslog and object stores, with counted losses.
 */
export * as AuditEntry from "./AuditEntry.ts"
export * as AuditError from "./AuditError.ts"
export * as AuditEvents from "./AuditEvents.ts"
export * as AuditLog from "./AuditLog.ts"
export * as AuditMiddleware from "./AuditMiddleware.ts"
export * as AuditOptions from "./AuditOptions.ts"
export * as AuditSink from "./AuditSink.ts"
export * as CorrelationId from "./CorrelationId.ts"
export * as ObjectStore from "./ObjectStore.ts"
