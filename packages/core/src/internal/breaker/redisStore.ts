import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { BreakerPolicy } from "../../BreakerPolicy.ts"
import type {
  Admission,
  BreakerStore,
  Caller,
  CircuitState,
  RedisOptions,
  Rejection,
  Transition
} from "../../BreakerStore.ts"
import type { ConfigurationError } from "../../KeelsonError.ts"
import * as MetricSeries from "../../unstable/MetricSeries.ts"
import { isolated, randomOf } from "./circuit.ts"
import { type LocalStore, makeMemoryStore } from "./memoryStore.ts"
import { jitterOf } from "./openFor.ts"
import { leaseMillis, scripts } from "./redisScripts.ts"
import { makeShared, type SharedStore, storeTimes } from "./sharedStore.ts"
import type { State } from "./snapshot.ts"

/** The states as Redis has them. */
const states = { Closed: "CLOSED", Open: "OPEN", HalfOpen: "HALF_OPEN", Isolated: "ISOLATED" } as const

const stateOf = (name: string): State =>
  name === "Open" || name === "HalfOpen" || name === "Isolated" ? states[name] : "CLOSED"

const transitionsOf = (moves: string): ReadonlyArray<Transition> =>
  moves === "" ? [] : moves.split(",").map((move) => {
    const [from = "", to = ""] = move.split(" ")
    return { from: stateOf(from), to: stateOf(to) }
  })

export const makeRedisStore = Effect.fnUntraced(function*<E>(
  { prefix = "keelson:breaker:", redis, ...options }: RedisOptions<E>
): Effect.fn.Return<BreakerStore["Service"], ConfigurationError, Scope.Scope> {
  const times = yield* storeTimes.decode(options)
  const shared = yield* makeShared({ redis, prefix, ...times })
  return yield* withFallback(shared, makeMemoryStore())
})

const probing: Rejection = { _tag: "Rejected", state: "HALF_OPEN", retryAfterMillis: 0 }

/** Generations distinguish the stores: those of the local store are negative, which Redis never issues. */
const withFallback = Effect.fnUntraced(function*(shared: SharedStore, local: LocalStore) {
  let fallbacks = 0
  yield* MetricSeries.register("circuitBreakerStoreFallbacks", {}, () => fallbacks)
  /** The circuits that are known to be isolated: in Redis, or in this process because Redis could not be reached. */
  const known = new Map<string, "shared" | "local">()

  const admitLocal = (key: string, policy: BreakerPolicy, caller: Caller): Admission | Rejection => {
    fallbacks++
    const answer = local.admit(key, policy, caller)
    return answer._tag === "Rejected" ? answer : { ...answer, generation: -1 - answer.generation }
  }

  /** Renews the lease of a probe until it is released, or is gone. */
  const renewed = (key: string, generation: number): Effect.Effect<Effect.Effect<void>> => {
    const renew = shared.attempt(
      "renew the probe of",
      key,
      ({ eval: run }, name) => run(scripts.renew)(name, generation)
    )
    const loop = Effect.sleep(leaseMillis / 3).pipe(
      Effect.andThen(renew),
      Effect.catchCause(() => Effect.succeed(undefined)),
      Effect.repeat({ while: (answer) => answer !== 0 })
    )
    return Effect.map(Effect.forkDetach(Effect.interruptible(loop)), (fiber) => Effect.asVoid(Fiber.interrupt(fiber)))
  }

  const admit = (key: string, policy: BreakerPolicy, caller: Caller): Effect.Effect<Admission | Rejection, Error> =>
    Effect.flatMap(
      shared.attempt(
        "admit a call of",
        key,
        ({ eval: run }, name) => run(scripts.admit)(name, policy, jitterOf(policy, randomOf(caller)))
      ),
      (reply): Effect.Effect<Admission | Rejection> => {
        if (reply === undefined) return Effect.sync(() => admitLocal(key, policy, caller))
        const [tag, value, isProbe, moves] = reply
        if (tag === "isolated") {
          known.set(key, "shared")
          local.isolate(key, caller)
          return Effect.succeed(isolated(policy))
        }
        // Another process has reset it.
        if (known.delete(key)) local.reset(key, caller)
        if (tag === "halfopen") return Effect.succeed(probing)
        const transitions = transitionsOf(moves)
        if (tag === "open") {
          return Effect.succeed({ _tag: "Rejected", state: "OPEN", retryAfterMillis: Number(value), transitions })
        }
        const generation = Number(value)
        if (isProbe !== 1) return Effect.succeed({ _tag: "Admitted", generation, isProbe: false })
        return Effect.map(
          renewed(key, generation),
          (release) => ({ _tag: "Admitted", generation, isProbe: true, transitions, release })
        )
      }
    )

  const store: BreakerStore["Service"] = {
    admit: (key, policy, caller) => known.get(key) === "local" ? isolated(policy) : admit(key, policy, caller),
    record: (request, caller) =>
      request.generation < 0
        ? local.record({ ...request, generation: -1 - request.generation }, caller)
        : Effect.map(
          shared.attempt(
            "record a call of",
            request.key,
            ({ eval: run }, name) => run(scripts.record)(name, request, jitterOf(request.policy, randomOf(caller)))
          ),
          (moves) => transitionsOf(moves ?? "")
        ),
    state: (key, policy, caller) =>
      Effect.map(
        shared.attempt("read", key, ({ eval: run }, name) => run(scripts.state)(name, policy)),
        (reply): CircuitState => {
          if (reply === undefined || known.get(key) === "local") return local.state(key, policy, caller)
          const [state, openings, passedProbes, failedProbes, calls, failures, slow] = reply
          return {
            state: states[state],
            openings,
            passedProbes,
            failedProbes,
            window: state === "Closed" && policy.strategy !== "consecutive" ? { calls, failures, slow } : undefined
          }
        }
      ),
    reset: (key, caller) =>
      Effect.map(
        Effect.exit(shared.attempt("reset", key, ({ eval: run }, name) => run(scripts.reset)(name))),
        (exit) => {
          known.delete(key)
          const here = local.reset(key, caller)
          if (exit._tag === "Failure" || exit.value === undefined) return here
          const from = stateOf(exit.value)
          return from === "CLOSED" ? undefined : { from, to: "CLOSED" }
        }
      ),
    isolate: (key, caller) =>
      Effect.flatMap(
        Effect.exit(shared.attempt("isolate", key, ({ eval: run }, name) => run(scripts.isolate)(name))),
        (exit) => {
          const isShared = exit._tag === "Success" && exit.value !== undefined
          known.set(key, isShared ? "shared" : "local")
          const here = local.isolate(key, caller)
          if (!isShared) {
            return Effect.as(
              Effect.logWarning(`Breaker store is not reachable; circuit ${key} is isolated in this process only`),
              here
            )
          }
          const from = stateOf(exit.value)
          return Effect.succeed(from === "ISOLATED" ? undefined : { from, to: "ISOLATED" as const })
        }
      ),
    hold: (key, longest) => shared.hold(key, longest)
  }
  return store
})
