/**
 * A token for all callers: acquired once, refreshed ahead of time, dropped when a server refuses it.
 *
 * Callers get the token that is held at once while it is valid, also while a new one is being acquired and while the
 * authorization server is down. One acquisition is under way at a time, in the provider's scope: who waits for it and is
 * interrupted disturbs nobody.
 */
import * as BreakerStore from "@keelson/core/BreakerStore"
import * as Configuration from "@keelson/core/Configuration"
import type * as ErrorCode from "@keelson/core/ErrorCode"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Resilience from "@keelson/core/Resilience"
import * as ResiliencePolicy from "@keelson/core/ResiliencePolicy"
import * as Field from "@keelson/core/unstable/Field"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { AcquiredToken } from "./AcquiredToken.ts"
import { breakerStore } from "./internal/provider/breakerStore.ts"
import { makeEventLog } from "./internal/provider/eventLog.ts"
import { makeFlight } from "./internal/provider/flight.ts"
import { makeGet, replace } from "./internal/provider/lookups.ts"
import { ProviderState, registerLookups } from "./internal/provider/providerState.ts"
import * as RefreshPolicy from "./RefreshPolicy.ts"
import type { TokenEvent } from "./TokenEvent.ts"
import type { TokenProviderError } from "./TokenProviderError.ts"
import * as TokenSource from "./TokenSource.ts"

/**
 * - `Active`: a token is held and valid. `Refreshing`: one is being acquired, whether or not a valid one is held.
 * - `Invalid`: none is held, or it has expired or was refused, and none is being acquired.
 */
export type State = "Active" | "Refreshing" | "Invalid"

/** What is known of a provider at a moment. */
export interface Status {
  readonly server: string
  readonly state: State
  /** The token that callers get. */
  readonly envelope: AcquiredToken | undefined
  readonly refreshInProgress: boolean
  /** Failures since the last success, and the code of the last of them. */
  readonly consecutiveFailures: number
  readonly lastFailure: ErrorCode.ErrorCode | undefined
  /** Whether they were escalated. */
  readonly escalated: boolean
  /** When an acquisition was begun last: wall clock, milliseconds since 1970. */
  readonly lastAttemptAt: number | undefined
  /** How many attempts the acquisition made that ended last. */
  readonly lastAttempts: number
  /** Lookups answered from memory, and others; acquisitions that succeeded and failed; escalations. */
  readonly counts: {
    readonly hits: number
    readonly misses: number
    readonly acquisitions: number
    readonly failures: number
    readonly escalations: number
  }
}

/** The tokens of one server. */
export interface Shape {
  /** The provider's name, and the label `server` of its metrics. */
  readonly server: string
  /**
   * A valid token. The one held is answered at once, and refreshed in the background where that is due; without one it
   * waits for the acquisition that all wait for. Fails with `TokenProviderError`.
   */
  readonly get: Effect.Effect<AcquiredToken, TokenProviderError>
  /**
   * Acquires a token now, or joins the acquisition under way, whatever the cooldown says. Where it fails, the token that
   * is held stays in use. Fails with `TokenProviderError`.
   */
  readonly refresh: Effect.Effect<AcquiredToken, TokenProviderError>
  /**
   * A token in place of one that a server refused with a 401: the newer one where there is one, else a new one, the refused
   * one being invalidated at once.
   *
   * `undefined` where the refused one is the current one, and a token was replaced within the policy's `refusalCooldown` (30
   * seconds): a new one would be refused as well, so that the answer of the server stands. Fails with `TokenProviderError`.
   */
  readonly replace: (refused: AcquiredToken) => Effect.Effect<AcquiredToken | undefined, TokenProviderError>
  /**
   * Drops a token if it is the current one, and with it what an acquisition under way will bring: its waiters get a token
   * that was asked for afterwards. Whether it was the current one.
   */
  readonly invalidate: (envelope: AcquiredToken) => Effect.Effect<boolean>
  readonly status: Effect.Effect<Status>
  /** What happens from now on. Nothing waits for a subscriber: a slow one loses the oldest events. */
  readonly events: Stream.Stream<TokenEvent>
}

/** Options of a provider. */
export interface Options<R = never> {
  /** What the server is called in metrics, logs and errors. */
  readonly name: string
  /** Where tokens come from: `OAuthClient`, or any effect. */
  readonly source: TokenSource.Input<R>
  /** When they are refreshed. */
  readonly policy?: RefreshPolicy.Options | undefined
  /**
   * What stands between the provider and its source. Without a `retry` there is one attempt, without a `breaker` no
   * breaker. Its `deadline`, for one acquisition with all its attempts, is 1 minute by default.
   */
  readonly resilience?: ResiliencePolicy.Options | undefined
  /** Checks a token before it is used; where this fails, so does the attempt. */
  readonly validate?: ((envelope: AcquiredToken) => Effect.Effect<unknown, unknown, R>) | undefined
}

/** The tokens of one server. For several there are `TokenGuard` and `TokenGuards`. */
export class TokenProvider extends Context.Service<TokenProvider, Shape>()("@keelson/token/TokenProvider") {}

const decodeName = Configuration.decode(Field.text(1, 200), ["name"])

/** An acquisition that hangs must end some time: nothing else is acquired meanwhile. */
const withDeadline = (options: ResiliencePolicy.Options = {}): ResiliencePolicy.Options =>
  options.deadline === undefined && options.attemptTimeout === undefined
    ? { ...options, deadline: "1 minute" }
    : options

/**
 * A provider that lives in the scope. Nothing is acquired before it is asked for. Its circuit is kept in the `BreakerStore`
 * in context, else in one of its own.
 *
 * Fails with `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 */
export const make = Effect.fnUntraced(function*<R = never>(
  options: Options<R>
): Effect.fn.Return<Shape, KeelsonError.ConfigurationError, R | Scope.Scope> {
  const server = yield* decodeName(options.name)
  const policy = yield* RefreshPolicy.decode(options.policy ?? {})
  const resilience = yield* Effect.provideService(
    Resilience.make(server, yield* ResiliencePolicy.decode(withDeadline(options.resilience))),
    BreakerStore.BreakerStore,
    yield* breakerStore
  )
  const engine = new ProviderState(server, policy)
  yield* registerLookups(engine)
  const journal = yield* makeEventLog(server)
  yield* Effect.addFinalizer(() => Effect.sync(() => engine.close()))
  const flight = yield* makeFlight({
    engine,
    source: TokenSource.from(options.source),
    resilience,
    journal,
    validate: options.validate,
    random: yield* Random.next
  })
  return {
    server,
    get: makeGet(engine, flight),
    refresh: flight.join("forced"),
    replace: (refused) => replace(engine, flight, refused),
    invalidate: (envelope) =>
      Effect.sync(() => {
        const isCurrent = engine.isCurrent(envelope)
        if (isCurrent) engine.drop()
        return isCurrent
      }),
    status: Effect.clockWith((clock) => Effect.sync(() => engine.status(clock))),
    events: Stream.fromPubSub(journal.events)
  }
})

/** `make` as a layer. */
export const layer = <R = never>(
  options: Options<R>
): Layer.Layer<TokenProvider, KeelsonError.ConfigurationError, Exclude<R, Scope.Scope>> =>
  Layer.effect(TokenProvider, make(options))
