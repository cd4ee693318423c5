import type * as ErrorCode from "@keelson/core/ErrorCode"
import * as Instant from "@keelson/core/unstable/Instant"
import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { AcquiredToken } from "../../AcquiredToken.ts"
import type { RefreshPolicy } from "../../RefreshPolicy.ts"
import type { State, Status } from "../../TokenProvider.ts"
import type { TokenProviderError } from "../../TokenProviderError.ts"
import type { Deviation } from "../../TokenSource.ts"
import type { CachedToken } from "./cachedToken.ts"

/** The failed acquisitions since the last success. */
interface Failures {
  /** Acquisitions that sent a request and failed. */
  count: number
  /** All failed acquisitions, including those that the breaker rejected and that a defect or an interruption ended. */
  setbacks: number
  last: ErrorCode.ErrorCode | undefined
  error: TokenProviderError | undefined
  /** No refresh ahead of time before this moment. */
  retryAt: Instant.Instant | undefined
  /** The server's `Retry-After`, limited by the policy: no acquisition before this moment. */
  notBefore: Instant.Instant | undefined
}

/** What is known about a failed acquisition beside its error. */
interface FailureFacts {
  /** The breaker, for example, rejected the request. */
  readonly isRejection: boolean
  /** Another process failed. It escalates, and this one does not. */
  readonly isShared: boolean
  readonly retryAfter: Duration.Duration | undefined
  /** The failed acquisitions of all processes in a row, if processes share the token. */
  readonly fleetFailures: number | undefined
}

const noFailures = (): Failures => ({
  count: 0,
  setbacks: 0,
  last: undefined,
  error: undefined,
  retryAt: undefined,
  notBefore: undefined
})

const isSame = (a: AcquiredToken, b: AcquiredToken): boolean =>
  a === b || Redacted.value(a.value) === Redacted.value(b.value)

/** The state of one provider. Every method is synchronous, so no other fiber runs within one. */
export class TokenState {
  readonly server: string
  readonly policy: RefreshPolicy
  cachedToken: CachedToken | undefined
  /** The last token that was acquired, also after it was dropped. */
  lastToken: CachedToken | undefined
  /** Incremented by each invalidation. A token that was requested before the last one must not be used. */
  epoch = 0
  /** The largest fencing number of a shared token that was invalidated here: no such token is taken again. */
  rejectedFence = 0
  isAcquiring = false
  isClosed = false
  failures = noFailures()
  lastAttemptAt: number | undefined
  lastAttempts = 0
  /** When a token was last replaced because a server rejected it. */
  replacedAt: Instant.Instant | undefined
  /** The deviations of token responses that were logged. */
  readonly deviations = new Set<Deviation["member"]>()
  readonly counts = { hits: 0, misses: 0, acquisitions: 0, failures: 0, escalations: 0 }

  constructor(server: string, policy: RefreshPolicy) {
    this.server = server
    this.policy = policy
  }

  /** The cached token, unless it is too old to return. */
  usableToken(clock: Clock.Clock): CachedToken | undefined {
    const { cachedToken } = this
    return cachedToken === undefined || Instant.hasCome(cachedToken.usableUntil, clock) ? undefined : cachedToken
  }
  /** Whether a token is the cached one. Compares values, since a server may return the same token again. */
  isCurrent(token: AcquiredToken): boolean {
    return this.cachedToken !== undefined && isSame(this.cachedToken.token, token)
  }
  /** Whether a rejected token may be replaced: once per `refusalCooldown`. Starts the cooldown if it returns true. */
  beginReplacement(clock: Clock.Clock): boolean {
    const { policy: { refusalCooldown }, replacedAt } = this
    const allowedAt = replacedAt && Instant.after(replacedAt, Duration.toMillis(refusalCooldown))
    if (allowedAt !== undefined && !Instant.hasCome(allowedAt, clock)) return false
    this.replacedAt = Instant.now(clock)
    return true
  }
  /** Makes the cached token due for a refresh, after a server rejected it. It stays in use until a new one is acquired. */
  expedite(clock: Clock.Clock): void {
    const { cachedToken } = this
    if (cachedToken === undefined) return
    const dueBefore = cachedToken.dueBefore ?? cachedToken.refreshAt
    this.cachedToken = { ...cachedToken, refreshAt: Instant.now(clock), dueBefore }
  }
  /** Undoes `expedite`: all processes together replaced a rejected token a moment ago. */
  defer(): void {
    const { cachedToken } = this
    if (cachedToken?.dueBefore !== undefined) {
      this.cachedToken = { ...cachedToken, refreshAt: cachedToken.dueBefore, dueBefore: undefined }
    }
  }
  /** Removes the cached token; the result of a running acquisition is discarded too. */
  invalidate(): void {
    this.rejectedFence = Math.max(this.rejectedFence, this.cachedToken?.fence ?? 0)
    this.cachedToken = undefined
    this.epoch++
  }
  close(): void {
    this.isClosed = true
    this.lastToken = undefined
    this.invalidate()
  }
  /** Records a successful acquisition, which resets the failures, and caches its token unless it is discarded. */
  recordSuccess(cachedToken: CachedToken, isDiscarded: boolean): void {
    this.failures = noFailures()
    this.lastToken = cachedToken
    if (isDiscarded) this.rejectedFence = Math.max(this.rejectedFence, cachedToken.fence)
    else this.cachedToken = cachedToken
  }
  /** Records a failed acquisition. Returns whether it escalates: the number of failures has just reached `escalateAfter`. */
  recordFailure(
    error: TokenProviderError,
    { fleetFailures, isRejection, isShared, retryAfter }: FailureFacts,
    at: Instant.Instant
  ): boolean {
    const { failures, policy: { escalateAfter, maxFailureDelay } } = this
    if (isShared) failures.count = fleetFailures ?? failures.count
    else if (!isRejection) failures.count = fleetFailures ?? failures.count + 1
    failures.last = error.code
    failures.error = error
    // An open circuit has its own time limit, which `notBefore` must not extend.
    failures.notBefore = retryAfter === undefined || isRejection
      ? undefined
      : Instant.after(at, Duration.toMillis(Duration.min(retryAfter, maxFailureDelay)))
    this.delayRefresh(at, retryAfter)
    return !isRejection && !isShared && failures.count === escalateAfter
  }
  /** Prevents a refresh before expiry for a delay that doubles with each failure. */
  delayRefresh(at: Instant.Instant, retryAfter: Duration.Duration = Duration.zero): void {
    const { failures, policy: { failureDelay, maxFailureDelay } } = this
    const doubled = Duration.times(failureDelay, 2 ** Math.min(failures.setbacks, 30))
    failures.setbacks++
    failures.retryAt = Instant.after(
      at,
      Duration.toMillis(Duration.min(Duration.max(doubled, retryAfter), maxFailureDelay))
    )
  }
  get isEscalated(): boolean {
    return this.failures.count >= this.policy.escalateAfter
  }
  state(clock: Clock.Clock): State {
    if (this.isAcquiring) return "Refreshing"
    return this.usableToken(clock) === undefined ? "Invalid" : "Active"
  }
  status(clock: Clock.Clock): Status {
    const usable = this.usableToken(clock)
    const at = Instant.now(clock)
    return {
      server: this.server,
      state: this.state(clock),
      token: usable?.token,
      usableUntil: usable === undefined ? undefined : at.wall + Instant.until(usable.usableUntil, at),
      refreshInProgress: this.isAcquiring,
      consecutiveFailures: this.failures.count,
      lastFailure: this.failures.last,
      escalated: this.isEscalated,
      lastAttemptAt: this.lastAttemptAt,
      lastAttempts: this.lastAttempts,
      counts: { ...this.counts }
    }
  }
}

/** Registers the counters of a provider as metrics, for as long as its scope is open. */
export const registerCounts = ({ counts, server }: TokenState): Effect.Effect<void, never, Scope.Scope> =>
  Effect.all([
    MetricSeries.register("cacheHits", { server }, () => counts.hits),
    MetricSeries.register("cacheMisses", { server }, () => counts.misses),
    MetricSeries.register("tokenEscalations", { server }, () => counts.escalations)
  ], { discard: true })
