/**
 * Options of the replicas of a bucket: checked data from code, a file or the environment.
 */
import * as BreakerPolicy from "@keelson/core/BreakerPolicy"
import type * as Configuration from "@keelson/core/Configuration"
import * as ResiliencePolicy from "@keelson/core/ResiliencePolicy"
import * as Decoders from "@keelson/core/unstable/Decoders"
import * as Field from "@keelson/core/unstable/Field"
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"

/** How replicas are used. Every one may be left out. */
export interface Options {
  /**
   * The breaker of each replica. Without it, a circuit opens when half of at least 10 requests of the last 30 seconds failed, and
   * admits a probe after 10 seconds. Default none.
   */
  readonly breaker?: BreakerPolicy.Options | undefined
  /**
   * How long a replica that is not the last may take to the head of its response, before the next one is asked. Not for requests with
   * a body. From 1 milli to 10 minutes. Default 2 seconds.
   */
  readonly failoverAfter?: Configuration.DurationInput | undefined
  /**
   * Upper bound of a request up to the head of its response, over all replicas and retries. Not for requests with a body. From 1 milli
   * to 1 hour. Default 30 seconds.
   */
  readonly deadline?: Configuration.DurationInput | undefined
  /**
   * Retries at each replica, before the next one is asked. Without it, a single replica gets a second attempt within a budget, and
   * several ones get one attempt each. Default none.
   */
  readonly retry?: ResiliencePolicy.RetryOptions | undefined
}

/** Checked options of replicas. */
export const Replicas = Schema.Struct({
  breaker: Schema.optionalKey(BreakerPolicy.BreakerPolicy),
  failoverAfter: Field.defaulted(Field.duration("1 millis", "10 minutes"), Duration.seconds(2)),
  deadline: Field.defaulted(Field.duration("1 millis", "1 hour"), Duration.seconds(30)),
  retry: ResiliencePolicy.ResiliencePolicy.fields.retry
})
export type Replicas = typeof Replicas.Type

const fromCode = Decoders.maker<Options, typeof Replicas>(Replicas)

/**
 * Checks options given in code. Throws `ConfigurationError` (`INVALID_CONFIG`) naming the option and its bound.
 *
 * **Example** (A breaker that opens after three failures in a row)
 *
 * ```ts import.meta.vitest
 * import { ReplicasOptions } from "@keelson/gateway"
 *
 * const options = ReplicasOptions.make({ breaker: { failureThreshold: 3 }, failoverAfter: "1 second" })
 * options.breaker?.failureThreshold // => 3
 * ```
 */
export const make: (options?: Options) => Replicas = fromCode
