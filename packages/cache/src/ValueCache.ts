/**
 * A cache of typed values: looks a value up by an effect, and keeps it, encoded by its schema, in any cache of this package.
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import type * as SingleFlight from "@keelson/core/SingleFlight"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { type CacheEntry, readBytes } from "./CacheEntry.ts"
import type { CacheError } from "./CacheError.ts"
import * as CacheKey from "./CacheKey.ts"
import * as CacheLoader from "./CacheLoader.ts"
import { makeLoader } from "./internal/loader/loader.ts"

/** Options of `make`. */
export interface Options<S extends Schema.Codec<unknown, unknown>, Input, E, R>
  extends Omit<CacheLoader.Options<E, R>, "load">
{
  /** The name of the bucket of the values. From 1 to 255 characters. Required. */
  readonly bucket: string
  /** The schema of the values. It must encode to JSON. Required. */
  readonly schema: S
  /** The name of a value in the bucket, different for different inputs. From 1 to 4096 characters. Required. */
  readonly key: (input: Input) => string
  /** Looks a value up. Required. */
  readonly lookup: (input: Input) => Effect.Effect<S["Type"], E, R>
}

/** A cache of values. */
export interface ValueCache<Input, A, out E> {
  /**
   * The value of an input: from the cache, or looked up, once for all callers that wait for it. Fails with the errors of the lookup,
   * and with `CacheKeyInvalid` (`CACHE_KEY_INVALID`) for an input whose key is not valid.
   */
  readonly get: (input: Input) => Effect.Effect<A, E | CacheKey.CacheKeyInvalid | SingleFlight.Closed>
  /** Looks a value up although the cache has it. */
  readonly refresh: (input: Input) => Effect.Effect<A, E | CacheKey.CacheKeyInvalid | SingleFlight.Closed>
  /** Removes a value that has changed. Returns whether there was one. */
  readonly invalidate: (input: Input) => Effect.Effect<boolean, CacheError | CacheKey.CacheKeyInvalid>
}

const utf8 = new TextEncoder()
const fromUtf8 = new TextDecoder("utf-8", { fatal: true })

/**
 * Makes a cache of values.
 *
 * A cached text that the schema does not decode, as after a change of the schema, counts as absent: the value is looked up
 * again. Fails with `ConfigurationError` (`INVALID_CONFIG`) if an option is out of its range.
 *
 * **Example** (Prices that are looked up once in five minutes)
 *
 * ```ts import.meta.vitest
 * import { MemoryCache, ValueCache } from "@keelson/cache"
 * import { Effect, Schema } from "effect"
 *
 * let lookups = 0
 * const program = Effect.gen(function*() {
 *   const prices = yield* ValueCache.make({
 *     cache: yield* MemoryCache.make(),
 *     bucket: "prices",
 *     schema: Schema.Struct({ amount: Schema.Number }),
 *     key: (product: string) => product,
 *     lookup: (product) => Effect.sync(() => ({ amount: product.length + lookups++ })),
 *     ttl: "5 minutes"
 *   })
 *   return [yield* prices.get("pear"), yield* prices.get("pear")]
 * })
 * await Effect.runPromise(Effect.scoped(program)) // => [{ amount: 4 }, { amount: 4 }]
 * ```
 */
export const make = Effect.fnUntraced(function*<S extends Schema.Codec<unknown, unknown>, Input, E, R>(
  { bucket, cache, key, lookup, schema, ...data }: Options<S, Input, E, R>
): Effect.fn.Return<ValueCache<Input, S["Type"], E>, KeelsonError.ConfigurationError, R | Scope.Scope> {
  const policy = yield* Configuration.decode(CacheLoader.Policy)(data)
  const json = Schema.fromJsonString(Schema.toCodecJson(schema))
  const decode = Schema.decodeUnknownResult(json)
  const encode = Schema.encodeEffect(json)
  const load = (input: Input) =>
    Effect.flatMap(lookup(input), (value) =>
      // A value that its own schema does not encode is a defect of the program.
      Effect.map(Effect.orDie(encode(value)), (text) => ({ body: utf8.encode(text) })))
  const { getOrLoad, invalidate, reload } = yield* makeLoader(cache, load, policy)

  const valueOf = (entry: CacheEntry): Effect.Effect<Result.Result<S["Type"], unknown>> =>
    Effect.map(
      Effect.result(readBytes(entry)),
      (bytes) =>
        Result.flatMap(bytes, (read) =>
          Result.flatMap(
            Result.try(() => fromUtf8.decode(read)),
            (text): Result.Result<S["Type"], unknown> => decode(text)
          ))
    )
  const keyOf = (input: Input) => Effect.fromResult(CacheKey.make({ bucket, key: key(input) }))
  const loadValue = (cacheKey: CacheKey.CacheKey, input: Input) =>
    Effect.flatMap(reload(cacheKey, input), (entry) =>
      Effect.flatMap(valueOf(entry), (value) =>
        Result.isSuccess(value)
          ? Effect.succeed(value.success)
          : Effect.die(new Error("A value of the cache cannot be decoded right after it was encoded"))))

  return {
    get: (input) =>
      Effect.flatMap(
        keyOf(input),
        (cacheKey) =>
          Effect.flatMap(getOrLoad(cacheKey, input), (entry) =>
            Effect.flatMap(valueOf(entry), (value) =>
              Result.isSuccess(value) ? Effect.succeed(value.success) : loadValue(cacheKey, input)))
      ),
    refresh: (input) => Effect.flatMap(keyOf(input), (cacheKey) => loadValue(cacheKey, input)),
    invalidate: (input) => Effect.flatMap(keyOf(input), invalidate)
  }
})
