/**
 * Combined policies: a deadline around a breaker around retries around a timeout for each attempt, and the same with every part
 * that limits or hedges calls.
 */
import { Resilience } from "@keelson/core"
import {
  bulkhead,
  circuitBreaker,
  ConsecutiveBreaker,
  ExponentialBackoff,
  handleAll,
  retry,
  timeout,
  TimeoutStrategy,
  wrap
} from "cockatiel"
import { Effect, Schedule } from "effect"
import { effectBreaker, nextName } from "./breakers.ts"
import { type Call, type Contestant, shared, type Unavailable } from "./contestant.ts"

const four = {
  deadline: `${shared.deadlineMillis} millis`,
  attemptTimeout: `${shared.attemptMillis} millis`,
  retry: { maxAttempts: shared.attempts, initialDelay: "1 millis" },
  breaker: { failureThreshold: shared.failures, openDuration: "1 hour" }
} satisfies Resilience.Options

const keelson = (options: Resilience.Options) =>
  Effect.map(
    Effect.orDie(Effect.suspend(() => Resilience.make(nextName(), options))),
    ({ execute }) => (self: Effect.Effect<number, Unavailable>) => execute(self)
  )

const schedule = Schedule.upTo(Schedule.exponential("1 millis"), { times: shared.attempts - 1 })

/** The order that Effect's documentation requires: retries and attempt timeouts are inside the breaker. */
const effect = Effect.map(effectBreaker, (breaker) => {
  const key = nextName()
  return (self: Effect.Effect<number, Unavailable>) => {
    const attempts = Effect.retry(Effect.timeout(self, shared.attemptMillis), schedule)
    return Effect.timeout(breaker.execute(attempts, { key }), shared.deadlineMillis)
  }
})

/** `Aggressive` ends a call that ignores its signal, as interruption does; `Cooperative` waits for the call. */
const cockatiel = (strategy: TimeoutStrategy) =>
  Effect.sync(() => {
    const policy = wrap(
      timeout(shared.deadlineMillis, strategy),
      circuitBreaker(handleAll, { halfOpenAfter: 3_600_000, breaker: new ConsecutiveBreaker(shared.failures) }),
      retry(handleAll, {
        maxAttempts: shared.attempts - 1,
        backoff: new ExponentialBackoff({ initialDelay: 1, maxDelay: 100 })
      }),
      timeout(shared.attemptMillis, strategy)
    )
    return (call: Call) => policy.execute(call)
  })

export const wraps: ReadonlyArray<Contestant> = [
  { name: "Keelson", kind: "effect", make: keelson(four) },
  { name: "Effect", kind: "effect", make: effect },
  { name: "cockatiel", kind: "promise", make: cockatiel(TimeoutStrategy.Aggressive) },
  { name: "cockatiel, cooperative", kind: "promise", make: cockatiel(TimeoutStrategy.Cooperative) }
]

const places = 25

/** The order of cockatiel's documentation: retries outside the breaker. */
const cockatielAll = (strategy: TimeoutStrategy) =>
  Effect.sync(() => {
    const policy = wrap(
      retry(handleAll, {
        maxAttempts: shared.attempts - 1,
        backoff: new ExponentialBackoff({ initialDelay: 1, maxDelay: 100 })
      }),
      circuitBreaker(handleAll, { halfOpenAfter: 3_600_000, breaker: new ConsecutiveBreaker(shared.failures) }),
      timeout(shared.attemptMillis, strategy),
      bulkhead(places)
    )
    return (call: Call) => policy.execute(call)
  })

/** Keelson has a deadline, hedges and an adaptive limit too, for which cockatiel has nothing. */
export const allParts: ReadonlyArray<Contestant> = [
  {
    name: "Keelson",
    kind: "effect",
    make: keelson({ ...four, bulkhead: { maxConcurrent: places }, limit: {}, hedge: {} })
  },
  { name: "cockatiel", kind: "promise", make: cockatielAll(TimeoutStrategy.Aggressive) },
  { name: "cockatiel, cooperative", kind: "promise", make: cockatielAll(TimeoutStrategy.Cooperative) }
]
