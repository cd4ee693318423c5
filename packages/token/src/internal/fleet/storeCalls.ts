import { waitAtMost } from "@keelson/core/unstable/Bounded"
import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import type { Connection } from "@keelson/core/unstable/RedisConnection"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Redis from "effect/persistence/Redis"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import type { IgnoredReason } from "./seal.ts"

/** What a call to the store is for, as metrics name it. */
export type Operation = "begin" | "commit" | "settle" | "renew" | "invalidate" | "refresh_token"

const operations: ReadonlyArray<Operation> = ["begin", "commit", "settle", "renew", "invalidate", "refresh_token"]
const reasons: ReadonlyArray<IgnoredReason> = ["version", "key", "cipher", "content", "clock"]

/** The calls of one connection, each of which ends at the limit. */
export interface StoreCalls {
  /** The reply, or `undefined` if there is none: the call failed, timed out, or its reply is unreadable. */
  readonly run: <A>(
    operation: Operation,
    call: (redis: Connection) => Effect.Effect<unknown, Redis.RedisError>,
    read: (reply: unknown) => A | undefined
  ) => Effect.Effect<A | undefined>
  /** Counts a stored value that is not used. */
  readonly ignore: (reason: IgnoredReason) => Effect.Effect<void>
}

/** How long the first call waits for the connection beyond its limit, since a process that starts must not go alone at once. */
const connectMillis = 2_000

/** Replies that concern writes only, as of a full or read-only server: reads still succeed. */
const writesOnly = /^(?:ERR .*-)?(?:OOM|READONLY|MISCONF|NOREPLICAS)\b/

const replyOf = (error: unknown): string =>
  Predicate.hasProperty(error, "cause") && error.cause instanceof Error ? error.cause.message : ""

const operationsThatWrite: ReadonlySet<Operation> = new Set(["commit", "refresh_token"])

/**
 * The connection with scripts as one command each. `eval` of Effect loads a script and then runs it by its hash: a release
 * that follows a call without a reply would not be sent while the server does not answer.
 */
const withWholeScripts = (connection: Connection): Connection => ({
  ...connection,
  eval: (script) => (...params) =>
    connection.send(
      "EVAL",
      script.lua,
      String(script.numberOfKeys(...params)),
      ...script.params(...params).map(String)
    )
})

/**
 * Bounded calls on a connection. Failures are counted, and logged once for each outage: until a call succeeds again, or, if
 * the server refused writes, until a write does.
 */
export const makeStoreCalls = Effect.fnUntraced(function*(
  connection: Connection,
  limit: Duration.Duration
): Effect.fn.Return<StoreCalls, never, Scope.Scope> {
  const failures: Record<Operation, number> = {
    begin: 0,
    commit: 0,
    settle: 0,
    renew: 0,
    invalidate: 0,
    refresh_token: 0
  }
  const ignored: Record<IgnoredReason, number> = { version: 0, key: 0, cipher: 0, content: 0, clock: 0 }
  for (const operation of operations) {
    yield* MetricSeries.register("sharedTokenStoreFailures", { operation }, () => failures[operation])
  }
  for (const reason of reasons) yield* MetricSeries.register("sharedTokenIgnored", { reason }, () => ignored[reason])

  const redis = withWholeScripts(connection)
  let outage: "calls" | "writes" | undefined
  const loggedReasons = new Set<IgnoredReason>()
  let isConnected = false

  const onFailure = (operation: Operation, cause: string): Effect.Effect<void> => {
    failures[operation]++
    if (outage !== undefined) return Effect.void
    outage = writesOnly.test(cause) ? "writes" : "calls"
    const reply = /^[A-Z]{2,}\b/.exec(cause)?.[0]
    return Effect.logWarning(
      `Store of shared tokens failed (${operation}${
        reply === undefined ? "" : `, ${reply}`
      }); this process acquires its own tokens`
    )
  }
  const onReply = (operation: Operation): void => {
    isConnected = true
    if (outage === "calls" || operationsThatWrite.has(operation)) outage = undefined
  }

  /** Waits for the connection that is made when the process starts. */
  const connected = Effect.suspend(() => {
    if (isConnected || connection.session() !== undefined) return Effect.void
    isConnected = true
    return Effect.sleep(20).pipe(
      Effect.repeat({ while: () => connection.session() === undefined, times: connectMillis / 20 - 1 }),
      Effect.asVoid
    )
  })

  return {
    run: (operation, call, read) =>
      // A defect of the client must not end its caller.
      Effect.andThen(connected, Effect.suspend(() => waitAtMost(call(redis), limit))).pipe(
        Effect.flatMap(Option.match({
          onNone: () => Effect.as(onFailure(operation, ""), undefined),
          onSome: (reply) =>
            Effect.suspend(() => {
              const value = read(reply)
              if (value === undefined) return Effect.as(onFailure(operation, "unreadable"), undefined)
              onReply(operation)
              return Effect.succeed(value)
            })
        })),
        Effect.catch((error) => Effect.as(onFailure(operation, replyOf(error)), undefined)),
        Effect.catchDefect(() => Effect.as(onFailure(operation, ""), undefined))
      ),
    ignore: (reason) =>
      Effect.suspend(() => {
        ignored[reason]++
        if (loggedReasons.has(reason)) return Effect.void
        loggedReasons.add(reason)
        return Effect.logWarning(`A stored token cannot be used (${reason}); a new one replaces it`)
      })
  }
})
