import * as BreakerStore from "@keelson/core/BreakerStore"
import * as Deadline from "@keelson/core/Deadline"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Resilience from "@keelson/core/Resilience"
import type { ResiliencePolicy } from "@keelson/core/ResiliencePolicy"
import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Struct from "effect/Struct"
import type { GuardScopes, RequestTarget } from "./target.ts"

/** The policies of a guard's requests, one for each origin. */
export interface RequestPolicies {
  /** Whether the guard is closed. Its calls fail without a policy, whose series are removed. */
  readonly isClosed: () => boolean
  /** The policy of one request. A redirect to another origin than the guard's has no breaker: it says nothing about the API. */
  readonly of: (target: RequestTarget) => Resilience.Resilience
  /** Sets the deadline of a call, with all its redirects. */
  readonly withDeadline: <A, E, R>(call: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

/** Circuits go by name. That of the acquisitions is the server's, and that of the first origin `<server>/requests`. */
const nameOf = (server: string, origin: string, index: number): string =>
  index === 0 ? `${server}/requests` : `${server}/requests/${origin.replace(/^https:\/\//, "")}`

/** The policies live in the scope. */
export const makeRequestPolicies: (
  server: string,
  policy: ResiliencePolicy,
  scopes: GuardScopes,
  store: BreakerStore.BreakerStore["Service"]
) => Effect.Effect<RequestPolicies, KeelsonError.ConfigurationError, Scope.Scope> = Effect.fnUntraced(function*(
  server,
  policy,
  { list },
  store
) {
  const make = (name: string, options: Resilience.Options) =>
    Effect.andThen(
      MetricSeries.removeWithServer(name),
      Effect.provideService(Resilience.make(name, options), BreakerStore.BreakerStore, store)
    )
  const origins = Array.from(new Set(list.map(({ origin }) => origin)))
  const byOrigin = new Map(
    yield* Effect.forEach(
      origins,
      (origin, index) =>
        Effect.map(make(nameOf(server, origin, index), policy), (resilience) => [origin, resilience] as const)
    )
  )
  const foreign = yield* make(nameOf(server, "", 0), Struct.omit(policy, ["breaker"]))
  const { deadline } = policy
  let isClosed = false
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      isClosed = true
    })
  )
  return {
    isClosed: () => isClosed,
    of: ({ isOwn, url }) => (isOwn ? byOrigin.get(url.origin) : undefined) ?? foreign,
    withDeadline: (call) =>
      deadline === undefined ? call : Effect.withFiber((fiber) => {
        const now = fiber.getRef(Clock.Clock).monotonicTimeNanosUnsafe()
        const own = now + Duration.toNanosUnsafe(deadline)
        const outer = fiber.getRef(Deadline.CurrentDeadline)
        return Effect.provideService(call, Deadline.CurrentDeadline, outer === undefined || own < outer ? own : outer)
      })
  }
})
