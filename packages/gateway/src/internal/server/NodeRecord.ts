/**
 * What is kept of a request after its answer: the audit entry, logs, and spans if there is a tracer.
 */
import type { AuditEntry, CacheStatus } from "@keelson/audit/AuditEntry"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as References from "effect/References"
import type * as Tracer from "effect/Tracer"
import type { Log } from "../../ListenOptions.ts"
import type { CacheResult } from "./cacheStatus.ts"
import type { NodeExchange } from "./NodeExchange.ts"

const cacheStatuses: Readonly<Record<CacheResult, CacheStatus>> = {
  hit: "hit",
  revalidated: "hit",
  stale: "hit",
  miss: "miss",
  bypass: "bypass"
}

/** The audit entry of a request. `duration` in nanoseconds. */
export const entryOf = (x: NodeExchange, wall: number, duration: bigint): AuditEntry => ({
  timestamp: DateTime.makeUnsafe(wall),
  correlationId: x.correlationId,
  clientIp: x.clientAddress,
  user: x.caller?.subject ?? x.caller?.clientId,
  bucket: x.bucket?.options.name,
  objectKey: x.key,
  httpMethod: x.request.method ?? "",
  requestPath: x.path,
  responseStatus: x.response.headersSent ? x.response.statusCode : undefined,
  responseSizeBytes: x.sent,
  duration: Duration.nanos(duration),
  cacheStatus: x.result === undefined ? "bypass" : cacheStatuses[x.result],
  userAgent: x.header("user-agent"),
  referer: x.header("referer")
})

const millis = (nanos: bigint): number => Math.round(Number(nanos) / 10_000) / 100

/** The logs of a request. They have no key, no user and no address: those are for the audit log. */
export const logOf = (x: NodeExchange, log: Log, duration: bigint): Effect.Effect<void> | undefined => {
  const slow = Duration.toMillis(log.slow)
  const isSlow = slow > 0 && Number(duration) / 1_000_000 >= slow
  const isLogged = log.requests && isChosen(x, log)
  if (!isSlow && !isLogged) return undefined
  const { auth, cache, store } = x.split
  const fields = {
    correlation_id: x.correlationId,
    bucket: x.bucket?.options.name ?? "",
    method: x.request.method ?? "",
    status: x.response.headersSent ? x.response.statusCode : 0,
    cache: x.result ?? "none",
    duration_ms: millis(duration)
  }
  const split = { auth_ms: millis(auth), cache_ms: millis(cache), store_ms: millis(store) }
  const logs = Effect.andThen(
    isLogged ? Effect.annotateLogs(Effect.logInfo("Request completed"), fields) : Effect.void,
    isSlow ? Effect.annotateLogs(Effect.logWarning("Slow request"), { ...fields, ...split }) : Effect.void
  )
  return Effect.provideService(logs, References.MinimumLogLevel, logLevels[log.level])
}

/** The levels of the configuration, as Effect names them. */
export const logLevels = { debug: "Debug", info: "Info", warn: "Warn", error: "Error" } as const

const makeSpan = (
  tracer: Tracer.Tracer,
  name: string,
  parent: Option.Option<Tracer.AnySpan>,
  startTime: bigint,
  kind: Tracer.SpanKind
): Tracer.Span =>
  tracer.span({
    name,
    parent,
    startTime,
    kind,
    annotations: Context.empty(),
    links: [],
    root: Option.isNone(parent),
    sampled: true
  })

const isChosen = (x: NodeExchange, { paths, statuses }: Log): boolean =>
  (paths.length === 0 || paths.some((path) => x.path.startsWith(path))) &&
  (statuses.length === 0 || statuses.includes(x.response.statusCode))

/** Ends the spans of a request: `gateway.request`, with the time in authentication, cache and store as its children. */
export const traceOf = (x: NodeExchange, tracer: Tracer.Tracer, endWall: bigint, duration: bigint): void => {
  const start = endWall - duration
  const root = makeSpan(tracer, "gateway.request", Option.none(), start, "server")
  root.attribute("http.request.method", x.request.method ?? "")
  root.attribute("http.response.status_code", x.response.statusCode)
  root.attribute("gateway.bucket", x.bucket?.options.name ?? "")
  root.attribute("gateway.cache", x.result ?? "none")
  let from = start
  for (const part of ["auth", "cache", "store"] as const) {
    const nanos = x.split[part]
    if (nanos === 0n) continue
    makeSpan(tracer, `gateway.${part}`, Option.some(root), from, part === "store" ? "client" : "internal")
      .end(from + nanos, Exit.void)
    from += nanos
  }
  root.end(endWall, x.response.statusCode >= 500 ? Exit.fail("status") : Exit.void)
}
