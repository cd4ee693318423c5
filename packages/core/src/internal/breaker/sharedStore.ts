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
import { CurrentDeadline } from "../../Deadline.ts"
import { waitAtMost } from "../../unstable/Bounded.ts"
import * as Decoders from "../../unstable/Decoders.ts"
import * as Field from "../../unstable/Field.ts"
import { connectInBackground, type Connection } from "../../unstable/RedisConnection.ts"
import { isRefusal, redisReply } from "../errors/redisReply.ts"
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

export const storeTimes = Decoders.decoders<StoreTimes, typeof StoreTimes>(StoreTimes)

/** What a call to the store works with. Every command has the time limit of the store. */
interface Shared {
  readonly store: Store
  readonly redis: Pick<Connection, "send" | "eval">
}

/** What a call is about, for the log. */
interface Subject {
  readonly operation: "admit a call of" | "record a call of" | "read" | "delete" | "limit"
  /** The name of the circuit. */
  readonly key: string
}

export interface SharedStore {
  /** Deletes a circuit. */
  readonly remove: (key: string) => Effect.Effect<void, BreakerError>
  /** Lets a circuit stay open for at most a duration from now. */
  readonly hold: (key: string, longest: Duration.Duration) => Effect.Effect<void, BreakerError>
  /**
   * Runs a call on the shared store. Returns `undefined` if there is no connection, the last call failed less than the retry
   * interval ago, or this call fails.
   */
  readonly attempt: <A>(
    subject: Subject,
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

type StoreExit = Exit.Exit<unknown, BreakerError>

/** The error of a call that the store could not carry out, as distinct from a rejection. */
const storeFailure = (exit: StoreExit): unknown =>
  Exit.isFailure(exit)
    ? Option.getOrUndefined(Option.map(Exit.findErrorOption(exit), ({ reason }) =>
      reason._tag === "CircuitBreakerStoreError" ? reason : undefined))
    : undefined

const noAnswer = new Redis.RedisError({ cause: new Error("Redis did not answer in time") })

/**
 * A connection each of whose commands ends at a limit. node-redis has none: its own timeout ends when the command is sent.
 * Effect's store also renews the lease of a probe in the background.
 */
const limited = ({ eval: evaluate, send }: Connection, limit: Duration.Duration): Pick<Connection, "send" | "eval"> => {
  const within = <A>(call: Effect.Effect<A, Redis.RedisError>): Effect.Effect<A, Redis.RedisError> =>
    Effect.flatMap(
      waitAtMost(call, limit),
      (answer) => answer._tag === "Some" ? Effect.succeed(answer.value) : Effect.fail(noAnswer)
    )
  return {
    send: (command, ...args) => within(send(command, ...args)),
    eval: (script) => (...params) => within(evaluate(script)(...params))
  }
}

/** A service for the parts of `Redis` that the store uses: commands and scripts. */
const serviceOf = (redis: Pick<Connection, "send" | "eval">): Redis.Redis["Service"] => ({
  ...redis,
  subscribe: () => Effect.die(new Error("The breaker store does not subscribe")),
  reserve: Effect.die(new Error("The breaker store reserves no connection"))
})

/** Shortens what no breaker writes: a circuit that is open for longer than a duration, or a probe with a longer lease. */
const holdScript = Redis.script((key: string, longest: number, lease: number) => [key, longest, lease], {
  numberOfKeys: 1,
  lua: `
local time = redis.call("TIME")
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local fields = redis.call("HMGET", KEYS[1], "state", "openUntil", "leaseUntil")
local function shorten(field, value, longest)
  if value == nil or value <= now + longest then return 0 end
  redis.call("HSET", KEYS[1], field, string.format("%.0f", now + longest))
  return 1
end
if fields[1] == "Open" then return shorten("openUntil", tonumber(fields[2]), tonumber(ARGV[1])) end
if fields[1] == "HalfOpen" then return shorten("leaseUntil", tonumber(fields[3]), tonumber(ARGV[2])) end
return 0
`
}).withReturnType<number>()

/** The most circuits whose refusal is remembered, so that it is logged once. */
const mostRefused = 1_000

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
  const connection = yield* connectInBackground(
    options.redis,
    "Breaker store is not connected; using in-process circuits"
  )
  const redis = limited(connection, options.timeout)
  const context = yield* Layer.build(
    Layer.provide(
      layerStoreRedis({ prefix: options.prefix, probeLease }),
      Layer.succeed(Redis.Redis, serviceOf(redis))
    )
  )
  const shared: Shared = { store: Context.get(context, Store), redis }
  /** The session whose last call failed, and the monotonic nanosecond until which it is not called. */
  let pause: { readonly session: object; readonly until: bigint } | undefined

  /** The circuits that Redis refuses. */
  const refused = new Set<string>()

  const refusal = ({ key, operation }: Subject, failure: unknown): Effect.Effect<void> => {
    if (refused.has(key) || refused.size >= mostRefused) return Effect.void
    refused.add(key)
    return Effect.logWarning(
      `Breaker store refused to ${operation} circuit ${key} (${
        redisReply(failure)
      }); using an in-process circuit for it`
    )
  }

  const note = (session: object, subject: Subject, exit: StoreExit): Effect.Effect<void> =>
    Effect.clockWith((clock) => {
      const failure = storeFailure(exit)
      if (failure === undefined || isRefusal(failure)) pause = undefined
      if (failure === undefined) {
        refused.delete(subject.key)
        return Effect.void
      }
      if (isRefusal(failure)) return refusal(subject, failure)
      const isFirst = pause?.session !== session
      pause = {
        session,
        until: clock.monotonicTimeNanosUnsafe() + Duration.toNanosUnsafe(options.retryInterval)
      }
      return isFirst ? Effect.logWarning("Breaker store timed out or failed; using in-process circuits") : Effect.void
    })

  const attempt: SharedStore["attempt"] = Effect.fnUntraced(function*(subject, call) {
    const session = connection.session()
    const clock = yield* Clock.Clock
    if (session === undefined) return undefined
    if (pause?.session === session && clock.monotonicTimeNanosUnsafe() < pause.until) return undefined
    const noted = Effect.tap(Effect.exit(call(shared)), (exit) => note(session, subject, exit))
    const exit = yield* waitUntilDeadline(noted, options.timeout)
    return exit === undefined || storeFailure(exit) !== undefined ? undefined : yield* exit
  })
  return {
    attempt,
    remove: (key) =>
      attempt(
        { operation: "delete", key },
        ({ redis }) => Effect.mapError(redis.send("DEL", options.prefix + key), storeError)
      ),
    hold: (key, longest) =>
      Effect.flatMap(
        attempt({ operation: "limit", key }, ({ redis }) =>
          Effect.mapError(
            redis.eval(holdScript)(options.prefix + key, Duration.toMillis(longest), Duration.toMillis(probeLease)),
            storeError
          )),
        (shortened) =>
          shortened === 1
            ? Effect.logWarning(
              `Circuit ${key} in the breaker store was open for longer than its policy allows; shortened`
            )
            : Effect.void
      )
  }
})

const storeError = ({ cause }: Redis.RedisError) =>
  new BreakerError({ reason: new StoreError({ message: "Failed to change the circuit", cause }) })

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
