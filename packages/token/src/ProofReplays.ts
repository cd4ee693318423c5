/**
 * The record of DPoP proofs that were used, so that nobody can send a proof a second time: in memory, or in Redis for an API with
 * several processes.
 *
 * A proof is recorded only after the token and the proof were verified. If the record is unavailable or full, the request is
 * rejected with a 503.
 *
 * @see RFC 9449, 11.1
 */
import type * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Decoders from "@keelson/core/unstable/Decoders"
import * as Field from "@keelson/core/unstable/Field"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redis from "effect/persistence/Redis"
import * as Schema from "effect/Schema"
import { makeMemoryReplays, makeRedisReplays } from "./internal/dpop/replays.ts"
import type { ReplaysUnavailable } from "./internal/dpop/replaysUnavailable.ts"

export { ReplaysUnavailable } from "./internal/dpop/replaysUnavailable.ts"

/** The options of a record in memory. Every one may be left out. */
export interface MemoryOptions {
  /**
   * Upper bound of the proofs in this process. A proof is kept for as long as it would be accepted, two minutes by default: an
   * API with 1,000 requests in a second needs 120,000. From 1 to 10000000. Default 200000.
   */
  readonly maxEntries?: number | undefined
}

/** The options of a record in Redis, without its connection. Every one may be left out. */
export interface RedisStoreOptions extends MemoryOptions {
  /**
   * The prefix of the record's keys. Processes with the same prefix share a record. From 0 to 128 characters without braces.
   * Default keelson:dpop:.
   */
  readonly prefix?: string | undefined
  /** How long to wait for a response of Redis. From 1 milli to 10 seconds. Default 200 millis. */
  readonly timeout?: Field.DurationInput | undefined
  /**
   * What happens to requests when Redis does not respond: `refuse` rejects them with a 503; `local` only detects proofs that were
   * used at this process, so that a proof can be used once at each process. Default refuse.
   */
  readonly onStoreFailure?: "refuse" | "local" | undefined
}

/**
 * Checked options of a record in memory.
 *
 * **Example** (Checked options)
 *
 * ```ts import.meta.vitest
 * import { Configuration } from "@keelson/core"
 * import { ProofReplays } from "@keelson/token"
 * import { Effect } from "effect"
 *
 * const options = await Effect.runPromise(Configuration.decode(ProofReplays.Memory)({}))
 * options.maxEntries // => 200000
 * ```
 */
export const Memory = Schema.Struct({ maxEntries: Field.defaulted(Field.int(1, 10_000_000), 200_000) })
export type Memory = typeof Memory.Type

/** Checked options of a record in Redis. */
export const RedisStore = Schema.Struct({
  ...Memory.fields,
  prefix: Field.defaulted(
    Schema.String.check(
      Schema.isPattern(/^[^{}]{0,128}$/, { expected: "text from 0 to 128 characters without braces" })
    ),
    "keelson:dpop:"
  ),
  timeout: Field.defaulted(Field.duration("1 millis", "10 seconds"), Duration.millis(200)),
  onStoreFailure: Field.defaulted(Schema.Literals(["refuse", "local"]), "refuse")
})
export type RedisStore = typeof RedisStore.Type

const memory = Decoders.decoders<MemoryOptions, typeof Memory>(Memory)
const redisDecoders = Decoders.decoders<RedisStoreOptions, typeof RedisStore>(RedisStore)

/** A proof that was verified. */
export interface UsedProof {
  /** The thumbprint of its key. */
  readonly jkt: string
  /** Its identifier, of at most 256 characters, which the client chose. */
  readonly jti: string
  /** When it ceases to be accepted, in milliseconds since 1970. */
  readonly end: number
}

/** A record of used proofs. */
export class ProofReplays extends Context.Service<ProofReplays, {
  /**
   * Records a proof. Returns `false` where it was recorded before: of several callers with one proof, one gets `true`. Fails with
   * `ReplaysUnavailable`.
   */
  readonly add: (proof: UsedProof) => Effect.Effect<boolean, ReplaysUnavailable>
}>()("@keelson/token/ProofReplays") {}

/**
 * A record in the memory of this process, which a restart empties. `HttpSecurity` has one of its own by default: use this layer to
 * set its bound, or to share it.
 *
 * A full record takes no further proofs (`ReplaysUnavailable`, `full`), and never drops one before its end. Fails with
 * `ConfigurationError` (`INVALID_CONFIG`).
 *
 * **Example** (A proof is used once)
 *
 * ```ts import.meta.vitest
 * import { ProofReplays } from "@keelson/token"
 * import { Clock, Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const replays = yield* ProofReplays.ProofReplays
 *   const end = (yield* Clock.currentTimeMillis) + 60_000
 *   const proof = { jkt: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I", jti: "1", end }
 *   return [yield* replays.add(proof), yield* replays.add(proof)]
 * })
 * await Effect.runPromise(Effect.provide(program, ProofReplays.layerMemory())) // => [true, false]
 * ```
 */
export const layerMemory = (
  options: MemoryOptions = {}
): Layer.Layer<ProofReplays, KeelsonError.ConfigurationError> =>
  Layer.effect(ProofReplays, Effect.flatMap(memory.decode(options), makeMemoryReplays))

/** Options of `layerRedis`. */
export interface RedisOptions<E> extends RedisStoreOptions {
  /** The connection, such as `NodeRedis.layer(...)`. It is opened in the background, and reopened when it is lost. Required. */
  readonly redis: Layer.Layer<Redis.Redis, E>
}

/**
 * A record in Redis, shared by all processes with the same prefix. Each proof is one command (`SET` with `NX` and `PX`).
 *
 * It fails closed: without a response of Redis in time, a request is rejected with a 503, unless `onStoreFailure` is `"local"`.
 * Redis must not evict keys (`maxmemory-policy noeviction`), and forgets the last proofs in a failover that loses writes. Fails
 * with `ConfigurationError` (`INVALID_CONFIG`).
 */
export const layerRedis = <E>(
  { redis, ...options }: RedisOptions<E>
): Layer.Layer<ProofReplays, KeelsonError.ConfigurationError> =>
  Layer.effect(
    ProofReplays,
    Effect.flatMap(redisDecoders.decode(options), (checked) => makeRedisReplays(checked, redis))
  )

/** The same, with options from the environment below a path; see `Configuration.fromEnvironment`. */
export const layerRedisConfig = <E>(
  path: Configuration.Path,
  redis: Layer.Layer<Redis.Redis, E>
): Layer.Layer<ProofReplays, KeelsonError.ConfigurationError> =>
  Layer.effect(
    ProofReplays,
    Effect.flatMap(redisDecoders.config(path), (checked) => makeRedisReplays(checked, redis))
  )
