/**
 * Events of token providers and rejections of callers in the audit log.
 */
import * as ErrorCode from "@keelson/core/ErrorCode"
import { RequestObserver } from "@keelson/core/unstable/RequestObserver"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { AuditEntry, Level } from "./AuditEntry.ts"
import { AuditLog } from "./AuditLog.ts"
import * as CorrelationId from "./CorrelationId.ts"

/** An event of a `TokenProvider` of `@keelson/token`. It contains no token. */
export interface TokenEvent {
  readonly _tag: string
  /** The provider's name. Required. */
  readonly server: string
  /** The same on all events of one acquisition. Required. */
  readonly attemptId: string
  /** Wall clock, in milliseconds since 1970. Required. */
  readonly at: number
}

/** Options of `layer`. Every one may be left out. */
export interface Options {
  /** The `events` of token providers. Default none. */
  readonly tokens?: ReadonlyArray<Stream.Stream<TokenEvent>> | undefined
  /**
   * Whether the callers that `HttpSecurity` rejects are recorded, for servers without `AuditMiddleware`: with it, the entry of the
   * request has the reason, and this has no effect. Default false.
   */
  readonly rejections?: boolean | undefined
}

interface Kind {
  readonly name: string
  readonly level: Level
  readonly outcome?: string
}

/** The names that logs of the provider have, below `token`. */
const kinds: Readonly<Record<string, Kind>> = {
  RefreshStarted: { name: "token.refresh.start", level: "info" },
  RefreshRetried: { name: "token.refresh.retry", level: "warning", outcome: "Retrying" },
  Refreshed: { name: "token.refresh.success", level: "info", outcome: "Success" },
  RefreshFailed: { name: "token.refresh.failure", level: "error", outcome: "Failed" },
  RefreshCompleted: { name: "token.retry.outcome", level: "info" },
  RefreshEscalated: { name: "token.refresh.escalated", level: "error", outcome: "Failed" }
}

const detailOf = (value: unknown): string | number | boolean | undefined => {
  if (Duration.isDuration(value)) return Duration.toMillis(value)
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? value : undefined
}

/** Names of details are written as those of the fields are. */
const snakeCase = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** Instants as text, since numbers of this size look like secrets. */
const instants = new Set(["issuedAt", "expiresAt"])

const entryOf = ({ _tag, at, attemptId, server, ...more }: TokenEvent): AuditEntry => {
  const { level, name, outcome } = kinds[_tag] ?? { name: `token.${_tag}`, level: "info" as const, outcome: undefined }
  const details = Object.entries(more).map(([key, value]: [string, unknown]) => [
    snakeCase(key),
    instants.has(key) && typeof value === "number" ? DateTime.formatIso(DateTime.makeUnsafe(value)) : detailOf(value)
  ])
  return {
    timestamp: DateTime.makeUnsafe(at),
    correlationId: attemptId,
    httpMethod: name,
    level,
    details: { server, outcome, ...Object.fromEntries(details) }
  }
}

const record = (log: AuditLog["Service"], code: ErrorCode.ErrorCode, context: Context.Context<never>): void => {
  const request = Context.getOrUndefined(context, HttpServerRequest.HttpServerRequest)
  if (request === undefined) return
  const { id, status } = ErrorCode.codeInfo[code]
  const { headers, method, originalUrl, remoteAddress } = request
  log.recordUnsafe({
    correlationId: Context.get(context, CorrelationId.CorrelationId) ??
      CorrelationId.fromHeader(headers[CorrelationId.header]),
    clientIp: Option.getOrUndefined(remoteAddress),
    httpMethod: method,
    // A router may have removed a part of `url`; this one may have an origin.
    requestPath: originalUrl.replace(/^https?:\/\/[^/]*/, ""),
    responseStatus: status,
    userAgent: headers["user-agent"],
    referer: headers["referer"],
    details: { error_code: id, error_name: code }
  })
}

/**
 * Records the events of token providers, and the callers that `HttpSecurity` rejects: `AuditEvents.layer({ tokens:
 * [provider.events], rejections: true })`. It needs nothing of `@keelson/token`, whose types fit.
 *
 * An event has its name in `http_method`, as `token.refresh.failure`, the id of the acquisition in `correlation_id`, and the rest in
 * `details`.
 *
 * **Example** (A failed refresh)
 *
 * ```ts import.meta.vitest
 * import { AuditEvents, AuditLog } from "@keelson/audit"
 * import { Effect, Layer, Stream } from "effect"
 *
 * const lines: Array<string> = []
 * const memory = {
 *   name: "memory",
 *   write: (records: ReadonlyArray<{ readonly line: string }>) =>
 *     Effect.sync(() => { lines.push(...records.map(({ line }) => line)) }),
 *   flush: Effect.void
 * }
 * const event = { _tag: "RefreshFailed", server: "billing", attemptId: "6f1c", at: 0, errorKind: "TIMEOUT" }
 * // In an application `provider.events`.
 * const layer = AuditEvents.layer({ tokens: [Stream.succeed(event)] })
 *
 * const program = Effect.scoped(Layer.build(Layer.provide(layer, AuditLog.layer({ sinks: [memory] }))))
 * await Effect.runPromise(program)
 * JSON.parse(lines[0] ?? "").http_method // => "token.refresh.failure"
 * ```
 */
export const layer = ({ rejections = false, tokens = [] }: Options): Layer.Layer<never, never, AuditLog> => {
  const events = Layer.effectDiscard(
    Effect.flatMap(AuditLog, (log) =>
      Effect.forEach(
        tokens,
        (stream) => Effect.forkScoped(Stream.runForEach(stream, (event) => log.record(entryOf(event))), { startImmediately: true }),
        { discard: true }
      ))
  )
  if (!rejections) return events
  const observer = Layer.effect(
    RequestObserver,
    Effect.map(AuditLog, (log): RequestObserver => ({
      authenticated: () => {},
      rejected: (code, context) => record(log, code, context)
    }))
  )
  return Layer.merge(events, observer)
}
