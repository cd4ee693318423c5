/**
 * All protections for calls to one service, in a fixed order:
 *
 * `deadline > throttle > hedge > breaker > bulkhead > limit > retry > attempt`
 *
 * The breaker sees one outcome for each execution, for any number of attempts; a call that the bulkhead or the limit rejects is
 * no evidence for it. Attempts are interrupted inside the breaker, after the attempt timeout or at the deadline (the policy's,
 * or one around the call by `Deadline.within`), whichever is sooner. So a service that hangs opens the circuit.
 */
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import type * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { AdaptiveLimit, LimitExceeded, Priority } from "./AdaptiveLimit.ts"
import type * as Breaker from "./Breaker.ts"
import type { BreakerStore } from "./BreakerStore.ts"
import type { Bulkhead, BulkheadFull } from "./Bulkhead.ts"
import type { DeadlineExceeded } from "./Deadline.ts"
import type * as Hedge from "./Hedge.ts"
import { anew, check } from "./internal/resilience/parts.ts"
import { makeResilience } from "./internal/resilience/pipeline.ts"
import { makeReloadable } from "./internal/resilience/reload.ts"
import type { HttpOptions } from "./internal/retry/httpAttempt.ts"
import type { RetryExhausted } from "./internal/retry/retryExhausted.ts"
import type { ConfigurationError } from "./KeelsonError.ts"
import type * as ResiliencePolicy from "./ResiliencePolicy.ts"
import type { Options as RetryOptions } from "./Retry.ts"
import type * as RetryBudget from "./RetryBudget.ts"
import type { Throttle, Throttled } from "./Throttle.ts"

/** The errors of a call made by `execute`. */
export type Failure<E> =
  | E
  | Breaker.CircuitOpen
  | BulkheadFull
  | LimitExceeded
  | Throttled
  | DeadlineExceeded
  | RetryExhausted<E | DeadlineExceeded>

/** The retries of a policy given in code. */
export interface RetryPolicyOptions extends Omit<ResiliencePolicy.RetryOptions, "budget"> {
  /** A budget shared with other services, or the options of one for this service. Default none. */
  readonly budget?: RetryBudget.RetryBudget | RetryBudget.Options | undefined
}

/** The options of a policy given in code. A part that is left out is not there. */
export interface Options extends Omit<ResiliencePolicy.Options, "hedge" | "retry"> {
  /** Retries; `{}` for the defaults of a retry policy. Without it there is one attempt. Default none. */
  readonly retry?: RetryPolicyOptions | undefined
  /**
   * A second execution beside a call that takes long; `{}` for the defaults of a hedge policy. Without it there is none.
   * Default none.
   */
  readonly hedge?: Hedge.Options | undefined
}

/** The options of a call that bulkhead and limit use. */
interface LimitOptions {
  /** The group that the call counts in at the bulkhead, such as a tenant. Calls without a key are one group. Default none. */
  readonly bulkheadKey?: string | undefined
  /** The priority of the call in the queue of the limit. Default normal. */
  readonly priority?: Priority | undefined
}

/** The options of `execute`. Every one may be left out. */
export interface CallOptions<A, E>
  extends LimitOptions, Pick<RetryOptions<E>, "failureClass" | "onRetry" | "retryAfter" | "while">
{
  /** Whether the call may be hedged: made twice at the same time. Default true, if the policy has hedges. */
  readonly hedge?: boolean | undefined
  /** What the breaker records for a call. Default: decided by the catalogue code of the error. */
  readonly classify?: Breaker.CallOptions<A, Failure<E>>["classify"]
  /** Which errors the breaker does not count. Default none. */
  readonly ignore?: Breaker.CallOptions<A, Failure<E>>["ignore"]
}

/** The options of `http`: those of `HttpRetry`, and those of the breaker. Every one may be left out. */
export interface HttpCallOptions<E> extends LimitOptions, Omit<HttpOptions, "server"> {
  /**
   * Which requests with an unsafe method may be hedged. The server may carry out both, at the same time and in any order.
   * Default none: only safe methods are (RFC 9110, 9.2.1).
   */
  readonly hedgeUnsafe?: ((request: HttpClientRequest.HttpClientRequest) => boolean) | undefined
  /** What the breaker records for a call. Default: decided by status and catalogue code. */
  readonly classify?: CallOptions<HttpClientResponse.HttpClientResponse, E>["classify"]
  /** Which errors the breaker does not count. Default none. */
  readonly ignore?: CallOptions<HttpClientResponse.HttpClientResponse, E>["ignore"]
}

/** What `make` returns. */
export interface Resilience {
  /** The name of the called service. It is the key of the circuit and the label `server` of every metric. */
  readonly name: string
  readonly policy: ResiliencePolicy.ResiliencePolicy
  /** The breaker, if the policy has one. */
  readonly breaker: Breaker.Breaker | undefined
  /** The bulkhead, if the policy has one. */
  readonly bulkhead: Bulkhead | undefined
  /** The adaptive limit, if the policy has one. */
  readonly limit: AdaptiveLimit | undefined
  /** The hedge, if the policy has one. */
  readonly hedge: Hedge.Hedge | undefined
  /** The throttle, if the policy has one. */
  readonly throttle: Throttle | undefined
  /**
   * Runs a call under the policy. Failures are counted in `errors_total`. It repeats and hedges any effect, also a request
   * with an unsafe method: use `http` for requests.
   */
  readonly execute: <A, E, R>(
    self: Effect.Effect<A, E, R>,
    options?: CallOptions<A, E>
  ) => Effect.Effect<A, Failure<E>, R>
  /** A client whose requests run under the policy, with the retries of `HttpRetry`. */
  readonly http: <E, R>(
    self: HttpClient.HttpClient.With<E, R>,
    options?: HttpCallOptions<E | HttpClientError.HttpClientError>
  ) => HttpClient.HttpClient.With<Failure<E | HttpClientError.HttpClientError>, R>
}

/**
 * Makes all protections for calls to one service, from one policy. Nothing is built for a part that is left out.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) if an option is out of its range. Emits `retry_attempts_total`,
 * `errors_total` and the metrics of the parts.
 *
 * **Example** (A deadline, a breaker and retries around a call)
 *
 * ```ts import.meta.vitest
 * import * as BreakerStore from "@keelson/core/BreakerStore"
 * import * as Resilience from "@keelson/core/Resilience"
 * import * as Effect from "effect/Effect"
 *
 * let calls = 0
 * const flaky = Effect.suspend(() => ++calls < 3 ? Effect.fail("busy") : Effect.succeed("paid"))
 *
 * const program = Effect.gen(function*() {
 *   const billing = yield* Resilience.make("billing", {
 *     deadline: "2 seconds",
 *     retry: { maxAttempts: 3, initialDelay: "1 millis" },
 *     breaker: { failureThreshold: 5 }
 *   })
 *   return yield* billing.execute(flaky)
 * }).pipe(Effect.scoped, Effect.provide(BreakerStore.layerMemory))
 *
 * const result = await Effect.runPromise(program) // => "paid"
 * ```
 */
export const make = Effect.fnUntraced(function*(
  name: string,
  options: Options
): Effect.fn.Return<Resilience, ConfigurationError, BreakerStore | Scope.Scope> {
  return yield* makeResilience(name, yield* check(options), anew)
})

/** How `reloadable` has applied the policies that it received. */
export interface ReloadStatus<out E> {
  /** Policies that took effect, the first one included. */
  readonly applied: number
  /** Policies that were invalid, or could not be read. */
  readonly rejected: number
  /** Why the newest policy is not in effect; `undefined` if it is. */
  readonly rejection: E | undefined
  /** Replaced policies that still have running calls. */
  readonly draining: number
  /** Parts of replaced policies (breakers, budgets and so on) that were closed after their last call. */
  readonly disposed: number
  /** Whether further policies may come: `failed` if the stream failed, whose error is the `rejection`. */
  readonly source: "open" | "ended" | "failed"
}

/** A `Resilience` whose policy can change. `policy` and `breaker` are those of the next call. */
export interface Reloadable<out E> extends Resilience {
  readonly status: Effect.Effect<ReloadStatus<E>>
}

/**
 * Makes a `Resilience` whose policy is replaced, while calls run, by each new one of a stream. The first policy of the stream
 * is awaited, so put the current one first.
 *
 * A new policy applies to new calls; a running call keeps the policy that it began with. Circuits stay as they are.
 * Other parts keep their state (budget, bulkhead, limit) if their options are equal; else the old part is closed after its
 * last call. An invalid policy, or a `Result` that failed, changes nothing: the last valid policy stays, a warning is logged,
 * and `status` and `policy_reloads_total` say so. If the stream ends or fails, its last policy stays.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`, or `CONFIG_MISSING` for a stream without policies), or with the error of
 * the stream, if there is no first policy. Emits `policy_reloads_total`, `policies_draining` and
 * `policy_parts_disposed_total` while its scope is open.
 *
 * **Example** (A policy that operators change)
 *
 * ```ts import.meta.vitest
 * import * as BreakerStore from "@keelson/core/BreakerStore"
 * import * as Resilience from "@keelson/core/Resilience"
 * import * as Effect from "effect/Effect"
 * import * as Stream from "effect/Stream"
 *
 * const policies = Stream.make<Array<Resilience.Options>>({ deadline: "2 seconds" }, { deadline: "-1 second" })
 *
 * const program = Effect.gen(function*() {
 *   const billing = yield* Resilience.reloadable("billing", policies)
 *   yield* Effect.yieldNow
 *   return yield* billing.status
 * }).pipe(Effect.scoped, Effect.provide(BreakerStore.layerMemory))
 *
 * const status = await Effect.runPromise(program)
 * const facts = [status.applied, status.rejected, status.rejection?.code] // => [1, 1, "INVALID_CONFIG"]
 * ```
 */
export const reloadable: {
  <E2, R>(
    name: string,
    policies: Stream.Stream<Options, E2, R>
  ): Effect.Effect<Reloadable<E2 | ConfigurationError>, E2 | ConfigurationError, BreakerStore | Scope.Scope | R>
  <E, E2, R>(
    name: string,
    policies: Stream.Stream<Options | Result.Result<Options, E>, E2, R>
  ): Effect.Effect<
    Reloadable<E | E2 | ConfigurationError>,
    E | E2 | ConfigurationError,
    BreakerStore | Scope.Scope | R
  >
} = makeReloadable
