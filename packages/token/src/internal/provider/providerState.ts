import type * as ErrorCode from "@keelson/core/ErrorCode"
import * as Metrics from "@keelson/core/Metrics"
import * as Instant from "@keelson/core/unstable/Instant"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { AcquiredToken } from "../../AcquiredToken.ts"
import type { RefreshPolicy } from "../../RefreshPolicy.ts"
import type { State, Status } from "../../TokenProvider.ts"
import type { TokenProviderError } from "../../TokenProviderError.ts"
import type { CachedToken } from "./cachedToken.ts"

/** How the acquisitions since the last success failed. */
interface Failures {
  /** Those that asked the server. */
  count: number
  /** Those that a breaker rejected, and a source that dies or interrupts itself, as well. */
  setbacks: number
  last: ErrorCode.ErrorCode | undefined
  error: TokenProviderError | undefined
  /** Until when nothing is acquired ahead of time. */
  retryAt: Instant.Instant | undefined
  /** Until when the server asked to be left alone, up to the policy's limit. */
  notBefore: Instant.Instant | undefined
}

const none = (): Failures => ({
  count: 0,
  setbacks: 0,
  last: undefined,
  error: undefined,
  retryAt: undefined,
  notBefore: undefined
})

/** Everything that is kept of one provider. Steps are synchronous: nothing else runs within one. */
export class ProviderState {
  readonly server: string
  readonly policy: RefreshPolicy
  held: CachedToken | undefined
  /** How often all that was asked for before was declared void. */
  epoch = 0
  isUnderWay = false
  isClosed = false
  failures = none()
  lastAttemptAt: number | undefined
  lastAttempts = 0
  /** When a token was replaced last because a server refused it. */
  replacedAt: Instant.Instant | undefined
  readonly counts = { hits: 0, misses: 0, acquisitions: 0, failures: 0, escalations: 0 }

  constructor(server: string, policy: RefreshPolicy) {
    this.server = server
    this.policy = policy
  }

  /** The token that may be handed out at a moment. */
  usable(clock: Clock.Clock): CachedToken | undefined {
    const { held } = this
    return held === undefined || Instant.hasCome(held.usableUntil, clock) ? undefined : held
  }
  /** Whether a token is the one that is held: by its value, since a server may give the same one again. */
  isCurrent(envelope: AcquiredToken): boolean {
    const { held } = this
    return held !== undefined &&
      (held.envelope === envelope || Redacted.value(held.envelope.value) === Redacted.value(envelope.value))
  }
  /** Whether a token that is refused may be replaced: not again so soon after another one was. Takes the turn. */
  mayReplace(clock: Clock.Clock): boolean {
    const { policy: { refusalCooldown }, replacedAt } = this
    const settled = replacedAt && Instant.after(replacedAt, Duration.toMillis(refusalCooldown))
    if (settled !== undefined && !Instant.hasCome(settled, clock)) return false
    this.replacedAt = Instant.now(clock)
    return true
  }
  /** Drops the token, and has what an acquisition under way brings be dropped too. */
  drop(): void {
    this.held = undefined
    this.epoch++
  }
  /** Holds nothing any more. */
  close(): void {
    this.isClosed = true
    this.drop()
  }
  /** A token came, which ends all failures: it is used, unless all before was declared void. */
  accept(held: CachedToken, isDiscarded: boolean): void {
    this.failures = none()
    if (!isDiscarded) this.held = held
  }
  /** Whether this failure escalates: the first time that there are as many in a row. */
  failed(
    error: TokenProviderError,
    isRejection: boolean,
    retryAfter: Duration.Duration | undefined,
    at: Instant.Instant
  ): boolean {
    const { failures, policy: { escalateAfter, maxFailureDelay } } = this
    if (!isRejection) failures.count++
    failures.last = error.code
    failures.error = error
    // A breaker rejects by itself, and knows best until when.
    failures.notBefore = retryAfter === undefined || isRejection
      ? undefined
      : Instant.after(at, Duration.toMillis(Duration.min(retryAfter, maxFailureDelay)))
    this.putOff(at, retryAfter)
    return !isRejection && failures.count === escalateAfter
  }
  /** Nothing is acquired ahead of time for a while, which grows each time. */
  putOff(at: Instant.Instant, retryAfter: Duration.Duration = Duration.zero): void {
    const { failures, policy: { failureDelay, maxFailureDelay } } = this
    const grown = Duration.times(failureDelay, 2 ** Math.min(failures.setbacks, 30))
    failures.setbacks++
    failures.retryAt = Instant.after(
      at,
      Duration.toMillis(Duration.min(Duration.max(grown, retryAfter), maxFailureDelay))
    )
  }
  get isEscalated(): boolean {
    return this.failures.count >= this.policy.escalateAfter
  }
  state(clock: Clock.Clock): State {
    if (this.isUnderWay) return "Refreshing"
    return this.usable(clock) === undefined ? "Invalid" : "Active"
  }
  status(clock: Clock.Clock): Status {
    return {
      server: this.server,
      state: this.state(clock),
      envelope: this.usable(clock)?.envelope,
      refreshInProgress: this.isUnderWay,
      consecutiveFailures: this.failures.count,
      lastFailure: this.failures.last,
      escalated: this.isEscalated,
      lastAttemptAt: this.lastAttemptAt,
      lastAttempts: this.lastAttempts,
      counts: { ...this.counts }
    }
  }
}

/** The lookups of a provider, for as long as its scope is open. */
export const registerLookups = ({ counts, server }: ProviderState): Effect.Effect<void, never, Scope.Scope> =>
  Effect.all([
    Metrics.register("cacheHits", { server }, () => counts.hits),
    Metrics.register("cacheMisses", { server }, () => counts.misses),
    Metrics.register("tokenEscalations", { server }, () => counts.escalations)
  ], { discard: true })
