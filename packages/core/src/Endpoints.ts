/**
 * One service behind several endpoints: a circuit for each endpoint, and failover from one to the next.
 *
 * `deadline > hedge > failover > throttle > breaker > bulkhead > limit > retry > attempt`
 *
 * A call goes to the first endpoint whose circuit admits it, in the order of the list or by weight. If that endpoint fails, the
 * call moves to the next one, at most once to each. While the circuit of an endpoint is open, calls skip it. They use it again
 * after a successful probe.
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { AdaptiveLimit } from "./AdaptiveLimit.ts"
import * as Breaker from "./Breaker.ts"
import * as BreakerPolicy from "./BreakerPolicy.ts"
import type { BreakerStore } from "./BreakerStore.ts"
import type { Bulkhead } from "./Bulkhead.ts"
import * as Configuration from "./Configuration.ts"
import type { DeadlineExceeded } from "./Deadline.ts"
import { holdResponses } from "./internal/hedge/holdResponses.ts"
import { EndpointList, listed, type ListedEndpoint } from "./internal/resilience/endpointList.ts"
import { wrapEndpoints } from "./internal/resilience/endpointsHttp.ts"
import type { EndpointsUnavailable } from "./internal/resilience/endpointsUnavailable.ts"
import { callEndpoints, type Group, type Request, type Target } from "./internal/resilience/failover.ts"
import { anew, checker, makeHedge, makeParts, makeRetry } from "./internal/resilience/parts.ts"
import { afterPause, makeInner, makeOuter } from "./internal/resilience/pipeline.ts"
import { isDeadlineAboveAttempt } from "./internal/retry/policyChecks.ts"
import type { RetryExhausted } from "./internal/retry/retryExhausted.ts"
import type { ConfigurationError } from "./KeelsonError.ts"
import type * as Resilience from "./Resilience.ts"
import * as ResiliencePolicy from "./ResiliencePolicy.ts"
import type { RetryPolicy } from "./RetryPolicy.ts"
import type { Throttled } from "./Throttle.ts"
import type * as Decoders from "./unstable/Decoders.ts"
import * as Field from "./unstable/Field.ts"
import * as MetricSeries from "./unstable/MetricSeries.ts"

export { EndpointRejection, EndpointsUnavailable } from "./internal/resilience/endpointsUnavailable.ts"

/** The options of one endpoint. It has an `id`, a `url`, or both. */
export interface EndpointOptions {
  /** Its name in metrics and errors, and in the key of its circuit. From 1 to 100 characters. Default: the host of `url`. */
  readonly id?: string | undefined
  /** The base URL of its requests: http or https, without user, query and fragment. `http` needs it. Default none. */
  readonly url?: string | undefined
  /**
   * For `weight`: its share of the calls, relative to the sum of all weights. With 0 it gets calls only if no other endpoint
   * admits them. From 0 to 1000. Default 1.
   */
  readonly weight?: number | undefined
}

/** The options that a file or the environment may give. */
export interface DataOptions extends ResiliencePolicy.Options {
  /** The endpoints, the preferred one first: URLs, ids, or `EndpointOptions`. From 1 to 100. Required. */
  readonly endpoints: ReadonlyArray<string | EndpointOptions>
  /** Which endpoint a call begins with: the first of the list that admits it, or one drawn by weight. Default order. */
  readonly selection?: "order" | "weight" | undefined
}

/** The options that code may give. There is a breaker by default; any other part that is left out is not built. */
export interface Options extends Omit<DataOptions, "hedge" | "retry">, Pick<Resilience.Options, "hedge" | "retry"> {}

const fields = Schema.Struct({
  ...ResiliencePolicy.ResiliencePolicy.fields,
  breaker: Field.defaulted(BreakerPolicy.BreakerPolicy, BreakerPolicy.make()),
  endpoints: EndpointList,
  selection: Field.defaulted(Schema.Literals(["order", "weight"]), "order")
}).check(isDeadlineAboveAttempt)

/** Checked options. */
export const Policy: typeof fields & Decoders.Mismatch<DataOptions, typeof fields> = fields
export type Policy = typeof Policy.Type

const check = checker(Configuration.decode(Policy))

/** One endpoint. */
export interface Endpoint {
  readonly id: string
  readonly url: string | undefined
  readonly weight: number
  /** Its circuit, whose name is that of the service, a slash and the id; `undefined` if the breaker is disabled. */
  readonly breaker: Breaker.Breaker | undefined
  /** Its bulkhead, if the policy has one. */
  readonly bulkhead: Bulkhead | undefined
  /** Its adaptive limit, if the policy has one. */
  readonly limit: AdaptiveLimit | undefined
}

/** The errors of a call. */
export type Failure<E> =
  | E
  | DeadlineExceeded
  | RetryExhausted<E | DeadlineExceeded>
  | Throttled
  | EndpointsUnavailable

/** How a call ended at one endpoint. */
export type EndpointExit<A, E> = Exit.Exit<A, E | DeadlineExceeded | RetryExhausted<E | DeadlineExceeded> | Throttled>

interface Deciding<A, E> {
  /** What the circuit of the endpoint records for a call. Default `Breaker.classify`. */
  readonly classify?: ((exit: EndpointExit<A, E>, endpoint: Endpoint) => Breaker.Outcome) | undefined
  /**
   * Whether a call moves to another endpoint after it ended with this exit at one. Default: if the circuit counts it as a
   * failure, or if its error or status may be retried.
   */
  readonly failover?: ((exit: EndpointExit<A, E>, endpoint: Endpoint) => boolean) | undefined
}

/** The options of `execute`. Every one may be left out. */
export interface CallOptions<A, E> extends Deciding<A, E>, Omit<Resilience.CallOptions<A, E>, "classify" | "ignore"> {}

/** The options of `http`. Every one may be left out. */
export interface HttpCallOptions<E>
  extends Deciding<HttpClientResponse.HttpClientResponse, E>, Omit<Resilience.HttpCallOptions<E>, "classify" | "ignore">
{}

/** What `make` returns. */
export interface Endpoints {
  /** The name of the called service. It is the label `server` of every metric but those of the circuits. */
  readonly name: string
  readonly policy: Policy
  /** The endpoints in the order of the list. */
  readonly endpoints: ReadonlyArray<Endpoint>
  /**
   * Runs a call at one endpoint after the other, until one answers or the failure is final. It repeats any effect, also a
   * request with an unsafe method: use `http` for requests.
   */
  readonly execute: <A, E, R>(
    call: (endpoint: Endpoint) => Effect.Effect<A, E, R>,
    options?: CallOptions<A, E>
  ) => Effect.Effect<A, Failure<E>, R>
  /**
   * A client whose requests go to the endpoints: the base URL of each request is replaced, its path, query and headers stay.
   *
   * A request has a relative URL, or an absolute one below a listed endpoint. Any other URL fails with an `HttpClientError`
   * (`InvalidUrlError`) and is not sent. A request that must not be repeated moves to another endpoint only if nothing was
   * sent. Throws `ConfigurationError` (`INVALID_CONFIG`) if an endpoint has no URL.
   */
  readonly http: <E, R>(
    self: HttpClient.HttpClient.With<E, R>,
    options?: HttpCallOptions<E | HttpClientError.HttpClientError>
  ) => HttpClient.HttpClient.With<Failure<E | HttpClientError.HttpClientError>, R>
}

/**
 * Makes the endpoints of one service. Each has its own circuit; retries, their budget and the deadline are those of the
 * service.
 *
 * By listing an endpoint you agree that it receives everything that a request carries: tokens, cookies and bodies too. List
 * only endpoints of the same service, that you trust alike.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) if an option is out of its range. Emits `endpoint_calls_total`,
 * `endpoint_failovers_total`, `retry_attempts_total`, `errors_total` and the breakers' metrics.
 *
 * **Example** (A second endpoint answers while the first is down)
 *
 * ```ts import.meta.vitest
 * import * as BreakerStore from "@keelson/core/BreakerStore"
 * import * as Endpoints from "@keelson/core/Endpoints"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const billing = yield* Endpoints.make("billing", { endpoints: ["primary", "replica"] })
 *   return yield* billing.execute(({ id }) => id === "primary" ? Effect.fail("down") : Effect.succeed(`paid at ${id}`))
 * }).pipe(Effect.scoped, Effect.provide(BreakerStore.layerMemory))
 *
 * const result = await Effect.runPromise(program) // => "paid at replica"
 * ```
 */
export const make = Effect.fnUntraced(function*(
  name: string,
  options: Options
): Effect.fn.Return<Endpoints, ConfigurationError, BreakerStore | Scope.Scope> {
  const checked = yield* check(options)
  const { policy } = checked
  const retry = yield* makeRetry(checked, anew)
  const hedge = yield* makeHedge(name, checked, anew)
  const entries = policy.endpoints.map(listed)
  const targets = yield* Effect.forEach(entries, (entry) => makeTarget(name, policy, retry, entry))
  for (const target of targets) {
    const labels = { server: name, endpoint: target.endpoint.id }
    yield* MetricSeries.register("endpointCalls", labels, () => target.calls)
    yield* MetricSeries.register("endpointFailovers", labels, () => target.failovers)
  }
  const group: Group = {
    name,
    targets,
    isWeighted: policy.selection === "weight",
    hasGates: policy.throttle !== undefined,
    budget: retry?.budget,
    hedge
  }
  const outer = makeOuter(name, policy, undefined)
  const run = <A, E, R>(request: Request<A, E, R>): Effect.Effect<A, Failure<E>, R> =>
    outer(callEndpoints(group, request))
  const plain = { server: name, obeysOuter: true }
  const gates = new Map(targets.map(({ endpoint, gate }) => [endpoint.id, gate]))
  return {
    name,
    policy,
    endpoints: targets.map(({ endpoint }) => endpoint),
    execute: (call, options) => {
      const loop = options === undefined ? plain : { ...options, ...plain }
      return run({
        to: (endpoint) => ({ attempt: Effect.suspend(() => call(endpoint)), loop }),
        classify: options?.classify ?? Breaker.classify,
        failover: options?.failover,
        failureOf: undefined,
        discard: undefined,
        hedge: options?.hedge === false ? undefined : {},
        limits: options
      })
    },
    http: (self, options) => {
      const client = hedge === undefined ? self : holdResponses(self)
      return wrapEndpoints(client, entries, retry ?? { statuses: [] }, { ...options, server: name }, gates, run)
    }
  }
})

/** Makes the parts of one endpoint. */
const makeTarget = Effect.fnUntraced(function*(
  name: string,
  policy: Policy,
  retry: RetryPolicy<unknown, DeadlineExceeded> | undefined,
  { id, url, weight }: ListedEndpoint
): Effect.fn.Return<Target, ConfigurationError, BreakerStore | Scope.Scope> {
  const { gate, ...parts } = yield* makeParts(`${name}/${id}`, policy, retry, anew)
  const inner = makeInner(policy, { ...parts, gate })
  return {
    endpoint: { id, url, weight, breaker: parts.breaker, bulkhead: parts.bulkhead, limit: parts.limit },
    inner: gate === undefined ? inner : (self, loop, options) => afterPause(inner(self, loop, options), gate),
    gate,
    calls: 0,
    failovers: 0
  }
})
