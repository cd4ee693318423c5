import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redis from "effect/persistence/Redis"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Configuration from "../../Configuration.ts"
import { CurrentDeadline } from "../../Deadline.ts"
import { waitAtMost } from "../../unstable/Bounded.ts"
import * as Field from "../../unstable/Field.ts"
import { connectInBackground, type Connection } from "../../unstable/RedisConnection.ts"
import { isRefusal } from "../errors/redisReply.ts"
import { left } from "../retry/deadline.ts"
import { BreakerError, layerStoreRedis, Store, StoreError } from "./effectBreaker.ts"

/** How patient the callers of a store in Redis are. */
export interface StoreTimes {
  /** Upper bound of a call to the store. From 1 milli to 10 seconds. Default 200 millis. */
  readonly timeout?: Field.DurationInput | undefined
  /** How long after a failed call the store is not called. From 0 millis to 1 hour. Default 1 second. */
  readonly retryInterval?: Field.DurationInput | undefined
}

export const StoreTimes = Schema.Struct({
  timeout: Field.defaulted(Field.duration("1 millis", "10 seconds"), Duration.millis(200)),
  retryInterval: Field.defaulted(Field.duration("0 millis", "1 hour"), Duration.seconds(1))
})

export const storeTimes = Configuration.decoders<StoreTimes, typeof StoreTimes>(StoreTimes)

/** What a call to the store works with. */
interface Shared {
  readonly store: Store
  readonly redis: Connection
}

export interface SharedStore {
  /** Deletes a circuit. */
  readonly remove: (key: string) => Effect.Effect<void, BreakerError>
  /**
   * Runs a call on the shared store for at most the timeout. Returns `undefined` if there is no connection, the last call
   * failed less than the retry interval ago, or this call fails.
   */
  readonly attempt: <A>(
    call: (shared: Shared) => Effect.Effect<A, BreakerError>
  ) => Effect.Effect<A | undefined, BreakerError>
}

/**
 * How long past the deadline a call to the store is waited for. An attempt that was interrupted at the deadline has no
 * time left for recording its outcome, and the transition that the record makes would not be seen.
 */
const grace = Duration.millis(25)

/**
 * The lease of a probe, renewed while the probe runs. It is short: until it ends, every process rejects calls for a probe
 * that was admitted too late for its caller.
 */
const probeLease = Duration.seconds(3)

type StoreExit = Exit.Exit<Option.Option<unknown>, BreakerError>

const storeFailure = (exit: StoreExit): unknown =>
  Exit.isFailure(exit)
    ? Option.getOrUndefined(Option.map(Exit.findErrorOption(exit), ({ reason }) =>
      reason._tag === "CircuitBreakerStoreError" ? reason : undefined))
    : undefined

/** Whether the call did not end in time, or the store could not carry it out. */
const isStoreFailure = (exit: StoreExit): boolean =>
  Exit.isSuccess(exit) ? Option.isNone(exit.value) : storeFailure(exit) !== undefined

/** A service for the parts of `Redis` that the store uses: commands and scripts. */
const serviceOf = ({ eval: evaluate, send }: Connection): Redis.Redis["Service"] => ({
  send,
  eval: evaluate,
  subscribe: () => Effect.die(new Error("The breaker store does not subscribe")),
  reserve: Effect.die(new Error("The breaker store reserves no connection"))
})

/**
 * Effect's store in Redis on a connection that is kept in the background. Every call is bounded: Effect admits and records
 * uninterruptibly, so a frozen Redis would otherwise block every caller.
 */
export const makeShared = Effect.fnUntraced(function*<E>(options: {
  readonly redis: Layer.Layer<Redis.Redis, E>
  readonly prefix: string
  readonly timeout: Duration.Duration
  readonly retryInterval: Duration.Duration
}): Effect.fn.Return<SharedStore, never, Scope.Scope> {
  const redis = yield* connectInBackground(
    options.redis,
    "Breaker store is not connected; using in-process circuits"
  )
  const context = yield* Layer.build(
    Layer.provide(
      layerStoreRedis({ prefix: options.prefix, probeLease }),
      Layer.succeed(Redis.Redis, serviceOf(redis))
    )
  )
  const shared: Shared = { store: Context.get(context, Store), redis }
  /** The session whose last call failed, and the monotonic nanosecond until which it is not called. */
  let pause: { readonly session: object; readonly until: bigint } | undefined

  const note = (session: object, exit: StoreExit): Effect.Effect<void> =>
    Effect.clockWith((clock) => {
      if (!isStoreFailure(exit)) {
        pause = undefined
        return Effect.void
      }
      if (isRefusal(storeFailure(exit))) {
        pause = undefined
        return Effect.logWarning("Breaker store refused a call; using an in-process circuit for it")
      }
      const isFirst = pause?.session !== session
      pause = {
        session,
        until: clock.monotonicTimeNanosUnsafe() + Duration.toNanosUnsafe(options.retryInterval)
      }
      return isFirst ? Effect.logWarning("Breaker store timed out or failed; using in-process circuits") : Effect.void
    })

  const attempt: SharedStore["attempt"] = Effect.fnUntraced(function*(call) {
    const session = redis.session()
    const clock = yield* Clock.Clock
    if (session === undefined) return undefined
    if (pause?.session === session && clock.monotonicTimeNanosUnsafe() < pause.until) return undefined
    const noted = Effect.tap(Effect.exit(waitAtMost(call(shared), options.timeout)), (exit) => note(session, exit))
    const exit = yield* waitUntilDeadline(noted, options.timeout)
    return exit === undefined || isStoreFailure(exit) ? undefined : Option.getOrUndefined(yield* exit)
  })
  return {
    attempt,
    remove: (key) => attempt(({ redis }) => Effect.mapError(redis.send("DEL", options.prefix + key), storeError))
  }
})

const storeError = ({ cause }: Redis.RedisError) =>
  new BreakerError({ reason: new StoreError({ message: "Failed to delete the circuit", cause }) })

/**
 * Waits for a call for at most `limit`, and not past the current deadline and its grace; `undefined` if that comes first.
 * The call itself continues in the background, so that an outcome at the deadline is still recorded, and so that a caller
 * without time left is no evidence against the store.
 */
const waitUntilDeadline = <A, E, R>(
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
