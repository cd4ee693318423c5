/** Circuit breakers in memory that open for an hour at the fifth consecutive failure. */
import { Breaker } from "@keelson/core"
import { circuitBreaker, ConsecutiveBreaker, handleAll } from "cockatiel"
import { Effect } from "effect"
import { CircuitBreaker } from "effect/persistence"
import Opossum from "opossum"
import { type Call, type Contestant, shared, Unavailable } from "./contestant.ts"

const hour = 3_600_000
let made = 0

/** Returns a new name: breakers share a store, so each needs a unique name. */
export const nextName = (): string => `bench-${++made}`

const keelson = Effect.map(
  Effect.orDie(
    Effect.suspend(() => Breaker.make(nextName(), { failureThreshold: shared.failures, openDuration: "1 hour" }))
  ),
  (breaker) => (self: Effect.Effect<number, Unavailable>) => breaker.execute(self)
)

export const effectBreaker = CircuitBreaker.make({
  tripPolicy: CircuitBreaker.consecutive(shared.failures),
  openDuration: "1 hour"
})

const effect = Effect.map(effectBreaker, (breaker) => {
  const key = nextName()
  return (self: Effect.Effect<number, Unavailable>) => breaker.execute(self, { key })
})

const cockatiel = Effect.sync(() => {
  const policy = circuitBreaker(handleAll, {
    halfOpenAfter: hour,
    breaker: new ConsecutiveBreaker(shared.failures)
  })
  return (call: Call) => policy.execute(call)
})

/** opossum opens by failure rate only. Without earlier successes, the fifth failure opens it. */
const opossum = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() =>
      new Opossum((call: Call) => call(), {
        timeout: false,
        resetTimeout: hour,
        errorThresholdPercentage: 50,
        volumeThreshold: shared.failures
      })
    ),
    (breaker) => Effect.sync(() => breaker.shutdown())
  ),
  (breaker) => (call: Call) => breaker.fire(call)
)

export const breakers: ReadonlyArray<Contestant> = [
  { name: "Keelson", kind: "effect", make: keelson },
  { name: "Effect", kind: "effect", make: effect },
  { name: "cockatiel", kind: "promise", make: cockatiel },
  { name: "opossum", kind: "promise", make: opossum }
]

/** The same breakers with circuits already opened by failures. */
export const opened: ReadonlyArray<Contestant> = breakers.map((contestant) =>
  contestant.kind === "effect"
    ? {
      ...contestant,
      make: Effect.tap(contestant.make, (policy) => times(Effect.ignore(policy(Effect.fail(new Unavailable())))))
    }
    : {
      ...contestant,
      make: Effect.tap(contestant.make, (policy) =>
        times(Effect.ignore(Effect.tryPromise(() => policy(() => Promise.reject(new Unavailable()))))))
    }
)

const times = (failure: Effect.Effect<void>): Effect.Effect<void> =>
  Effect.forEach(Array.from({ length: shared.failures }), () => failure, { discard: true })
