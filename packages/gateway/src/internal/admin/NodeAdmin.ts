/**
 * The admin API: purges, statistics and reloads, on a listener of its own. Answers are JSON, errors problem details.
 */
import * as CorrelationId from "@keelson/audit/CorrelationId"
import { type CacheStats, type Counts, ofBucket } from "@keelson/cache/CacheStats"
import type { ErrorCode } from "@keelson/core/ErrorCode"
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Problem from "@keelson/core/Problem"
import { isHttpSecurityError } from "@keelson/token/HttpSecurityError"
import type { Principal } from "@keelson/token/Principal"
import * as Cause from "effect/Cause"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { Answer } from "../server/NodeListener.ts"
import { cacheKeyOf, forgetObject } from "../server/NodeObjectRequest.ts"
import type { ServedBucket } from "../server/NodeServed.ts"
import type { NodeServer, RecordEntry } from "../server/NodeServer.ts"
import { type AdminTarget, adminTarget } from "./adminTarget.ts"

/** What the admin API needs of the gateway. */
export interface AdminParts {
  readonly server: NodeServer
  readonly scope: string
  readonly reload: Effect.Effect<void, Error>
  readonly record: RecordEntry | undefined
}

/** What is answered. */
interface Reply {
  readonly status: number
  readonly body: unknown
  readonly headers?: Readonly<Record<string, string>>
}

const problem = (status: number, error: unknown, headers?: Readonly<Record<string, string>>): Reply => ({
  status,
  body: { ...Problem.toProblemDetails(error), status },
  headers: { "content-type": "application/problem+json", ...headers }
})

const coded = (status: number, code: ErrorCode, message: string, headers?: Readonly<Record<string, string>>): Reply =>
  problem(status, KeelsonError.make({ code, message }), headers)

const missing = (what: string): Reply => coded(404, "GATEWAY_OBJECT_NOT_FOUND", `There is no such ${what}`)

const countsOf = ({ bytes, evictions, hitRate, hits, items, misses }: Counts) => ({
  hits,
  misses,
  hit_rate: hitRate,
  evictions,
  size_bytes: bytes,
  items
})

const statsReply = (stats: CacheStats, tiers: Readonly<Record<string, CacheStats>>): Reply => ({
  status: 200,
  body: {
    ...countsOf(stats),
    layers: Object.fromEntries(
      Object.entries(tiers).map(([name, own]) => [name, { ...countsOf(own), max_bytes: own.maxBytes ?? null }])
    ),
    buckets: Object.fromEntries(Object.entries(stats.buckets).map(([name, own]) => [name, countsOf(own)]))
  }
})

/** Makes what answers the requests of administrators. */
export const makeAdmin = ({ record, reload, scope, server }: AdminParts): Answer => {
  const { shared } = server
  const { cache, clock, fills } = shared
  const bucketOf = (name: string): ServedBucket | undefined =>
    server.snapshot.buckets.find(({ options }) => options.name === name)

  const purge = (bucket: string | undefined): Effect.Effect<Reply, Error> =>
    Effect.map(
      Effect.suspend(() => {
        fills.discard((id) => bucket === undefined || id.startsWith(`${bucket}\0`))
        return cache.clear(bucket)
      }),
      (purged) => ({ status: 200, body: { purged } })
    )
  const act = (target: AdminTarget): Effect.Effect<Reply, Error> => {
    switch (target._tag) {
      case "PurgeAll":
        return purge(undefined)
      case "PurgeBucket":
        return bucketOf(target.bucket) === undefined ? Effect.succeed(missing("bucket")) : purge(target.bucket)
      case "PurgeObject": {
        const bucket = bucketOf(target.bucket)
        const key = bucket === undefined ? undefined : cacheKeyOf(bucket, target.key)
        if (key === undefined) return Effect.succeed(missing("bucket"))
        return Effect.map(
          forgetObject(shared, key),
          (had) => had ? { status: 200, body: { purged: 1 } } : missing("object in the cache")
        )
      }
      case "Stats":
        return Effect.zipWith(cache.stats, cache.tierStats, statsReply)
      case "BucketStats":
        return bucketOf(target.bucket) === undefined
          ? Effect.succeed(missing("bucket"))
          : Effect.map(cache.stats, (stats) => ({ status: 200, body: countsOf(ofBucket(stats, target.bucket)) }))
      case "Reload":
        return Effect.as(reload, { status: 200, body: { reloaded: true } })
      case "Method":
        return Effect.succeed(
          coded(405, "GATEWAY_METHOD_NOT_ALLOWED", "The path does not serve this method", { allow: target.allow })
        )
      case "Unknown":
        return Effect.succeed(missing("path"))
    }
  }
  const authorized = (request: IncomingMessage): Effect.Effect<Principal<object>, Error> =>
    Effect.flatMap(
      server.snapshot.admin?.(request) ?? Effect.die("no policy"),
      (caller): Effect.Effect<Principal<object>, Error> =>
        caller.hasScope(scope) ? Effect.succeed(caller) : caller.denyScopes(scope)
    )
  const errorReply = (error: unknown): Reply => {
    if (isHttpSecurityError(error)) return problem(error.status, error, { ...error.headers })
    const { status } = Problem.toProblemDetails(error)
    return problem(status >= 400 ? status : 500, error)
  }
  const write = (response: ServerResponse, id: string, { body, headers, status }: Reply): number => {
    const text = Buffer.from(JSON.stringify(body))
    response.writeHead(status, {
      "content-type": "application/json",
      "cache-control": "no-store",
      "x-correlation-id": id,
      "content-length": text.length,
      ...headers
    })
    response.end(text)
    return text.length
  }
  return (request, response) => {
    const started = clock.monotonicTimeNanosUnsafe()
    const wall = clock.currentTimeMillisUnsafe()
    const id = CorrelationId.make()
    const { method = "", url = "" } = request
    const target = adminTarget(method, url)
    let caller: Principal<object> | undefined
    let sent = 0
    const answer = Effect.flatMap(authorized(request), (principal) => {
      caller = principal
      return act(target)
    }).pipe(
      Effect.catchCause((cause) => Effect.succeed(errorReply(Cause.squash(cause)))),
      Effect.andThen((reply) =>
        Effect.sync(() => {
          sent = write(response, id, reply)
        })
      )
    )
    if (record !== undefined) {
      response.on("close", () => {
        const recorded = record({
          timestamp: DateTime.makeUnsafe(wall),
          correlationId: id,
          clientIp: request.socket.remoteAddress,
          user: caller?.subject ?? caller?.clientId,
          bucket: "bucket" in target ? target.bucket : undefined,
          objectKey: "key" in target ? target.key : undefined,
          httpMethod: method,
          requestPath: url.split("?", 1)[0],
          responseStatus: response.statusCode,
          responseSizeBytes: sent,
          duration: Duration.nanos(clock.monotonicTimeNanosUnsafe() - started),
          cacheStatus: "bypass",
          userAgent: request.headers["user-agent"]
        })
        if (recorded !== undefined) shared.fork(recorded)
      })
    }
    shared.run(answer)
  }
}
