/**
 * Verification of tokens by introspection: what is asked, how often, and how long an answer is used.
 */
import type * as Resilience from "@keelson/core/Resilience"
import * as Instant from "@keelson/core/unstable/Instant"
import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import type * as KeySource from "@keelson/jwks/unstable/KeySourceTag"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { LRUCache } from "lru-cache"
import type * as TokenError from "../../TokenError.ts"
import type { Validated } from "../../TokenValidator.ts"
import { hashText } from "../validation/platform.ts"
import type { StillRejected, TokenCache } from "../validation/tokenCache.ts"
import type { TokenVerifier } from "../validation/validator.ts"
import type { UncachedToken, VerificationResult } from "../validation/verification.ts"
import { classify, introspectionUnavailable, reasonOf, tokenInactive } from "./failure.ts"
import type { Flights } from "./flights.ts"
import { type AnswerRules, judge } from "./judge.ts"
import type { RateLimiter } from "./limiter.ts"
import { introspect, type Introspected, type IntrospectionClient } from "./request.ts"
import { checkForm } from "./tokenForm.ts"

/** Plain fields, read when metrics are. */
export interface IntrospectionCounts {
  active: number
  inactive: number
  unavailable: number
  limited: number
}

/** Everything that the introspection of one validator uses. */
export interface IntrospectionContext<C> {
  /** The validator's name. */
  readonly id: string
  readonly client: IntrospectionClient
  readonly resilience: Resilience.Resilience
  readonly answerRules: AnswerRules
  readonly decodeClaims: (members: unknown) => Result.Result<C, TokenError.Reason>
  readonly accepts: ((text: string) => boolean) | undefined
  readonly newTokens: RateLimiter
  readonly flights: Flights<VerificationResult<C>>
  readonly counts: IntrospectionCounts
  /** The lifetime of an inactive or rejected answer, in milliseconds. */
  readonly inactiveFor: number
}

/** Asks about a token, with retries, breaker and limits. */
export const ask = <C>(
  { client, resilience }: IntrospectionContext<C>,
  text: string
): Effect.Effect<Result.Result<Introspected, TokenError.Reason>> =>
  Effect.map(
    Effect.result(resilience.execute(introspect(client, text), {
      classify,
      hedge: false,
      while: ({ isRetryable }) => isRetryable,
      retryAfter: ({ retryAfter }) => retryAfter
    })),
    Result.mapError(reasonOf)
  )

/** How long a caller waits whose token was not asked about. */
const limited = introspectionUnavailable("limited", undefined, Duration.seconds(1))

const always: StillRejected = () => true

/** The problems whose cause is the configuration of this client, or of the server for it. */
const operatorProblems: ReadonlySet<string> = new Set(["refused", "endpoint", "configuration", "signature"])

/** How many tokens are known where the policy has no cache. */
const maxKnown = 20_000

/** Between two log lines about one problem. */
const logEvery = 60_000

export class IntrospectionVerifier<C> implements TokenVerifier<C> {
  readonly #context: IntrospectionContext<C>
  readonly #cache: TokenCache<Validated<C>> | undefined
  /** The hashes of tokens that were active: the limit for new tokens does not apply to them. */
  readonly #known: LRUCache<string, true>
  /** Incremented by `invalidate`. */
  #epoch = 0
  #logAt: Instant.Instant | undefined

  constructor(context: IntrospectionContext<C>, cache: TokenCache<Validated<C>> | undefined) {
    this.#context = context
    this.#cache = cache
    this.#known = new LRUCache({ max: context.answerRules.rules.policy.cacheEntries || maxKnown })
  }

  readonly verify = ({ hash: given, text }: Pick<UncachedToken, "hash" | "text">): Effect.Effect<
    VerificationResult<C>
  > => {
    const { accepts, answerRules: { rules }, flights } = this.#context
    const form = checkForm(text, rules.policy.maxLength, accepts)
    if (Result.isFailure(form)) return Effect.succeed(Result.fail(form.failure))
    // A validator without a cache hashes no token, but a known token is still no new one.
    const hash = given ?? hashText?.(text)
    return flights.join(hash, Effect.suspend(() => this.#run(hash, text)))
  }

  readonly invalidate = (): void => {
    this.#epoch++
    this.#context.flights.forget()
    this.#cache?.clear()
  }

  #run(hash: string | undefined, text: string): Effect.Effect<VerificationResult<C>> {
    return Effect.flatMap(Clock.Clock, (clock) => {
      const cached = this.#cached(hash, clock)
      if (cached !== undefined) return Effect.succeed(cached)
      const { counts, newTokens } = this.#context
      const isKnown = hash !== undefined && this.#known.has(hash)
      if (!isKnown && !newTokens.take(clock)) {
        counts.limited++
        return Effect.succeed(Result.fail(limited))
      }
      const epoch = this.#epoch
      return Effect.flatMap(this.#timed(ask(this.#context, text)), (answered) => {
        if (Result.isFailure(answered)) {
          counts.unavailable++
          return Effect.as(this.#log(answered.failure, clock), Result.fail(answered.failure))
        }
        return Effect.succeed(this.#settle(epoch === this.#epoch ? hash : undefined, answered.success, clock))
      })
    })
  }

  #timed<A>(self: Effect.Effect<A>): Effect.Effect<A> {
    const labels = { validator: this.#context.id }
    return Effect.flatMap(
      Effect.timed(self),
      ([duration, result]) => Effect.as(MetricSeries.observe("introspectionDuration", labels, duration), result)
    )
  }

  /** The result of a run that ended between a caller's lookup and this run. */
  #cached(hash: string | undefined, clock: Clock.Clock): VerificationResult<C> | undefined {
    if (hash === undefined || this.#cache === undefined) return undefined
    const verified = this.#cache.get(hash, clock)
    if (verified !== undefined) return Result.succeed(verified)
    const rejection = this.#cache.rejection(hash, clock)
    return rejection === undefined ? undefined : Result.fail(rejection)
  }

  /** The result of an answer. It is cached under the hash, if there is one. */
  #settle(hash: string | undefined, introspected: Introspected, clock: Clock.Clock): VerificationResult<C> {
    const { answerRules, counts, decodeClaims } = this.#context
    const { answer, requestedAt } = introspected
    if (answer._tag === "Inactive") {
      counts.inactive++
      if (hash !== undefined) this.#known.delete(hash)
      return this.#reject(hash, tokenInactive, requestedAt, clock, always)
    }
    counts.active++
    const verified = judge(answer, answerRules, decodeClaims, introspected, clock)
    if (Result.isFailure(verified)) {
      const { isStillRejected, reason } = verified.failure
      return this.#reject(hash, reason, requestedAt, clock, isStillRejected)
    }
    if (hash !== undefined) {
      this.#known.set(hash, true)
      this.#cache?.set(hash, verified.success)
    }
    return Result.succeed(verified.success)
  }

  #reject(
    hash: string | undefined,
    reason: TokenError.Reason,
    requestedAt: Instant.Instant,
    clock: Clock.Clock,
    isStillRejected: StillRejected
  ): VerificationResult<C> {
    const until = Instant.after(requestedAt, this.#context.inactiveFor)
    const lifetime: KeySource.KeyTrust = {
      generation: 0,
      holds: (clock) => !Instant.hasCome(until, clock),
      staleDeadline: () => until.monotonic
    }
    if (hash !== undefined) this.#cache?.reject(hash, reason, [lifetime], clock, isStillRejected)
    return Result.fail(reason)
  }

  /** Logs problems that an operator has to solve, at most once in a minute. */
  #log(reason: TokenError.Reason, clock: Clock.Clock): Effect.Effect<void> {
    if (reason._tag !== "IntrospectionUnavailable" || !operatorProblems.has(reason.problem)) return Effect.void
    if (this.#logAt !== undefined && !Instant.hasCome(this.#logAt, clock)) return Effect.void
    this.#logAt = Instant.after(Instant.now(clock), logEvery)
    const { detail, problem } = reason
    return Effect.logError(`Tokens cannot be introspected for ${this.#context.id}`, {
      problem,
      ...(detail === undefined ? undefined : { detail })
    })
  }
}
