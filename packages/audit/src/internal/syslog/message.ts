import * as DateTime from "effect/DateTime"
import type { Facility } from "../../AuditOptions.ts"
import type { AuditRecord, Level } from "../../AuditSink.ts"
import { ascii, shortened } from "./shortened.ts"

/** RFC 5424, 6.2.1, table 1. */
const facilities: Readonly<Record<Facility, number>> = {
  user: 1,
  daemon: 3,
  auth: 4,
  authpriv: 10,
  audit: 13,
  local0: 16,
  local1: 17,
  local2: 18,
  local3: 19,
  local4: 20,
  local5: 21,
  local6: 22,
  local7: 23
}

/** RFC 5424, 6.2.1, table 2. */
const severities: Readonly<Record<Level, number>> = { error: 3, warning: 4, info: 6 }

const latest = 253_402_300_799_999

/** RFC 5424, 6.2.3; `-` for a time that has no year of four digits. */
const timestampOf = (millis: number): string =>
  millis >= 0 && millis <= latest ? DateTime.formatIso(DateTime.makeUnsafe(Math.floor(millis))) : "-"

/** A field of the header: printable ASCII, and `-` for none (RFC 5424, 6). */
const field = (text: string, maximum: number): string => text.replaceAll(/[^\x21-\x7e]/g, "_").slice(0, maximum) || "-"

/** The largest `sequenceId` (RFC 5424, 7.3.1). After it comes 1 again. */
const maxSequenceId = 2_147_483_647

const sequenceIdOf = (sequence: number): number => (Math.max(1, sequence) - 1) % maxSequenceId + 1

export interface MessageOptions {
  readonly facility: Facility
  readonly hostname: string
  readonly appName: string
  readonly processId: string
  /** In bytes. */
  readonly maxSize: number
}

/**
 * Makes the function that formats an entry as a message of RFC 5424. Messages have characters from space to tilde alone: no entry
 * can end a message or begin another one, and JSON of ASCII needs no byte order mark (RFC 5424, 6.4).
 */
export const formatter = ({ appName, facility, hostname, maxSize, processId }: MessageOptions) => {
  const origin = `${field(hostname, 255)} ${field(appName, 48)} ${field(processId, 128)} audit`
  return ({ level, line, sequence, timestamp }: AuditRecord): string => {
    const priority = facilities[facility] * 8 + severities[level]
    const header = `<${priority}>1 ${timestampOf(timestamp)} ${origin} [meta sequenceId="${sequenceIdOf(sequence)}"] `
    const text = ascii(line)
    return header + (header.length + text.length <= maxSize ? text : shortened(line, maxSize - header.length))
  }
}
