/**
 * Hedged calls: if a call takes longer than most, the same call is made once more, and the first answer is used.
 *
 * A hedge shortens the slowest calls at the price of a few more calls, which a budget bounds. Only calls that may be made
 * twice at the same time can be hedged: over HTTP these are the safe methods.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Predicate from "effect/Predicate"
import * as Scope from "effect/Scope"
import * as Configuration from "./Configuration.ts"
import { CurrentDeadline } from "./Deadline.ts"
import * as HedgePolicy from "./HedgePolicy.ts"
import { hedgedCall, type Owner } from "./internal/hedge/hedgedCall.ts"
import { hedgeHttp } from "./internal/hedge/hedgeHttp.ts"
import { Latencies } from "./internal/hedge/latencies.ts"
import { fromPolicy, isRetryBudget } from "./internal/retry/budget.ts"
import { CurrentExecution } from "./internal/retry/execution.ts"
import type { ConfigurationError } from "./KeelsonError.ts"
import type * as RetryBudget from "./RetryBudget.ts"
import * as MetricSeries from "./unstable/MetricSeries.ts"

/** The options of a hedge given in code. Every one may be left out. */
export interface Options extends Omit<HedgePolicy.Options, "budget"> {
  /**
   * A budget shared with other policies, such as that of the retries, or the options of one for this hedge. Without it the
   * share is 0.05, and at least 1 hedge per second. Default none.
   */
  readonly budget?: RetryBudget.RetryBudget | RetryBudget.Options | undefined
}

/** The options of `execute`. Every one may be left out. */
export interface CallOptions<A, E> {
  /** Whether the hedge with this number may be made; called when its delay has passed. Default always. */
  readonly when?: ((hedge: number) => boolean) | undefined
  /** Which answers are used at once. Any other answer is used only if no other execution gives a better one. Default all. */
  readonly accept?: ((answer: A) => boolean) | undefined
  /** Releases what an outcome that is not used holds. Default none. */
  readonly discard?: ((unused: Exit.Exit<A, E>) => Effect.Effect<void>) | undefined
}

/** The options of `http`. Every one may be left out. */
export interface HttpOptions<E, R> {
  /**
   * Which requests with an unsafe method may be hedged. The server may carry out both, at the same time and in any order.
   * Default none.
   */
  readonly allowUnsafe?: ((request: HttpClientRequest.HttpClientRequest) => boolean) | undefined
  /** The client of the hedge with this number, such as one of another endpoint. Default: the same client. */
  readonly clientOf?: ((hedge: number) => HttpClient.HttpClient.With<E, R> | undefined) | undefined
}

/** What a hedge has done in this process. */
export interface Snapshot {
  readonly calls: number
  /** Executions beyond the first one of a call. */
  readonly hedges: number
  /** Calls that a hedge answered. */
  readonly wins: number
  /** Hedges that were not made because the budget was spent. */
  readonly budgetSpent: number
  /** The time to wait before a hedge; `undefined` while there are too few answers to know it. */
  readonly delay: Duration.Duration | undefined
}

/** What `make` returns. */
export interface Hedge {
  /** The name of the called service. It is the label `server` of every metric. */
  readonly name: string
  readonly policy: HedgePolicy.HedgePolicy
  /**
   * Runs a call, and runs it again beside itself each time that the delay passes without an answer. It hedges any effect: use
   * `http` for requests. A function receives the number of the hedge, 0 for the first execution.
   *
   * The first success is the answer. A failure waits for the executions that still run; if all fail, the call fails with the
   * first error that is evidence about the service, else with the first error. A defect ends the call. Losers are interrupted
   * when the answer is there, and the caller does not wait for their finalizers; what they acquired in the caller's scope is
   * released. Interrupting the caller interrupts all executions and waits for them.
   */
  readonly execute: <A, E, R>(
    self: Effect.Effect<A, E, R> | ((hedge: number) => Effect.Effect<A, E, R>),
    options?: CallOptions<A, E>
  ) => Effect.Effect<A, E, R>
  /**
   * A client whose requests are hedged if their method is safe (RFC 9110, 9.2.1) and their body is not a stream. The first
   * response with a status below 500, except 408 and 429, is the answer. Responses that are not returned are cancelled.
   */
  readonly http: <E, R>(
    self: HttpClient.HttpClient.With<E, R>,
    options?: HttpOptions<E, R>
  ) => HttpClient.HttpClient.With<E, R>
  readonly snapshot: Effect.Effect<Snapshot>
}

/** A twentieth of the calls: as many as the default quantile of 0.95 selects. */
const defaultBudget: RetryBudget.Policy = { ratio: 0.05, minPerSecond: 1, window: Duration.seconds(10) }

/** A budget that several parts share, and the options that are data. Callers in JavaScript may give anything. */
const apart = (options: Options): { readonly data: unknown; readonly shared: RetryBudget.RetryBudget | undefined } => {
  if (!Predicate.hasProperty(options, "budget") || !isRetryBudget(options.budget)) {
    return { data: options, shared: undefined }
  }
  const { budget: shared, ...data } = options
  return { data, shared }
}

/**
 * Makes a hedge for calls to one service.
 *
 * Put it around the breaker, the bulkhead and the retries, and inside the deadline: each hedge is one more execution of what
 * is inside. It makes no hedge after the current deadline, none beyond `maxAttempts` of retries with the same name as
 * `server`, and none while its budget is spent.
 *
 * Emits `hedges_total`, `hedge_wins_total` and `hedge_budget_spent_total` while its scope is open. Fails with
 * `ConfigurationError` (`INVALID_CONFIG`) if an option is out of its range.
 *
 * **Example** (The second execution answers first)
 *
 * ```ts import.meta.vitest
 * import * as Hedge from "@keelson/core/Hedge"
 * import * as Effect from "effect/Effect"
 *
 * let calls = 0
 * const search = Effect.suspend(() => ++calls === 1 ? Effect.never : Effect.succeed("found"))
 *
 * const program = Effect.gen(function*() {
 *   const hedge = yield* Hedge.make("search", { delay: "5 millis" })
 *   return yield* hedge.execute(search)
 * })
 *
 * const result = await Effect.runPromise(Effect.scoped(program)) // => "found"
 * ```
 */
export const make = Effect.fnUntraced(function*(
  name: string,
  options: Options = {}
): Effect.fn.Return<Hedge, ConfigurationError, Scope.Scope> {
  const { data, shared } = apart(options)
  const policy = yield* Configuration.decode(HedgePolicy.HedgePolicy)(data)
  const { delay: fixed, enabled, maxHedges, minDelay, minimumCalls } = policy
  const budget = shared ?? fromPolicy(policy.budget ?? defaultBudget)
  const fixedNanos = fixed && Duration.toNanosUnsafe(fixed)
  const latencies = fixed === undefined ? new Latencies(policy.windowSize, policy.quantile) : undefined
  const counts = { calls: 0, hedges: 0, wins: 0, budgetSpent: 0 }
  const owner: Owner = {
    name,
    maxHedges,
    budget,
    counts,
    scope: yield* Scope.Scope,
    answered: latencies === undefined ? () => {} : (nanos) => latencies.add(Number(nanos))
  }
  if (enabled) {
    yield* MetricSeries.register("hedges", { server: name }, () => counts.hedges)
    yield* MetricSeries.register("hedgeWins", { server: name }, () => counts.wins)
    yield* MetricSeries.register("hedgeBudgetSpent", { server: name }, () => counts.budgetSpent)
  }
  const least = Duration.toNanosUnsafe(minDelay)

  /** The delay before a hedge, in nanoseconds. */
  const delayNanos = (): bigint | undefined => {
    if (latencies === undefined) return fixedNanos
    if (latencies.count < minimumCalls) return undefined
    const seen = BigInt(Math.ceil(latencies.quantile()))
    return seen < least ? least : seen
  }

  /** A call that cannot be hedged. Its latency still counts. */
  const alone = <A, E, R>(self: Effect.Effect<A, E, R>, clock: Clock.Clock, began: bigint): Effect.Effect<A, E, R> => {
    const timed = latencies === undefined ? self : Effect.map(self, (value) => {
      owner.answered(clock.monotonicTimeNanosUnsafe() - began)
      return value
    })
    // The retries inside may have the same budget, in which the call is already counted.
    return shared === undefined ? timed : Effect.provideService(timed, CurrentExecution, {
      server: name,
      number: 0,
      attempts: { made: 1, most: Infinity },
      budget
    })
  }

  const execute: Hedge["execute"] = (self, options) => {
    const isEffect = Effect.isEffect(self)
    if (!enabled) return isEffect ? self : Effect.suspend(() => self(0))
    const execution = isEffect ? () => self : self
    return Effect.withFiber((fiber) => {
      const clock = fiber.getRef(Clock.Clock)
      const began = clock.monotonicTimeNanosUnsafe()
      counts.calls++
      budget.deposit(began)
      const delay = delayNanos()
      const until = fiber.getRef(CurrentDeadline)
      if (delay === undefined || (until !== undefined && until - began <= delay)) {
        return alone(execution(0), clock, began)
      }
      return hedgedCall(owner, { execution, options, clock, delay: Duration.nanos(delay), began, until })
    })
  }

  return {
    name,
    policy,
    execute,
    http: (self, options) => hedgeHttp(execute, self, options),
    snapshot: Effect.sync(() => {
      const delay = delayNanos()
      return { ...counts, delay: delay === undefined ? undefined : Duration.nanos(delay) }
    })
  }
})
