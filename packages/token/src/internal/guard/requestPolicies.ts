import * as BreakerStore from "@keelson/core/BreakerStore"
import * as Deadline from "@keelson/core/Deadline"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Resilience from "@keelson/core/Resilience"
import type { ResiliencePolicy } from "@keelson/core/ResiliencePolicy"
import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Struct from "effect/Struct"
import type { GuardScopes, RequestTarget } from "./target.ts"

/** The policies of a guard's requests, one for each origin. */
export interface RequestPolicies {
  /** Whether the guard is closed. Its calls then fail without a policy, since the metric series are removed. */
  readonly isClosed: () => boolean
  /** The policy of one request. A redirect to another origin has no breaker: its outcome is no evidence about the API. */
  readonly of: (target: RequestTarget) => Resilience.Resilience
  /** Runs a call, with all its redirects: sets its deadline, and keeps the metric series until it has ended. */
  readonly run: <A, E, R>(call: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

/** The name of the first origin's circuit, and of requests without one. The circuit of token acquisitions is `<server>`. */
const firstName = (server: string): string => `${server}/requests`

const nameOf = (server: string, origin: string, index: number): string =>
  index === 0 ? firstName(server) : `${firstName(server)}/${origin.replace("https://", "")}`

/** Sets the deadline of an effect, which the policies of its requests obey. */
const withDeadline = <A, E, R>(self: Effect.Effect<A, E, R>, deadline: Duration.Duration): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    const now = fiber.getRef(Clock.Clock).monotonicTimeNanosUnsafe()
    const own = now + Duration.toNanosUnsafe(deadline)
    const outer = fiber.getRef(Deadline.CurrentDeadline)
    return Effect.provideService(self, Deadline.CurrentDeadline, outer === undefined || own < outer ? own : outer)
  })

/** A scope for metric series, which is closed with the scope of the guard, but not before the calls that run then have ended. */
const makeSeries = Effect.gen(function*() {
  const scope = yield* Scope.make()
  let calls = 0
  let isClosed = false
  const close = Effect.suspend(() => isClosed && calls === 0 ? Scope.close(scope, Exit.void) : Effect.void)
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      isClosed = true
      return close
    })
  )
  return {
    scope,
    isClosed: () => isClosed,
    during: <A, E, R>(call: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
      Effect.suspend(() => {
        calls++
        return Effect.ensuring(
          call,
          Effect.suspend(() => {
            calls--
            return close
          })
        )
      })
  }
})

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
  const series = yield* makeSeries
  const make = (name: string, options: Resilience.Options) =>
    Effect.andThen(
      Scope.provide(MetricSeries.removeWithServer(name), series.scope),
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
  const foreign = yield* make(firstName(server), Struct.omit(policy, ["breaker"]))
  const { deadline } = policy
  return {
    isClosed: series.isClosed,
    of: ({ isOwn, url }) => (isOwn ? byOrigin.get(url.origin) : undefined) ?? foreign,
    run: (call) => series.during(deadline === undefined ? call : withDeadline(call, deadline))
  }
})
