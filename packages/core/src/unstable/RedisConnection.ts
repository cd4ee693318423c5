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
import { isTelling } from "../internal/retry/unanswered.ts"
import { waitAtMost } from "./Bounded.ts"

/** What is needed of a connection. */
export type Sender = Pick<Redis.Redis["Service"], "send">

/** Calls that fail in a row, after which the connection is given up and made anew: a client may have closed for good. */
const brokenAfter = 5

/** How long it is kept at least: a server that refuses calls, as while it loads its data, must not get a new one for each few. */
const keptFor = Duration.toNanosUnsafe(Duration.seconds(1))

const reconnect = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("5 seconds")])

/** How long closing a connection may hold up the end of the scope: it waits for replies that may never come. */
const closeLimit = Duration.seconds(1)

interface Connection {
  readonly sender: Sender
  readonly broken: Deferred.Deferred<void>
  /** The monotonic nanosecond before which it is not given up. */
  readonly keptUntil: bigint
  /** In a row. */
  failures: number
}

const notConnected = new Redis.RedisError({ cause: new Error("Not connected") })

/**
 * Keeps a connection in the background, so that a Redis that is not there at start is no error and holds nothing up.
 * Calls wait for the first attempt to connect, since a process reads what others stored at its very start. After that they
 * fail at once where there is no connection.
 *
 * - `warning`: what is logged at each failure to connect.
 */
export const connectInBackground = Effect.fnUntraced(
  function*<E>(
    layer: Layer.Layer<Redis.Redis, E>,
    warning: string
  ): Effect.fn.Return<Sender, never, Scope.Scope> {
    const tried = Latch.makeUnsafe()
    const clock = yield* Clock.Clock
    let current: Connection | undefined

    const session = Effect.gen(function*() {
      const scope = yield* Scope.make()
      yield* Effect.addFinalizer(() => Effect.ignore(waitAtMost(Scope.close(scope, Exit.void), closeLimit)))
      const context = yield* Layer.buildWithScope(Layer.fresh(layer), scope)
      const sender = yield* Effect.provideContext(Redis.Redis, context)
      const keptUntil = clock.monotonicTimeNanosUnsafe() + keptFor
      current = { sender, broken: yield* Deferred.make<void>(), keptUntil, failures: 0 }
      tried.openUnsafe()
      yield* Deferred.await(current.broken)
    }).pipe(
      Effect.scoped,
      Effect.ensuring(Effect.sync(() => {
        current = undefined
        tried.openUnsafe()
      })),
      // A layer that dies, as for a malformed URL, is logged and tried again as one that fails: nobody sees it otherwise.
      Effect.catchDefect(Effect.fail),
      Effect.tapError(() => Effect.logWarning(warning))
    )
    // Interrupting an attempt to connect closes what it has opened, which a Redis that hangs never answers.
    yield* Effect.acquireRelease(
      Effect.forkDetach(Effect.forever(Effect.retry(session, reconnect))),
      (running) => waitAtMost(Fiber.interrupt(running), closeLimit)
    )

    return {
      send: <A = unknown>(command: string, ...args: ReadonlyArray<string>) =>
        Effect.flatMap(tried.await, () => {
          const connection = current
          if (connection === undefined) return Effect.fail(notConnected)
          return Effect.onExit(connection.sender.send<A>(command, ...args), (exit) => {
            // Else whoever hangs up often enough would cut everybody off.
            if (!isTelling(exit)) return Effect.void
            connection.failures = Exit.isSuccess(exit) ? 0 : connection.failures + 1
            return connection.failures < brokenAfter || clock.monotonicTimeNanosUnsafe() < connection.keptUntil
              ? Effect.void
              : Deferred.succeed(connection.broken, undefined)
          })
        })
    }
  }
)
