import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redis from "effect/persistence/Redis"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { CurrentDeadline } from "../../Deadline.ts"
import { exitAtMost, waitAtMost } from "../../unstable/Bounded.ts"
import * as Decoders from "../../unstable/Decoders.ts"
import * as Field from "../../unstable/Field.ts"
import { connectInBackground, type Connection } from "../../unstable/RedisConnection.ts"
import { isRefusal, redisReply } from "../errors/redisReply.ts"
import { left } from "../retry/deadline.ts"
import { scripts } from "./redisScripts.ts"

/** The time limits of calls to a store in Redis. */
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

/** The commands and scripts of a connection, each of which ends at a limit. */
type Bounded = Pick<Connection, "send" | "eval">

/** What a call is for, as the log says it. */
type Operation =
  | "admit a call of"
  | "record a call of"
  | "read"
  | "reset"
  | "isolate"
  | "limit"
  | "renew the probe of"

export interface SharedStore {
  /** Shortens how long a circuit stays open, to at most a duration from now. */
  readonly hold: (key: string, longest: Duration.Duration) => Effect.Effect<void>
  /**
   * Runs a call on the shared store, with the name of the circuit's key in Redis. Returns `undefined` if there is no
   * connection, the last call failed less than the retry interval ago, or this call fails.
   */
  readonly attempt: <A>(
    operation: Operation,
    key: string,
    call: (redis: Bounded, name: string) => Effect.Effect<A, Redis.RedisError>
  ) => Effect.Effect<A | undefined>
}

/**
 * How long past the deadline a caller waits for the store. An attempt that was interrupted at the deadline has no time left to
 * record its outcome; without this time the caller would not see the transition that the record causes.
 */
const grace = Duration.millis(25)

const noAnswer = new Redis.RedisError({ cause: new Error("Redis did not answer in time") })

/** A connection each of whose commands ends at a limit. node-redis has none: its own timeout ends when the command is sent. */
const limited = ({ eval: evaluate, send }: Connection, limit: Duration.Duration): Bounded => {
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

/** The most circuits whose refusal is remembered, so that it is logged once. */
const mostRefused = 1_000

/**
 * Redis on a connection that is kept in the background. Every call is bounded: a breaker admits and records uninterruptibly,
 * so a frozen Redis would otherwise block every caller.
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
  /** The session whose last call failed, and the monotonic nanosecond until which it is not called. */
  let pause: { readonly session: object; readonly until: bigint } | undefined

  /** The circuits that Redis refuses. */
  const refused = new Set<string>()

  const refusal = (operation: Operation, key: string, reply: string): Effect.Effect<void> => {
    // The connection itself warns once about a cluster, which refuses many circuits.
    if (reply === "MOVED" || refused.has(key) || refused.size >= mostRefused) return Effect.void
    refused.add(key)
    return Effect.logWarning(
      `Breaker store refused to ${operation} circuit ${key} (${reply}); using an in-process circuit for it`
    )
  }

  const note = (
    session: object,
    operation: Operation,
    key: string,
    exit: Exit.Exit<unknown, Redis.RedisError>
  ): Effect.Effect<void> =>
    Effect.clockWith((clock) => {
      const failure = Option.getOrUndefined(Exit.findErrorOption(exit))
      if (failure === undefined || isRefusal(failure)) pause = undefined
      if (failure === undefined) {
        refused.delete(key)
        return Effect.void
      }
      const reply = redisReply(failure)
      if (isRefusal(failure)) return refusal(operation, key, reply ?? "")
      pause = {
        session,
        until: clock.monotonicTimeNanosUnsafe() + Duration.toNanosUnsafe(options.retryInterval)
      }
      return connection.warnOnce(
        `Breaker store timed out or failed${reply === undefined ? "" : ` (${reply})`}; using in-process circuits`
      )
    })

  const attempt: SharedStore["attempt"] = Effect.fnUntraced(function*(operation, key, call) {
    const session = connection.session()
    const clock = yield* Clock.Clock
    if (session === undefined) return undefined
    if (pause?.session === session && clock.monotonicTimeNanosUnsafe() < pause.until) return undefined
    const noted = Effect.tap(
      Effect.exit(call(redis, options.prefix + key)),
      (exit) => note(session, operation, key, exit)
    )
    const exit = yield* waitUntilDeadline(noted)
    return exit === undefined || Exit.isFailure(exit) ? undefined : exit.value
  })
  return {
    attempt,
    hold: (key, longest) =>
      Effect.flatMap(
        attempt("limit", key, ({ eval: run }, name) => run(scripts.hold)(name, Duration.toMillis(longest))),
        (shortened) =>
          shortened === 1
            ? Effect.logWarning(
              `Circuit ${key} in the breaker store would have rejected calls for longer than its policy allows; shortened`
            )
            : Effect.void
      )
  }
})

/**
 * Waits for a call, and not past the current deadline and its grace; `undefined` if that comes first. The limits of its
 * commands bound the call itself. It continues in the background, so that an outcome at the deadline is still recorded, and
 * so that a caller without time left is no evidence against the store.
 */
const waitUntilDeadline = <A, E, R>(call: Effect.Effect<A, E, R>): Effect.Effect<A | undefined, E, R> =>
  Effect.withFiber((fiber) => {
    const until = fiber.getRef(CurrentDeadline)
    const now = fiber.getRef(Clock.Clock).monotonicTimeNanosUnsafe()
    return Effect.flatMap(
      Effect.forkDetach(Effect.interruptible(call), { startImmediately: true }),
      (running) =>
        until === undefined
          ? Fiber.join(running)
          : Effect.flatMap(
            exitAtMost(running, Duration.max(left(until, now), grace)),
            (exit): Effect.Effect<A | undefined, E> => exit._tag === "Some" ? exit.value : Effect.succeed(undefined)
          )
    )
  })
