/**
 * A connection to Redis that is made in the background, for stores that may be down.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Redis from "effect/persistence/Redis"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { isRefusal, redisReply } from "../internal/errors/redisReply.ts"
import { isTelling } from "../internal/retry/unanswered.ts"
import { waitAtMost } from "./Bounded.ts"

export { redisReply } from "../internal/errors/redisReply.ts"

/** The part of a connection that sends commands. */
export type Sender = Pick<Redis.Redis["Service"], "send">

/** A connection for commands and scripts. Both fail where there is no session. */
export interface Connection extends Pick<Redis.Redis["Service"], "send" | "eval"> {
  /**
   * Sends a command on a connection that it has for itself, from the pool of the client (`Redis.reserve`). A connection whose
   * command failed or was interrupted leaves the pool. Waits, without a limit, while all connections of the pool are in use.
   */
  readonly sendReserved: Redis.Redis["Service"]["send"]
  /** The current session, another object after each reconnect; `undefined` while there is no connection. */
  readonly session: () => object | undefined
  /** Logs a warning, unless one was logged since Redis last answered. Every outage has one warning, whoever notices it. */
  readonly warnOnce: (message: string) => Effect.Effect<void>
}

/** Failed calls in a row after which the connection is replaced: its client may have closed for good. */
const brokenAfter = 5

/**
 * Minimum lifetime of a connection. A server that rejects calls, for example while it loads its data, would otherwise cause
 * a reconnect after every few calls.
 */
const keptFor = Duration.toNanosUnsafe(Duration.seconds(1))

const reconnect = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("5 seconds")])

/** Time limit of connecting, including the handshake: a hanging Redis accepts connections and never responds. */
const connectLimit = Duration.seconds(10)

/** How long closing a connection may delay the end of the scope: closing waits for replies that may never arrive. */
const closeLimit = Duration.seconds(1)

/** Keys that three or more nodes of a cluster do not all have themselves. */
const spread = Array.from({ length: 16 }, (_, index) => `keelson:${index}`)

/**
 * Warns of a cluster whose redirections the client does not follow: it reaches the keys of one node only. A client for clusters
 * follows them, and a cluster of one node has none.
 */
const checkCluster = Effect.fnUntraced(function*({ send }: Sender) {
  const info = yield* send("INFO", "cluster")
  if (!String(info).includes("cluster_enabled:1")) return
  const moved = yield* Effect.findFirst(
    spread,
    (key) =>
      Effect.match(send("EXISTS", key), {
        onFailure: (error) => redisReply(error) === "MOVED",
        onSuccess: () => false
      })
  )
  if (moved._tag === "Some") {
    yield* Effect.logWarning(
      "Redis is a cluster, and this client does not follow its redirections (MOVED): keys of other nodes are not shared. Use a client for clusters"
    )
  }
})

interface Session {
  readonly redis: Redis.Redis["Service"]
  readonly broken: Deferred.Deferred<void>
  /** The monotonic nanosecond before which the session is not replaced. */
  readonly keptUntil: bigint
  /** Failures in a row. */
  failures: number
}

const notConnected = new Redis.RedisError({ cause: new Error("Not connected") })

const isRefused = (exit: Exit.Exit<unknown, Redis.RedisError>): boolean => {
  const error = Exit.findErrorOption(exit)
  return error._tag === "Some" && isRefusal(error.value)
}

/**
 * Keeps a connection in the background: a Redis that is down at start is no error and delays nothing.
 *
 * Calls wait for the first attempt to connect, since a process reads what others stored when it starts. After that they
 * fail immediately while there is no connection. Calls have no time limit: put `Bounded.waitAtMost` around them.
 *
 * - `warning`: the log line of a failure to connect, one for each outage.
 */
export const connectInBackground = Effect.fnUntraced(
  function*<E>(
    layer: Layer.Layer<Redis.Redis, E>,
    warning: string
  ): Effect.fn.Return<Connection, never, Scope.Scope> {
    const tried = Latch.makeUnsafe()
    const clock = yield* Clock.Clock
    let current: Session | undefined
    let isOut = false
    let isClusterChecked = false
    const warnOnce = (message: string): Effect.Effect<void> =>
      Effect.suspend(() => {
        if (isOut) return Effect.void
        isOut = true
        return Effect.logWarning(message)
      })

    const clusterCheck = (redis: Sender): Effect.Effect<void> =>
      Effect.suspend(() => {
        if (isClusterChecked) return Effect.void
        return Effect.ignore(Effect.tap(checkCluster(redis), () => Effect.sync(() => isClusterChecked = true)))
      })

    const run = Effect.gen(function*() {
      const scope = yield* Scope.make()
      yield* Effect.addFinalizer(() => Effect.ignore(waitAtMost(Scope.close(scope, Exit.void), closeLimit)))
      const built = yield* waitAtMost(Layer.buildWithScope(Layer.fresh(layer), scope), connectLimit)
      const context = yield* Effect.mapError(Effect.fromOption(built), () => notConnected)
      const redis = yield* Effect.provideContext(Redis.Redis, context)
      const keptUntil = clock.monotonicTimeNanosUnsafe() + keptFor
      current = { redis, broken: yield* Deferred.make<void>(), keptUntil, failures: 0 }
      tried.openUnsafe()
      yield* Effect.raceFirst(Deferred.await(current.broken), Effect.andThen(clusterCheck(redis), Effect.never))
      // Before the connection closes, which may take as long as the limit.
      current = undefined
    }).pipe(
      Effect.scoped,
      Effect.ensuring(Effect.sync(() => {
        current = undefined
        tried.openUnsafe()
      })),
      // A layer that dies, as for a malformed URL, is logged and retried like one that fails: the defect is reported nowhere else.
      Effect.catchDefect(Effect.fail),
      Effect.tapError(() => warnOnce(warning))
    )
    // Interrupting an attempt to connect closes its connection, which a hanging Redis never confirms.
    yield* Effect.acquireRelease(
      Effect.forkDetach(Effect.forever(Effect.retry(run, reconnect))),
      (running) => waitAtMost(Fiber.interrupt(running), closeLimit)
    )

    const note = (session: Session, exit: Exit.Exit<unknown, Redis.RedisError>): Effect.Effect<unknown> => {
      // A caller that interrupts its calls often enough would otherwise disconnect all others.
      if (!isTelling(exit)) return Effect.void
      const isAnswered = Exit.isSuccess(exit) || isRefused(exit)
      if (isAnswered) isOut = false
      session.failures = isAnswered ? 0 : session.failures + 1
      return session.failures < brokenAfter || clock.monotonicTimeNanosUnsafe() < session.keptUntil
        ? Effect.void
        : Deferred.succeed(session.broken, undefined)
    }

    const use = <A>(
      call: (redis: Redis.Redis["Service"]) => Effect.Effect<A, Redis.RedisError>
    ): Effect.Effect<A, Redis.RedisError> =>
      Effect.flatMap(tried.await, () => {
        const session = current
        return session === undefined
          ? Effect.fail(notConnected)
          : Effect.onExit(call(session.redis), (exit) => note(session, exit))
      })

    return {
      session: () => current,
      warnOnce,
      send: (command, ...args) => use((redis) => redis.send(command, ...args)),
      sendReserved: (command, ...args) =>
        use(({ reserve }) => Effect.scoped(Effect.flatMap(reserve, ({ send }) => send(command, ...args)))),
      eval: (script) => (...params) => use((redis) => redis.eval(script)(...params))
    }
  }
)
