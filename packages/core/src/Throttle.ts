/**
 * Holds back all calls to a service after it has asked one caller to wait, so that the other callers do not send requests that
 * the service would reject as well.
 *
 * A pause begins with a throttled failure that says how long to wait (`Retry-After` and its relatives). It is shared by the
 * throttles of this process with the same name, bounded by `ceiling`, and never made shorter. During a pause callers wait,
 * within their deadline and `maxWait`, or are rejected at once. After it they are released over a tenth of its length: if one
 * of the first is throttled again, the others keep waiting.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Configuration from "./Configuration.ts"
import { makeGate } from "./internal/retry/gate.ts"
import type { Throttled } from "./internal/retry/throttled.ts"
import { throttleOf } from "./internal/retry/throttleOf.ts"
import type { ConfigurationError } from "./KeelsonError.ts"
import type { Options as RetryOptions } from "./Retry.ts"
import * as Field from "./unstable/Field.ts"

export { Throttled } from "./internal/retry/throttled.ts"

/** The options of a throttle. Every one may be left out. */
export interface Options {
  /** The longest pause. A service that asks for a longer one gets this one. From 1 milli to 24 hours. Default 1 minute. */
  readonly ceiling?: Field.DurationInput | undefined
  /**
   * The longest time that a call waits for the end of a pause. A call that would wait longer is rejected at once; with zero,
   * every call during a pause is. From 0 millis to 24 hours. Default 1 minute.
   */
  readonly maxWait?: Field.DurationInput | undefined
  /** The share of a pause over which waiting calls are released after it. From 0 to 1. Default 0.1. */
  readonly spread?: number | undefined
}

/** Checked options of a throttle. */
export const Policy = Schema.Struct({
  ceiling: Field.defaulted(Field.duration("1 millis", "24 hours"), Duration.minutes(1)),
  maxWait: Field.defaulted(Field.duration("0 millis", "24 hours"), Duration.minutes(1)),
  spread: Field.defaulted(Field.number(0, 1), 0.1)
})
export type Policy = typeof Policy.Type

/** The options of a call. Every one may be left out. */
export interface CallOptions<E> extends Pick<RetryOptions<E>, "failureClass" | "retryAfter"> {}

/** What `make` returns. */
export interface Throttle {
  /** The name of the called service. It is the key of the pause and the label `server` of the metrics. */
  readonly name: string
  readonly policy: Policy
  /**
   * Runs a call, after a pause if there is one. A failure that is throttled and says how long to wait begins a pause; by
   * default both are read from the response of an `HttpClientError`, or from the error's code and `retryAfter`.
   *
   * Fails with `Throttled` (`THROTTLED`) if the pause is longer than the call may wait.
   */
  readonly execute: <A, E, R>(
    self: Effect.Effect<A, E, R>,
    options?: CallOptions<E>
  ) => Effect.Effect<A, E | Throttled, R>
  /** A client whose requests wait for the end of a pause. A response from 400 that asks to wait begins one. */
  readonly http: <E, R>(self: HttpClient.HttpClient.With<E, R>) => HttpClient.HttpClient.With<E | Throttled, R>
  /** How long calls are still held back; zero if they are not. */
  readonly remaining: Effect.Effect<Duration.Duration>
  /** Begins a pause, or lengthens the current one. For a service that asks to wait in other ways than in headers. */
  readonly pause: (duration: Field.DurationInput) => Effect.Effect<void>
  /** Ends the pause for new calls. Calls that wait already keep waiting until their time. */
  readonly resume: Effect.Effect<void>
}

/**
 * Makes a throttle for one called service. Throttles of the same name in this process share the pause.
 *
 * Emits `throttle_pauses_total`, `throttle_held_calls_total`, `throttle_rejections_total` and `throttle_pause_seconds` while
 * its scope is open. Fails with `ConfigurationError` (`INVALID_CONFIG`) if an option is out of its range.
 *
 * **Example** (One throttled answer holds back the next call)
 *
 * ```ts import.meta.vitest
 * import * as Throttle from "@keelson/core/Throttle"
 * import * as Effect from "effect/Effect"
 * import * as HttpClient from "effect/http/HttpClient"
 * import * as HttpClientResponse from "effect/http/HttpClientResponse"
 *
 * const busy = HttpClient.make((request) =>
 *   Effect.succeed(HttpClientResponse.fromWeb(request, new Response(null, { status: 429, headers: { "retry-after": "5" } })))
 * )
 * const program = Effect.gen(function*() {
 *   const throttle = yield* Throttle.make("billing", { maxWait: "1 second" })
 *   const client = throttle.http(busy)
 *   yield* client.get("https://billing.example/invoices")
 *   return yield* Effect.flip(client.get("https://billing.example/orders"))
 * })
 *
 * const error = await Effect.runPromise(Effect.scoped(program))
 * error._tag // => "Throttled"
 * ```
 */
export const make = Effect.fnUntraced(function*(
  name: string,
  options: Options = {}
): Effect.fn.Return<Throttle, ConfigurationError, Scope.Scope> {
  const policy = yield* Configuration.decode(Policy)(options)
  return throttleOf(name, policy, yield* makeGate(name, policy))
})
