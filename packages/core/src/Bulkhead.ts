/**
 * Limits how many calls to one service are in flight, so that a slow service holds a part of the process and not all of it.
 *
 * A call over the limit waits in a bounded queue for a bounded time, first in, first out, or is rejected. With a `key` for
 * each call, such as the id of a tenant or an endpoint, every key has its own places and its own queue.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Configuration from "./Configuration.ts"
import { makeBulkhead } from "./internal/limit/bulkhead.ts"
import type { BulkheadFull } from "./internal/limit/bulkheadFull.ts"
import type { ConfigurationError } from "./KeelsonError.ts"
import * as Field from "./unstable/Field.ts"

export { BulkheadFull } from "./internal/limit/bulkheadFull.ts"

/** The options of a bulkhead. Every one may be left out. */
export interface Options {
  /** How many calls may be in flight, for each key if calls have one. From 1 to 100000. Default 25. */
  readonly maxConcurrent?: number | undefined
  /** How many calls may wait for a place, for each key if calls have one. From 0 to 100000. Default 0. */
  readonly maxQueued?: number | undefined
  /** How long a call may wait for a place. A deadline that is sooner ends the wait. From 1 milli to 10 minutes. Default 1 second. */
  readonly maxWait?: Field.DurationInput | undefined
  /** How many keys may have calls in flight at once. A key without calls is forgotten. From 1 to 100000. Default 1000. */
  readonly maxKeys?: number | undefined
}

/** Checked options of a bulkhead. */
export const Policy = Schema.Struct({
  maxConcurrent: Field.defaulted(Field.int(1, 100_000), 25),
  maxQueued: Field.defaulted(Field.int(0, 100_000), 0),
  maxWait: Field.defaulted(Field.duration("1 millis", "10 minutes"), Duration.seconds(1)),
  maxKeys: Field.defaulted(Field.int(1, 100_000), 1000)
})
export type Policy = typeof Policy.Type

/** The options of a call. Every one may be left out. */
export interface CallOptions {
  /** The group that the call counts in, such as a tenant or an endpoint. Calls without a key are one group. Default none. */
  readonly key?: string | undefined
}

/** A bulkhead at one moment, over all keys. */
export interface Snapshot {
  readonly inFlight: number
  readonly queued: number
  /** Calls that were rejected without being made. */
  readonly rejected: number
  /** Keys that have calls in flight. */
  readonly keys: number
}

export interface Bulkhead {
  /** The name of the called service. It is the label `server` of the metrics. */
  readonly name: string
  readonly policy: Policy
  /**
   * Runs a call once it has a place, else fails with `BulkheadFull` (`BULKHEAD_FULL`). The place is free again when the call
   * has ended, with its finalizers. A call that is interrupted while it waits leaves the queue.
   */
  readonly execute: <A, E, R>(
    self: Effect.Effect<A, E, R>,
    options?: CallOptions
  ) => Effect.Effect<A, E | BulkheadFull, R>
  /** Calls in flight, waiting and rejected. */
  readonly snapshot: Effect.Effect<Snapshot>
}

/**
 * Makes a bulkhead. Each one has its own places, also under the same name.
 *
 * Emits `bulkhead_in_flight`, `bulkhead_queued` and `bulkhead_rejections_total` while its scope is open. Fails with
 * `ConfigurationError` (`INVALID_CONFIG`) if an option is out of its range.
 *
 * **Example** (One call at a time, and no queue)
 *
 * ```ts import.meta.vitest
 * import * as Bulkhead from "@keelson/core/Bulkhead"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const reports = yield* Bulkhead.make("reports", { maxConcurrent: 1 })
 *   const second = Effect.flip(reports.execute(Effect.succeed("never made")))
 *   return yield* reports.execute(second)
 * }).pipe(Effect.scoped)
 *
 * const error = await Effect.runPromise(program)
 * error.message // => "Bulkhead rejected the call: the queue is full"
 * ```
 */
export const make = Effect.fnUntraced(function*(
  name: string,
  options: Options = {}
): Effect.fn.Return<Bulkhead, ConfigurationError, Scope.Scope> {
  const policy = yield* Configuration.decode(Policy)(options)
  return yield* makeBulkhead(name, policy)
})
