/**
 * Several stores with the same objects as one: a circuit for each, and failover to the next one before the head of a response.
 *
 * A request goes to the first replica whose circuit admits it. If the replica cannot be reached, does not answer in time, or answers
 * with 429 or a status of 500 and more, the next one is asked. Any other status is the answer, such as 403, 404, 412 and 416. The
 * health of a replica is known from the requests alone: after a while, an open circuit lets one of them through, and traffic returns
 * if that succeeds.
 */
import type { BreakerStore } from "@keelson/core/BreakerStore"
import * as Configuration from "@keelson/core/Configuration"
import * as Endpoints from "@keelson/core/Endpoints"
import type { ConfigurationError } from "@keelson/core/KeelsonError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type Group, ReplicaCall } from "./internal/replicas/replicaCall.ts"
import { Watchdog } from "./internal/store/watchdog.ts"
import type { ObjectStore } from "./ObjectStore.ts"
import * as ReplicasOptions from "./ReplicasOptions.ts"

/** One of the stores. */
export interface NamedStore {
  /** Its name in the metrics of its circuit. Default its number, from 0. */
  readonly name?: string | undefined
  readonly store: ObjectStore
}

const decode = Configuration.decode(ReplicasOptions.Replicas)

/** Opens at half of the requests, which also catches a store that fails every other request. */
const breaker = {
  strategy: "timeWindow",
  windowDuration: "30 seconds",
  minimumCalls: 10,
  failureRatio: 0.5,
  openDuration: "10 seconds"
} as const

/** For a single replica: failures that end soon. */
const retry = {
  maxAttempts: 2,
  initialDelay: "50 millis",
  maxDelay: "1 second",
  budget: { ratio: 0.1, minPerSecond: 1 }
} as const

/**
 * Makes one store of several. `name` is the label `server` of the metrics, and the beginning of the names of the circuits.
 *
 * A body that cannot be read again (`StoreBody.isRepeatable`) is sent to one replica only, once any of it was read. A failed response
 * that no replica had a better one for goes to the caller without its body. If no circuit admits a request, it fails with `rejected`.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 *
 * **Example** (The second replica answers)
 *
 * ```ts import.meta.vitest
 * import { BreakerStore } from "@keelson/core"
 * import { ObjectStore, Replicas } from "@keelson/gateway"
 * import { Effect } from "effect"
 *
 * const answering = (status: number): ObjectStore.ObjectStore => ({
 *   dispatch: (_, handler) => {
 *     handler.onHead({ status, headers: {}, replica: 0 })
 *     handler.onEnd()
 *     return { resume: () => {}, abort: () => {} }
 *   }
 * })
 *
 * const program = Effect.gen(function*() {
 *   const store = yield* Replicas.make("products", [{ store: answering(503) }, { store: answering(200) }])
 *   return yield* Effect.callback<ObjectStore.StoreHead>((resume) => {
 *     store.dispatch({ method: "GET", key: "a", headers: {} }, {
 *       onHead: (head) => resume(Effect.succeed(head)),
 *       onData: () => true,
 *       onEnd: () => {},
 *       onFailure: (failure) => resume(Effect.die(failure))
 *     })
 *   })
 * }).pipe(Effect.scoped, Effect.provide(BreakerStore.layerMemory))
 *
 * const { replica, status } = await Effect.runPromise(program)
 * const answer = [status, replica] // => [200, 1]
 * ```
 */
export const make = Effect.fnUntraced(
  function*(
    name: string,
    stores: ReadonlyArray<NamedStore>,
    options: ReplicasOptions.Options = {}
  ): Effect.fn.Return<ObjectStore, ConfigurationError, BreakerStore | Scope.Scope> {
    const policy = yield* decode(options)
    const named = stores.map(({ name, store }, index) => [name ?? String(index), { store, index }] as const)
    const endpoints = yield* Endpoints.make(name, {
      endpoints: named.map(([id]) => ({ id })),
      breaker: policy.breaker ?? breaker,
      retry: policy.retry ?? (stores.length === 1 ? retry : undefined)
    })
    const watchdog = new Watchdog(Duration.toMillis(Duration.min(policy.failoverAfter, policy.deadline)))
    yield* watchdog.run
    const group: Group = {
      endpoints,
      replicas: new Map(named),
      watchdog,
      limits: { failover: watchdog.ticksOf(policy.failoverAfter), deadline: watchdog.ticksOf(policy.deadline) },
      fork: Effect.runForkWith(yield* Effect.context())
    }
    return { dispatch: (request, handler) => new ReplicaCall(group, request, handler).start() }
  }
)
