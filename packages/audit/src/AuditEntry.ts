/**
 * The entries of an audit log: who asked for what, when, and with which result.
 */
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"

/** The level of an entry: an error for a status of 500 and more, a warning for 400 and more. */
export type Level = "info" | "warning" | "error"

/** How a cache took part in a request: it had the answer, it had not, or it was not asked. */
export type CacheStatus = "hit" | "miss" | "bypass"

/** An audit entry: what happened, for `AuditLog.record`. A member that is `undefined` is written as `null`. */
export interface AuditEntry {
  /** When the request came. Default: now. */
  readonly timestamp?: DateTime.Utc | undefined
  /** The id that all records of one request have in common. Default: that of the current request, or a new UUID. */
  readonly correlationId?: string | undefined
  /** The address of the client. Default none. */
  readonly clientIp?: string | undefined
  /** The subject of the caller's token; none for an anonymous caller. Default none. */
  readonly user?: string | undefined
  /** The bucket of the object. Default none. */
  readonly bucket?: string | undefined
  /** The key of the object. Default none. */
  readonly objectKey?: string | undefined
  /** The request method, or the name of an event, as `token.refresh.failure`. Required. */
  readonly httpMethod: string
  /** The request target without its query, or with a redacted one. Default none. */
  readonly requestPath?: string | undefined
  /** The status of the response. Default none. */
  readonly responseStatus?: number | undefined
  /** The bytes of the response's body that were sent. Default none. */
  readonly responseSizeBytes?: number | undefined
  /** How long the request took. Default none. */
  readonly duration?: Duration.Duration | undefined
  /** How a cache took part. Default none. */
  readonly cacheStatus?: CacheStatus | undefined
  /** The header `user-agent`. Default none. */
  readonly userAgent?: string | undefined
  /** The header `referer`. Default none. */
  readonly referer?: string | undefined
  /** The level, for an event without a status. Default: by the status. */
  readonly level?: Level | undefined
  /** What an event has besides, by name: at most 16 members, which are redacted. A plain request has none. Default none. */
  readonly details?: Readonly<Record<string, string | number | boolean | undefined>> | undefined
}
