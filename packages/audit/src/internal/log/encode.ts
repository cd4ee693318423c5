import * as Redaction from "@keelson/core/Redaction"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import type { AuditEntry, Level } from "../../AuditEntry.ts"
import type { AuditRecord } from "../../AuditSink.ts"

/** The longest values, in UTF-16 units. Longer ones are cut. */
const limits = {
  correlationId: 128,
  clientIp: 64,
  user: 512,
  bucket: 255,
  objectKey: 2_048,
  httpMethod: 64,
  requestPath: 2_048,
  userAgent: 512,
  referer: 1_024,
  details: 512
} as const

/** The most members of `details`. */
const maxDetails = 16

/**
 * Characters that JSON may contain as they are, and that a terminal, a viewer or a parser of lines takes for something else: control
 * characters, line and paragraph separators, and all invisible ones, which turn the direction of text or make two keys look alike.
 */
const unsafe = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu
const ascii = /^[\x20-\x7e]*$/

const escaped = (text: string): string =>
  Array.from({ length: text.length }, (_, index) => `\\u${text.charCodeAt(index).toString(16).padStart(4, "0")}`).join(
    ""
  )

/** A string of JSON on one line. `JSON.stringify` escapes controls below U+0020, quotes and lone surrogates. */
const quote = (text: string): string => {
  const quoted = JSON.stringify(text)
  return ascii.test(quoted) ? quoted : quoted.replaceAll(unsafe, escaped)
}

/** Remembers the results of a function for the values that many requests have in common, such as the names of browsers. */
const remembering = (compute: (text: string) => string): (text: string) => string => {
  const known = new Map<string, string>()
  return (text) => {
    if (text.length > 512) return compute(text)
    const before = known.get(text)
    if (before !== undefined) return before
    if (known.size >= 1_000) known.clear()
    const result = compute(text)
    known.set(text, result)
    return result
  }
}

/** Text is cut far above its limit before it is redacted, which takes time, and at its limit afterwards. */
const name = (text: string, limit: number): string => quote(Redaction.name(text.slice(0, 4 * limit), limit))

/** A request target: the path as a name, and the query with the names of its parameters alone. */
const target = (text: string): string => {
  const bounded = text.slice(0, 4 * limits.requestPath)
  const question = bounded.indexOf("?")
  const path = question === -1 ? bounded : bounded.slice(0, question)
  const query = question === -1 ? "" : Redaction.url(`/${bounded.slice(question)}`).slice(1)
  return name(path.split("#", 1)[0]! + query, limits.requestPath)
}

const whole = (value: number | undefined): string =>
  value !== undefined && Number.isSafeInteger(value) && value >= 0 ? String(value) : "null"

const millis = (duration: Duration.Duration | undefined): string => {
  if (duration === undefined) return "null"
  const value = Math.round(Duration.toMillis(duration) * 1_000) / 1_000
  return Number.isFinite(value) && value >= 0 ? String(value) : "null"
}

/** The years that RFC 3339 can write. */
const earliest = -62_167_219_200_000
const latest = 253_402_300_799_999

const levelOf = (status: number | undefined): Level =>
  status === undefined || status < 400 ? "info" : status < 500 ? "warning" : "error"

/** The level of an entry. */
export const entryLevel = ({ level, responseStatus }: AuditEntry): Level => level ?? levelOf(responseStatus)

const detailsOf = (details: NonNullable<AuditEntry["details"]>): string => {
  const members = Object.entries(details).filter(([, value]) => value !== undefined).slice(0, maxDetails).map((
    [key, value]
  ) => [key.slice(0, 64), typeof value === "string" ? value.slice(0, 4 * limits.details) : value])
  const redacted = Redaction.value(Object.fromEntries(members))
  const parts = Object.entries(Predicate.isObject(redacted) ? redacted : {}).map(([key, value]: [string, unknown]) =>
    `${name(key, 64)}:${typeof value === "string" ? name(value, limits.details) : JSON.stringify(value)}`
  )
  return `{${parts.join(",")}}`
}

/** Ids that this package makes, and most others. */
const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** What an entry has at least: the log adds it. */
export interface Stamp {
  readonly sequence: number
  readonly timestamp: number
  readonly correlationId: string
}

/** Encodes entries. It remembers what it redacted, so each log has its own. */
export const makeEncoder = () => {
  const user = remembering((text) => name(text, limits.user))
  const address = remembering((text) => name(text, limits.clientIp))
  const userAgent = remembering((text) => name(text, limits.userAgent))
  const referer = remembering((text) => name(Redaction.url(text.slice(0, 4 * limits.referer)), limits.referer))
  const short = remembering((text) => name(text, limits.bucket))
  let second = Number.NaN
  let prefix = ""
  const time = (at: number): string => {
    const value = Math.min(latest, Math.max(earliest, Math.floor(at)))
    const start = Math.floor(value / 1_000)
    if (start !== second) {
      second = start
      prefix = DateTime.formatIso(DateTime.makeUnsafe(start * 1_000)).slice(0, -4)
    }
    return `${prefix}${String(value - start * 1_000).padStart(3, "0")}Z`
  }
  const orNull = (text: string | undefined, encode: (text: string) => string): string =>
    text === undefined ? "null" : encode(text)

  /** The entry as one line of JSON, redacted: the 14 fields, `sequence`, and `details` if it has any. */
  return (entry: AuditEntry, { correlationId, sequence, timestamp }: Stamp): AuditRecord => {
    const details = entry.details === undefined ? "" : `,"details":${detailsOf(entry.details)}`
    const line =
      `{"timestamp":"${time(timestamp)}","correlation_id":${
        uuid.test(correlationId) ? `"${correlationId}"` : name(correlationId, limits.correlationId)
      }` +
      `,"client_ip":${orNull(entry.clientIp, address)}` +
      `,"user":${orNull(entry.user, user)},"bucket":${orNull(entry.bucket, short)}` +
      `,"object_key":${orNull(entry.objectKey, (text) => name(text, limits.objectKey))}` +
      `,"http_method":${short(entry.httpMethod.slice(0, limits.httpMethod))}` +
      `,"request_path":${orNull(entry.requestPath, target)}` +
      `,"response_status":${whole(entry.responseStatus)},"response_size_bytes":${whole(entry.responseSizeBytes)}` +
      `,"duration_ms":${millis(entry.duration)},"cache_status":${orNull(entry.cacheStatus, quote)}` +
      `,"user_agent":${orNull(entry.userAgent, userAgent)},"referer":${orNull(entry.referer, referer)}` +
      `,"sequence":${sequence}${details}}`
    return { line, level: entryLevel(entry), timestamp, sequence }
  }
}
