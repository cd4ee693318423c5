/**
 * Limits how many calls to one service are in flight, and finds the limit: it grows while latency stays at its baseline, and
 * shrinks when latency rises or calls time out.
 *
 * The baseline is the latency without queueing. When latency rises, the limit shrinks for a window and latency is compared:
 * if it falls too, calls were queueing and the smaller limit stays; if not, the service became slower and the limit returns.
 * So the limit follows the capacity of the service, and admits calls while it measures.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Configuration from "./Configuration.ts"
import { makeAdaptiveLimit } from "./internal/limit/adaptiveLimit.ts"
import type { LimitExceeded } from "./internal/limit/limitExceeded.ts"
import type { ConfigurationError } from "./KeelsonError.ts"
import * as Field from "./unstable/Field.ts"

export { LimitExceeded } from "./internal/limit/limitExceeded.ts"

/** The options of an adaptive limit. Every one may be left out. */
export interface Options {
  /** How many calls are always allowed in flight. From 1 to 10000. Default 5. */
  readonly minLimit?: number | undefined
  /** How many calls are allowed in flight at most. From 1 to 100000. Default 1000. */
  readonly maxLimit?: number | undefined
  /** The limit at the start. From 1 to 100000. Default 20. */
  readonly initialLimit?: number | undefined
  /** How far mean latency may rise above its baseline before the limit shrinks, as a factor. From 1.1 to 10. Default 1.5. */
  readonly tolerance?: number | undefined
  /** The shortest time over which calls are measured before the limit changes. From 10 millis to 1 minute. Default 500 millis. */
  readonly window?: Field.DurationInput | undefined
  /** The smallest number of calls measured before the limit changes. From 5 to 10000. Default 50. */
  readonly minSamples?: number | undefined
  /** How many calls over the limit may wait. From 0 to 100000. Default 0. */
  readonly maxQueued?: number | undefined
  /** How long a call may wait. A deadline that is sooner ends the wait. From 1 milli to 10 minutes. Default 1 second. */
  readonly maxWait?: Field.DurationInput | undefined
  /** How long a rejected caller should wait: the `Retry-After` of a response. From 0 millis to 1 hour. Default 1 second. */
  readonly retryAfter?: Field.DurationInput | undefined
}

const areLimitsOrdered = Schema.makeFilter(
  (o: { readonly minLimit: number; readonly initialLimit: number; readonly maxLimit: number }) => {
    if (o.initialLimit < o.minLimit) {
      return { path: ["initialLimit"], issue: `at least minLimit, which is ${o.minLimit}` }
    }
    return o.initialLimit <= o.maxLimit || { path: ["initialLimit"], issue: `at most maxLimit, which is ${o.maxLimit}` }
  }
)

/** Checked options of an adaptive limit. */
export const Policy = Schema.Struct({
  minLimit: Field.defaulted(Field.int(1, 10_000), 5),
  maxLimit: Field.defaulted(Field.int(1, 100_000), 1000),
  initialLimit: Field.defaulted(Field.int(1, 100_000), 20),
  tolerance: Field.defaulted(Field.number(1.1, 10), 1.5),
  window: Field.defaulted(Field.duration("10 millis", "1 minute"), Duration.millis(500)),
  minSamples: Field.defaulted(Field.int(5, 10_000), 50),
  maxQueued: Field.defaulted(Field.int(0, 100_000), 0),
  maxWait: Field.defaulted(Field.duration("1 millis", "10 minutes"), Duration.seconds(1)),
  retryAfter: Field.defaulted(Field.duration("0 millis", "1 hour"), Duration.seconds(1))
}).check(areLimitsOrdered)
export type Policy = typeof Policy.Type

/** The priority of a call. Calls of a higher priority leave the queue first, and take the place of lower ones in a full queue. */
export type Priority = "critical" | "high" | "normal" | "low"

/**
 * How a call counts for the capacity of the service. `success`: its latency counts. `dropped`: it timed out or was rejected for
 * lack of capacity; the limit shrinks if at least a tenth of the calls of a window are dropped. `ignored`: it does not count.
 */
export type Sample = "success" | "dropped" | "ignored"

/** The options of a call. Every one may be left out. */
export interface CallOptions<A, E> {
  /** The priority of the call. Default normal. */
  readonly priority?: Priority | undefined
  /**
   * How a call counts for the capacity of the service. Default: a success or a response below 500 counts; a timeout, a 408,
   * 429, 503 or 504 is dropped; anything else is ignored. A call that its caller interrupts is dropped if it was slower than
   * tolerated, else ignored.
   */
  readonly classify?: ((exit: Exit.Exit<A, E>) => Sample) | undefined
}

/** An adaptive limit at one moment. */
export interface Snapshot {
  /** How many calls are allowed in flight. */
  readonly limit: number
  readonly inFlight: number
  readonly queued: number
  /** Calls that were rejected without being made. */
  readonly rejected: number
  /** Mean latency without queueing; `undefined` before the first window has ended. */
  readonly baseline: Duration.Duration | undefined
}

export interface AdaptiveLimit {
  /** The name of the called service. It is the label `server` of the metrics. */
  readonly name: string
  readonly policy: Policy
  /**
   * Runs a call once it has a place, else fails with `LimitExceeded` (`LIMIT_EXCEEDED`). Its latency is measured from then
   * until it ends. A call that is interrupted while it waits leaves the queue.
   */
  readonly execute: <A, E, R>(
    self: Effect.Effect<A, E, R>,
    options?: CallOptions<A, E>
  ) => Effect.Effect<A, E | LimitExceeded, R>
  /** The limit, its baseline, and the calls in flight, waiting and rejected. */
  readonly snapshot: Effect.Effect<Snapshot>
}

/**
 * Makes an adaptive limit for one service. Its calls should take similar times: make one limit for each kind of call.
 *
 * Emits `adaptive_limit`, `adaptive_limit_in_flight`, `_queued`, `_baseline_seconds` and `_rejections_total` while its scope
 * is open. Fails with `ConfigurationError` (`INVALID_CONFIG`) if an option is out of its range.
 *
 * **Example** (A limit that starts at 10 calls)
 *
 * ```ts import.meta.vitest
 * import * as AdaptiveLimit from "@keelson/core/AdaptiveLimit"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const search = yield* AdaptiveLimit.make("search", { initialLimit: 10 })
 *   const call = search.execute(Effect.delay(Effect.succeed("found"), "1 millis"))
 *   const all = yield* Effect.all(Array.from({ length: 12 }, () => Effect.result(call)), { concurrency: "unbounded" })
 *   return all.filter(({ _tag }) => _tag === "Failure").length
 * }).pipe(Effect.scoped)
 *
 * const rejected = await Effect.runPromise(program) // => 2
 * ```
 */
export const make = Effect.fnUntraced(function*(
  name: string,
  options: Options = {}
): Effect.fn.Return<AdaptiveLimit, ConfigurationError, Scope.Scope> {
  const policy = yield* Configuration.decode(Policy)(options)
  return yield* makeAdaptiveLimit(name, policy)
})
