import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Predicate from "effect/Predicate"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type { Outcome } from "../../Breaker.ts"
import { CurrentDeadline, type DeadlineExceeded } from "../../Deadline.ts"
import type { Endpoint } from "../../Endpoints.ts"
import { codeInfo, statusCode } from "../../ErrorCode.ts"
import type { CallOptions as HedgeOptions, Hedge } from "../../Hedge.ts"
import type { RetryBudget } from "../../RetryBudget.ts"
import * as MetricSeries from "../../unstable/MetricSeries.ts"
import { CircuitOpen } from "../breaker/circuitOpen.ts"
import { classify as byCatalogue } from "../breaker/outcome.ts"
import { evidenceOf } from "../errors/evidence.ts"
import { withoutStack } from "../errors/withoutStack.ts"
import { BulkheadFull } from "../limit/bulkheadFull.ts"
import { LimitExceeded } from "../limit/limitExceeded.ts"
import type { Gate } from "../retry/gate.ts"
import { RetryExhausted } from "../retry/retryExhausted.ts"
import type { LoopOptions } from "../retry/retryLoop.ts"
import { Throttled } from "../retry/throttled.ts"
import { Ended } from "./ended.ts"
import { EndpointsUnavailable } from "./endpointsUnavailable.ts"
import type { Inner, Telling } from "./pipeline.ts"

/** An endpoint with its own parts and counts. */
export interface Target {
  readonly endpoint: Endpoint
  readonly inner: Inner
  /** Closed while the endpoint asks its callers to wait. */
  readonly gate: Gate<Throttled> | undefined
  /** Calls sent to it. */
  calls: number
  /** Calls that moved to another endpoint. */
  failovers: number
}

/** The error of a part that rejected a call before anything was sent. */
type Rejection = CircuitOpen | BulkheadFull | LimitExceeded | Throttled

const isRejection = (error: unknown): error is Rejection =>
  error instanceof CircuitOpen || error instanceof BulkheadFull || error instanceof LimitExceeded ||
  error instanceof Throttled

/** What a call to an endpoint can fail with. */
type Sent<E> = E | DeadlineExceeded | RetryExhausted<E | DeadlineExceeded> | Throttled

/** A call to one endpoint, and the options of its retry loop. */
interface Attempt<A, E, R> {
  readonly attempt: Effect.Effect<A, E, R>
  readonly loop: LoopOptions<E, never>
}

/** A call for any of the endpoints. */
export interface Request<A, E, R> {
  /** Makes the call to one endpoint. */
  readonly to: (endpoint: Endpoint) => Attempt<A, E, R>
  readonly classify: (exit: Exit.Exit<A, Sent<E>>, endpoint: Endpoint) => Outcome
  /** Whether a failed call moves to another endpoint. Default: `isElsewhere`. */
  readonly failover: ((exit: Exit.Exit<A, Sent<E>>, endpoint: Endpoint) => boolean) | undefined
  /** The failure that a value stands for, as a response with a status does. */
  readonly failureOf: ((value: A) => E) | undefined
  /** Releases a response that is not returned. */
  readonly discard: ((exit: Exit.Exit<A, Sent<E>>) => Effect.Effect<void>) | undefined
  /** How the call is hedged; `undefined` if it is not. */
  readonly hedge: HedgeOptions<A, Sent<E> | EndpointsUnavailable> | undefined
  /** The options that bulkhead and limit use. */
  readonly limits: Pick<Telling<A, E>, "bulkheadKey" | "priority"> | undefined
}

/** What the calls for one name have in common. */
export interface Group {
  readonly name: string
  readonly targets: ReadonlyArray<Target>
  readonly isWeighted: boolean
  readonly hasGates: boolean
  readonly budget: RetryBudget | undefined
  readonly hedge: Hedge | undefined
}

/** The error of a failed call; for a retry that gave up, its last one. */
const lastError = (exit: Exit.Exit<unknown, unknown>): unknown => {
  const error = errorIn(exit)
  return error instanceof RetryExhausted ? error.error : error
}

const errorIn = (exit: Exit.Exit<unknown, unknown>): unknown =>
  Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined

/** Whether another endpoint may do better: the endpoint is at fault, or throttles. */
const isElsewhere = <A, E>(exit: Exit.Exit<A, E>, outcome: Outcome): boolean => {
  if (outcome._tag === "Failure") return true
  if (Exit.isFailure(exit)) return evidenceOf(errorIn(exit))?.retryable === true
  const value: unknown = exit.value
  const code =
    Predicate.hasProperty(value, "~effect/http/HttpClientResponse") && Predicate.hasProperty(value, "status") &&
      typeof value.status === "number"
      ? statusCode(value.status)
      : undefined
  return code !== undefined && codeInfo[code].retryable
}

/** One call, which each endpoint gets at most once. Its hedges share it, so that each goes to another endpoint. */
class Call<A, E, R> {
  readonly #group: Group
  readonly #request: Request<A, E, R>
  readonly #fiber: Fiber.Fiber<unknown, unknown>
  /** The endpoints that did not get the call yet; `undefined` as long as only the order counts. */
  #left: Array<Target> | undefined
  #next = 0
  readonly #rejections: Array<{ readonly endpoint: string; readonly error: Rejection }> = []

  constructor(group: Group, request: Request<A, E, R>, fiber: Fiber.Fiber<unknown, unknown>) {
    this.#group = group
    this.#request = request
    this.#fiber = fiber
    this.#left = group.isWeighted || group.hasGates ? [...group.targets] : undefined
  }

  get #hasNext(): boolean {
    return this.#left === undefined ? this.#next < this.#group.targets.length : this.#left.length > 0
  }

  /** Whether there is a next endpoint that does not ask its callers to wait: a call that was sent once does not wait again. */
  get #hasOpen(): boolean {
    return this.#left !== undefined && this.#group.hasGates
      ? this.#left.some((target) => !this.#isPaused(target))
      : this.#hasNext
  }

  /** The next endpoint: one that asks its callers to wait only if all do. */
  #take(): Target | undefined {
    if (this.#left === undefined) return this.#group.targets[this.#next++]
    const open = this.#group.hasGates ? this.#left.filter((target) => !this.#isPaused(target)) : this.#left
    const targets = open.length === 0 ? this.#left : open
    const target = this.#group.isWeighted
      ? targets[draw(targets, this.#fiber.getRef(Random.Random).nextDoubleUnsafe())]
      : targets[0]
    if (target !== undefined) this.#left.splice(this.#left.indexOf(target), 1)
    return target
  }

  #isPaused({ gate }: Target): boolean {
    return gate?.isClosed(this.#fiber.getRef(Clock.Clock).monotonicTimeNanosUnsafe()) === true
  }

  /** Starts the call, or one of its hedges, which count from 1. More hedges than endpoints begin again at the first. */
  start(hedge: number): Effect.Effect<A, Sent<E> | EndpointsUnavailable, R> {
    const target = this.#take() ?? this.#group.targets[hedge % this.#group.targets.length]
    return this.#run(target, undefined)
  }

  #run(
    target: Target | undefined,
    before: Ended<A, Sent<E>> | undefined
  ): Effect.Effect<A, Sent<E> | EndpointsUnavailable, R> {
    if (target === undefined) return this.#giveUp(before)
    const { classify, limits, to } = this.#request
    const { endpoint } = target
    const { attempt, loop } = to(endpoint)
    let isSent = false
    const self = Effect.suspend(() => {
      if (isSent) return attempt
      isSent = true
      target.calls++
      return before === undefined ? attempt : Effect.andThen(before.replaced, attempt)
    })
    const call = target.inner(self, loop, {
      bulkheadKey: limits?.bulkheadKey,
      priority: limits?.priority,
      // oxlint-disable-next-line no-unsafe-type-assertion -- a rejection after the call was sent is the call's own error
      classify: (exit) => isSent ? classify(exit as Exit.Exit<A, Sent<E>>, endpoint) : byCatalogue(exit)
    })
    const run = Effect.matchCauseEffect(call, {
      onSuccess: (value) => this.#ended(target, loop, Exit.succeed(value)),
      onFailure: (cause): Effect.Effect<A, Sent<E> | EndpointsUnavailable, R> => {
        const found = Cause.findError(cause)
        if (Result.isFailure(found)) return Effect.failCause(found.failure)
        const error = found.success
        if (isRejection(error) && !isSent) return this.#rejected(target, error, before)
        // oxlint-disable-next-line no-unsafe-type-assertion -- a rejection after the call was sent is the call's own error
        return this.#ended(target, loop, Exit.fail(error as Sent<E>))
      }
    })
    return before === undefined ? run : Effect.onExit(run, () => before.abandoned)
  }

  /** Nothing was sent: the next endpoint gets the call. */
  #rejected(target: Target, error: Rejection, before: Ended<A, Sent<E>> | undefined) {
    this.#rejections.push({ endpoint: target.endpoint.id, error })
    if (!this.#hasNext) return this.#giveUp(before)
    target.failovers++
    return this.#run(this.#take(), before)
  }

  /** An endpoint had the call: it ends here, or another endpoint gets it. */
  #ended(
    target: Target,
    loop: LoopOptions<E, never>,
    exit: Exit.Exit<A, Sent<E>>
  ): Effect.Effect<A, Sent<E> | EndpointsUnavailable, R> {
    if (!this.#hasOpen || !this.#goesOn(target, exit) || this.#isRefused(loop, exit)) return exit
    const now = this.#fiber.getRef(Clock.Clock).monotonicTimeNanosUnsafe()
    return Effect.flatMap(CurrentDeadline, (until): Effect.Effect<A, Sent<E> | EndpointsUnavailable, R> => {
      if (until !== undefined && until <= now) return exit
      const { budget, name } = this.#group
      const reservation = budget?.reserve(now)
      if (budget !== undefined && reservation === undefined) {
        return Effect.andThen(MetricSeries.increment("retryBudgetSpent", { server: name }), exit)
      }
      target.failovers++
      const refund = (): void => reservation === undefined ? undefined : budget?.refund(reservation)
      return this.#run(this.#take(), new Ended(exit, this.#request.discard?.(exit) ?? Effect.void, refund))
    })
  }

  /** Whether the call must not be repeated. */
  #isRefused(loop: LoopOptions<E, never>, exit: Exit.Exit<A, Sent<E>>): boolean {
    if (loop.refuse === undefined) return false
    // oxlint-disable-next-line no-unsafe-type-assertion -- the last error of an attempt, which may be `undefined`
    if (Exit.isFailure(exit)) return loop.refuse(lastError(exit) as E) !== undefined
    const failure = this.#request.failureOf?.(exit.value)
    return failure !== undefined && loop.refuse(failure) !== undefined
  }

  #goesOn({ endpoint }: Target, exit: Exit.Exit<A, Sent<E>>): boolean {
    const { classify, failover } = this.#request
    return failover === undefined ? isElsewhere(exit, classify(exit, endpoint)) : failover(exit, endpoint)
  }

  /** No endpoint is left: the call ends as the last endpoint that had it ended, or with the reasons of all. */
  #giveUp(before: Ended<A, Sent<E>> | undefined): Effect.Effect<A, Sent<E> | EndpointsUnavailable> {
    return before === undefined ? Effect.fail(unavailable(this.#group.name, this.#rejections)) : before.final
  }
}

/** Draws an index by weight. Endpoints of weight 0 follow in their order, after all others. */
const draw = (targets: ReadonlyArray<Target>, random: number): number => {
  let rest = random * targets.reduce((sum, { endpoint }) => sum + endpoint.weight, 0)
  for (const [index, { endpoint }] of targets.entries()) {
    rest -= endpoint.weight
    if (rest < 0) return index
  }
  return 0
}

const unavailable = (
  server: string,
  rejections: ReadonlyArray<{ readonly endpoint: string; readonly error: Rejection }>
): EndpointsUnavailable =>
  withoutStack(() =>
    new EndpointsUnavailable({
      server,
      rejections: rejections.map(({ endpoint, error }) => ({ endpoint, code: error.code })),
      retryAfter: rejections.map(({ error }) => "retryAfter" in error ? error.retryAfter : Duration.zero).reduce(
        (one, other) => Duration.min(one, other)
      )
    })
  )

/** Makes a call to the endpoints of a group, with its hedges. */
export const callEndpoints = <A, E, R>(
  group: Group,
  request: Request<A, E, R>
): Effect.Effect<A, Sent<E> | EndpointsUnavailable, R> =>
  Effect.withFiber((fiber) => {
    const call = new Call(group, request, fiber)
    return group.hedge === undefined || request.hedge === undefined
      ? call.start(0)
      : group.hedge.execute((hedge) => call.start(hedge), request.hedge)
  })
