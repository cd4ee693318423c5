/**
 * One token for all callers: acquired once, refreshed ahead of time, replaced when a server rejects it.
 *
 * Callers get the cached token immediately while it is valid, also while a new one is being acquired and while the
 * authorization server is down. One acquisition runs at a time, in the provider's scope: interrupting a caller affects
 * neither the acquisition nor other callers.
 */
import * as BreakerStore from "@keelson/core/BreakerStore"
import * as Configuration from "@keelson/core/Configuration"
import type * as ErrorCode from "@keelson/core/ErrorCode"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Resilience from "@keelson/core/Resilience"
import * as ResiliencePolicy from "@keelson/core/ResiliencePolicy"
import * as Field from "@keelson/core/unstable/Field"
import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { AcquiredToken } from "./AcquiredToken.ts"
import { contextBreakerStore } from "./internal/provider/contextBreakerStore.ts"
import { contextSharedToken } from "./internal/provider/contextSharedToken.ts"
import { makeEventLog } from "./internal/provider/eventLog.ts"
import { makeGet, replace } from "./internal/provider/lookups.ts"
import { makeSharedAcquisition } from "./internal/provider/sharedAcquisition.ts"
import { registerCounts, TokenState } from "./internal/provider/tokenState.ts"
import * as RefreshPolicy from "./RefreshPolicy.ts"
import type { TokenEvent } from "./TokenEvent.ts"
import type { TokenProviderError } from "./TokenProviderError.ts"
import * as TokenSource from "./TokenSource.ts"

/**
 * - `Active`: the cached token is valid. `Refreshing`: an acquisition is running, with or without a valid cached token.
 * - `Invalid`: there is no valid token, and no acquisition is running.
 */
export type State = "Active" | "Refreshing" | "Invalid"

/** The status of a provider at a moment. */
export interface Status {
  readonly server: string
  readonly state: State
  /** The token that callers get; `undefined` without a valid one. */
  readonly token: AcquiredToken | undefined
  /** Until when callers get it, also without an authorization server: wall clock, in milliseconds since 1970. */
  readonly usableUntil: number | undefined
  readonly refreshInProgress: boolean
  /** The number of failed acquisitions since the last success. */
  readonly consecutiveFailures: number
  /** The code of the last failed acquisition. */
  readonly lastFailure: ErrorCode.ErrorCode | undefined
  /** Whether the number of failures reached the policy's `escalateAfter`. */
  readonly escalated: boolean
  /** When the last token request started: wall clock, in milliseconds since 1970. */
  readonly lastAttemptAt: number | undefined
  /** The number of attempts of the last finished acquisition. */
  readonly lastAttempts: number
  /** Lookups answered from the cache, and others; successful and failed acquisitions; escalations. */
  readonly counts: {
    readonly hits: number
    readonly misses: number
    readonly acquisitions: number
    readonly failures: number
    readonly escalations: number
  }
}

/** Options of a provider. */
export interface Options<R = never> {
  /** The server's name in metrics, logs and errors. From 1 to 200 characters. Required. */
  readonly name: string
  /** Where tokens come from: `OAuthClient`, or any effect. Required. */
  readonly source: TokenSource.Input<R>
  /** When tokens are refreshed. Default: `RefreshPolicy.make()`. */
  readonly policy?: RefreshPolicy.Options | undefined
  /**
   * Retries, breaker and time limits of acquisitions. Without `retry` there is one attempt, without `breaker` no breaker. The
   * `deadline` limits one acquisition with all its attempts. Default: a deadline of 1 minute, unless `attemptTimeout` is set.
   */
  readonly resilience?: ResiliencePolicy.Options | undefined
  /** Checks a new token before it is used. If it fails, the attempt fails. Default none. */
  readonly validate?: ((token: AcquiredToken) => Effect.Effect<unknown, unknown, R>) | undefined
}

/** The token of one server. To call APIs with tokens, use `TokenGuard` or `TokenGuards`. */
export class TokenProvider extends Context.Service<TokenProvider, {
  /** The provider's name, and the label `server` of its metrics. */
  readonly server: string
  /**
   * A valid token. Returns the cached token immediately, and refreshes it in the background if it is due. Without a valid token it
   * waits for the acquisition that all callers share. Fails with `TokenProviderError`.
   */
  readonly get: Effect.Effect<AcquiredToken, TokenProviderError>
  /**
   * Acquires a token now, or joins the running acquisition, regardless of the cooldown. If it fails, the cached token stays
   * in use. Fails with `TokenProviderError`.
   */
  readonly refresh: Effect.Effect<AcquiredToken, TokenProviderError>
  /**
   * A token to replace one that a server rejected with a 401: the cached token if it is newer, otherwise a new one. The rejected
   * token stays in use until the new one is acquired.
   *
   * `undefined` if the rejected token is the cached one and another token was replaced within the policy's `refusalCooldown`
   * (30 seconds), by this process or by one that shares the token: the server would reject a new token as well. Fails with
   * `TokenProviderError`.
   */
  readonly replace: (rejected: AcquiredToken) => Effect.Effect<AcquiredToken | undefined, TokenProviderError>
  /**
   * Drops a token if it is the cached one, and discards the result of a running acquisition: its callers get a token that was
   * requested afterwards. Other processes that share the token keep it until it is due or rejected. Returns whether it was the
   * cached one.
   */
  readonly invalidate: (token: AcquiredToken) => Effect.Effect<boolean>
  readonly status: Effect.Effect<Status>
  /** Events published after the subscription. A slow subscriber loses the oldest events; the provider never waits for it. */
  readonly events: Stream.Stream<TokenEvent>
}>()("@keelson/token/TokenProvider") {}

const decodeName = Configuration.decode(Field.text(1, 200), ["name"])

/** Adds a deadline if there is no time limit: while an acquisition hangs, no other one can start. */
const withDeadline = (options: ResiliencePolicy.Options = {}): ResiliencePolicy.Options =>
  options.deadline === undefined && options.attemptTimeout === undefined
    ? { ...options, deadline: "1 minute" }
    : options

/**
 * Creates a provider that lives in the scope. It acquires its first token when a caller needs one. Its circuit is kept in the
 * `BreakerStore` in context, or in memory without one. With `SharedTokens` in context, and a source that has an `identity`,
 * processes share the token.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 *
 * **Example** (One acquisition for all callers)
 *
 * ```ts import.meta.vitest
 * import { TokenProvider } from "@keelson/token"
 * import { Duration, Effect, Redacted } from "effect"
 *
 * let requests = 0
 * const source = Effect.sync(() => {
 *   requests++
 *   return { accessToken: Redacted.make("abc"), expiresIn: Duration.minutes(5) }
 * })
 * const program = Effect.gen(function*() {
 *   const provider = yield* TokenProvider.make({ name: "billing", source, policy: { threshold: "1 minute" } })
 *   yield* Effect.all([provider.get, provider.get, provider.get], { concurrency: "unbounded" })
 *   return (yield* provider.status).state
 * })
 *
 * await Effect.runPromise(Effect.scoped(program)) // => "Active"
 * requests // => 1
 * ```
 */
export const make = Effect.fnUntraced(function*<R = never>(
  options: Options<R>
): Effect.fn.Return<TokenProvider["Service"], KeelsonError.ConfigurationError, R | Scope.Scope> {
  const server = yield* decodeName(options.name)
  const policy = yield* Configuration.decode(RefreshPolicy.RefreshPolicy)(options.policy ?? {})
  // First, so that the series are removed last.
  yield* MetricSeries.removeWithServer(server)
  const resilience = yield* Effect.provideService(
    Resilience.make(
      server,
      yield* Configuration.decode(ResiliencePolicy.ResiliencePolicy)(withDeadline(options.resilience))
    ),
    BreakerStore.BreakerStore,
    yield* contextBreakerStore
  )
  const state = new TokenState(server, policy)
  yield* registerCounts(state)
  const eventLog = yield* makeEventLog(server)
  yield* Effect.addFinalizer(() => Effect.sync(() => state.close()))
  const source = Effect.isEffect(options.source) ? TokenSource.fromEffect(options.source) : options.source
  const shared = yield* contextSharedToken(source.identity, server)
  const acquisition = yield* makeSharedAcquisition({
    state,
    shared,
    source,
    resilience,
    eventLog,
    validate: options.validate,
    random: yield* Random.next
  })
  return {
    server,
    get: makeGet(state, acquisition),
    refresh: acquisition.join("forced"),
    replace: (rejected) => replace(state, acquisition, rejected),
    invalidate: (token) =>
      Effect.suspend(() => {
        const isCurrent = state.isCurrent(token)
        if (!isCurrent) return Effect.succeed(false)
        const fence = state.cachedToken?.fence ?? 0
        state.invalidate()
        return shared === undefined || fence === 0 ? Effect.succeed(true) : Effect.as(shared.invalidate(fence), true)
      }),
    status: Effect.clockWith((clock) => Effect.sync(() => state.status(clock))),
    events: Stream.fromPubSub(eventLog.events)
  }
})

/** `make` as a layer. */
export const layer = <R = never>(
  options: Options<R>
): Layer.Layer<TokenProvider, KeelsonError.ConfigurationError, Exclude<R, Scope.Scope>> =>
  Layer.effect(TokenProvider, make(options))
