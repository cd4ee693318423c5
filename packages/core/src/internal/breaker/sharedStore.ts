import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redis from "effect/persistence/Redis"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { CurrentDeadline } from "../../Deadline.ts"
import { left } from "../instant.ts"
import { BreakerError, layerStoreRedis, Store, StoreError } from "./effectBreaker.ts"

/** A store in Redis with the connection it lives on. */
interface Connected {
  readonly store: Store
  readonly redis: Redis.Redis["Service"]
  readonly broken: Deferred.Deferred<void>
  failures: number
}

export interface Shared {
  /**
   * Runs a call on the shared store, at most as long as the limit; `undefined` where there is no connection, the last
   * call failed a moment ago, or this one fails.
   */
  readonly attempt: <A>(
    call: (connected: Pick<Connected, "redis" | "store">) => Effect.Effect<A, BreakerError>
  ) => Effect.Effect<A | undefined, BreakerError>
}

/** Consecutive failures after which the connection is given up and made anew. */
const brokenAfter = 5

const reconnect = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("5 seconds")])

/** How long closing a connection may hold up the end of the scope: it waits for replies that may never come. */
const closeLimit = Duration.seconds(1)

/**
 * How long a store that answers is waited for past the deadline: an attempt that was cut at the deadline has no time left
 * for its own record, and without its answer the transition it made would not be seen.
 */
const grace = Duration.millis(25)

const isStoreFailure = (exit: Exit.Exit<unknown, BreakerError>): boolean =>
  Exit.isFailure(exit) &&
  Option.exists(Exit.findErrorOption(exit), ({ reason }) => reason._tag === "CircuitBreakerStoreError")

/**
 * Whether Redis did answer, but refused the call: a key that holds something else. It tells of that key and not of the
 * connection, so the other circuits stay shared.
 */
const isRejection = (exit: Exit.Exit<unknown, BreakerError>): boolean =>
  Exit.isFailure(exit) &&
  Option.exists(Exit.findErrorOption(exit), ({ reason }) =>
    reason._tag === "CircuitBreakerStoreError" && reason.cause instanceof Error &&
    /^(?:ERR|WRONGTYPE)\b/.test(reason.cause.message))

/**
 * The lease of a probe, renewed while the probe runs. Short, since one that is admitted too late for its caller stays
 * with nobody until it ends, and every process is rejected so long.
 */
const probeLease = Duration.seconds(3)

/**
 * Keeps a connection in the background, so that nothing waits for it and a Redis that is not there at start is no
 * error, and bounds every call: Effect admits and records uninterruptibly, so a frozen Redis would hang every caller.
 */
export const makeShared = Effect.fnUntraced(function*<E>(options: {
  readonly redis: Layer.Layer<Redis.Redis, E>
  readonly prefix: string
  readonly timeout: Duration.Duration
  readonly retryInterval: Duration.Duration
}): Effect.fn.Return<Shared, never, Scope.Scope> {
  let current: Connected | undefined
  let retryAt = 0n

  const connect = Effect.gen(function*() {
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer(() => closeWithin(scope, closeLimit))
    const context = yield* Layer.buildWithScope(
      Layer.provideMerge(layerStoreRedis({ prefix: options.prefix, probeLease }), options.redis),
      scope
    )
    const broken = yield* Deferred.make<void>()
    current = {
      store: yield* Effect.provideContext(Store, context),
      redis: yield* Effect.provideContext(Redis.Redis, context),
      broken,
      failures: 0
    }
    retryAt = 0n
    yield* Deferred.await(broken)
  })
  const session = Effect.scoped(connect).pipe(
    Effect.ensuring(Effect.sync(() => current = undefined)),
    // A layer that dies, as for a malformed URL, is logged and tried again as one that fails: nobody sees it otherwise.
    Effect.catchDefect(Effect.fail),
    Effect.tapError(() => Effect.logWarning("The breaker's shared store is not connected; this process goes on alone"))
  )
  // A session ends when its connection is broken; the waits grow only while none can be made.
  yield* Effect.forkScoped(Effect.forever(Effect.retry(session, reconnect)))

  const note = (connected: Connected, exit: Exit.Exit<unknown, BreakerError>): Effect.Effect<void> =>
    Effect.clockWith((clock) => {
      const isRefused = isRejection(exit)
      if (isRefused || !isStoreFailure(exit)) {
        connected.failures = 0
        return isRefused
          ? Effect.logWarning("The breaker's shared store refused a call; its circuit is kept in this process")
          : Effect.void
      }
      retryAt = clock.monotonicTimeNanosUnsafe() + Duration.toNanosUnsafe(options.retryInterval)
      connected.failures++
      const report = connected.failures === 1
        ? Effect.logWarning("The breaker's shared store did not answer in time; this process goes on alone")
        : Effect.void
      return connected.failures < brokenAfter ? report : Deferred.succeed(connected.broken, undefined)
    })

  const attempt: Shared["attempt"] = Effect.fnUntraced(function*(call) {
    const connected = current
    const clock = yield* Clock.Clock
    if (connected === undefined || clock.monotonicTimeNanosUnsafe() < retryAt) return undefined
    const late = new BreakerError({ reason: new StoreError({ message: "The shared store did not answer in time" }) })
    const limited = Effect.timeoutOrElse(call(connected), {
      duration: options.timeout,
      orElse: () => Effect.fail(late)
    })
    const noted = Effect.tap(Effect.exit(limited), (exit) => note(connected, exit))
    const exit = yield* waitAtMost(noted, options.timeout)
    return exit === undefined || isStoreFailure(exit) ? undefined : yield* exit
  })
  return { attempt }
})

/**
 * Waits for a call as long as the limit allows, but not past the current deadline and its grace; `undefined` where that
 * comes first. The call goes on in the background, so that an outcome at the deadline is still recorded, and is judged by
 * what becomes of it there: a caller that has no time left says nothing about the store.
 */
const waitAtMost = <A, E, R>(
  call: Effect.Effect<A, E, R>,
  limit: Duration.Duration
): Effect.Effect<A | undefined, E, R> =>
  Effect.withFiber((fiber) => {
    const until = fiber.getRef(CurrentDeadline)
    const now = fiber.getRef(Clock.Clock).monotonicTimeNanosUnsafe()
    const remaining = until === undefined ? limit : left(until, now)
    const patience = Duration.clamp(remaining, { minimum: grace, maximum: limit })
    return Effect.flatMap(
      Effect.forkDetach(Effect.interruptible(call), { startImmediately: true }),
      (running) =>
        Effect.flatMap(
          Effect.timeoutOption(Effect.interruptible(Fiber.await(running)), patience),
          (exit): Effect.Effect<A | undefined, E> => exit._tag === "Some" ? exit.value : Effect.succeed(undefined)
        )
    )
  })

/** Closes a scope, but waits for it only so long. */
const closeWithin = (scope: Scope.Closeable, limit: Duration.Duration): Effect.Effect<void> =>
  Effect.flatMap(
    Effect.forkDetach(Scope.close(scope, Exit.void), { startImmediately: true }),
    (closing) => Effect.asVoid(Effect.timeoutOption(Effect.interruptible(Fiber.await(closing)), limit))
  )
