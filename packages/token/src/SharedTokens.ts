/**
 * Tokens that processes share: one process requests a token, and all others take it from Redis.
 *
 * A process that needs a token takes the stored one, or the lease to request one for all. Lookups of a valid token are answered
 * from memory and do not touch Redis. When Redis does not respond, every process requests its own tokens. Stored tokens are
 * encrypted.
 */
import type * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Decoders from "@keelson/core/unstable/Decoders"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redis from "effect/persistence/Redis"
import { makeMemoryTokens } from "./internal/fleet/memoryTokens.ts"
import { makeRedisTokens } from "./internal/fleet/redisTokens.ts"
import { SharedTokens } from "./internal/fleet/sharedTokensTag.ts"
import * as SharedTokensOptions from "./SharedTokensOptions.ts"

export { type RefreshTokenOptions, SharedTokens } from "./internal/fleet/sharedTokensTag.ts"

const decoders = Decoders.decoders<SharedTokensOptions.Options, typeof SharedTokensOptions.SharedTokensOptions>(
  SharedTokensOptions.SharedTokensOptions
)

/** Options of `layerRedis`. */
export interface RedisOptions<E> extends SharedTokensOptions.Options {
  /** The connection, such as `NodeRedis.layer(...)`. It is opened in the background, and reopened when it is lost. Required. */
  readonly redis: Layer.Layer<Redis.Redis, E>
}

/**
 * Tokens shared by all processes with the same prefix, keys and Redis.
 *
 * A provider shares the tokens of a source that has an `identity`: those of `OAuthClient.clientCredentials`, and of
 * `OAuthClient.refreshToken` with a store of `refreshTokenStore`. DPoP-bound and certificate-bound tokens are not shared.
 *
 * - One process at a time has the lease to request a token. It renews the lease until the request ends. A process that dies is
 *   replaced after `lease`. A write of a process whose lease went to another is refused.
 * - A failed request makes all processes pause, at most `maxFailureDelay` or as long as the server's `Retry-After` says.
 * - A token that a server rejects with a 401 is replaced once by all processes together, at most once per `refusalCooldown` of
 *   the policy.
 * - Redis stores tokens encrypted (AES-256-GCM). A value that cannot be decrypted is replaced, and counted in
 *   `shared_token_ignored_values_total`.
 *
 * Redis need not be available at start, and a hanging connection delays closing the scope by at most one second. Fails with
 * `ConfigurationError` (`INVALID_CONFIG`).
 *
 * **Example** (A guard whose tokens are shared)
 *
 * ```ts import.meta.vitest
 * import { SharedTokens, TokenGuard } from "@keelson/token"
 * import { Effect, Layer, Redacted } from "effect"
 * import { Redis } from "effect/persistence"
 *
 * class Billing extends TokenGuard.Service<Billing>()("app/Billing") {}
 *
 * const shared = SharedTokens.layerRedis({
 *   // Instead of `NodeRedis.layer({ url: "rediss://redis.internal:6379" })` of `@effect/platform-node`.
 *   redis: Layer.effect(Redis.Redis, Effect.never),
 *   keys: [{ id: "2026-11", key: Redacted.make("from a vault: openssl rand -base64 32") }]
 * })
 * const billing = Billing.layer({
 *   origins: ["https://billing.example"],
 *   // Instead of `OAuthClient.clientCredentials(...)`, whose tokens are shared.
 *   source: Effect.succeed({ accessToken: Redacted.make("abc") })
 * })
 *
 * Layer.isLayer(Layer.provide(billing, shared)) // => true
 * ```
 */
export const layerRedis = <E>(
  { redis, ...options }: RedisOptions<E>
): Layer.Layer<SharedTokens, KeelsonError.ConfigurationError> =>
  Layer.effect(SharedTokens, Effect.flatMap(decoders.decode(options), (checked) => makeRedisTokens(checked, redis)))

/** The same, with options from the environment below a path; see `Configuration.fromEnvironment`. */
export const layerRedisConfig = <E>(
  path: Configuration.Path,
  redis: Layer.Layer<Redis.Redis, E>
): Layer.Layer<SharedTokens, KeelsonError.ConfigurationError> =>
  Layer.effect(SharedTokens, Effect.flatMap(decoders.config(path), (checked) => makeRedisTokens(checked, redis)))

/**
 * Tokens shared by the providers of one process, in its memory: for tests and for simulations of a fleet
 * (`@keelson/core/testing/Simulate`), in which each provider stands for a process.
 *
 * **Example** (One token request for three providers)
 *
 * ```ts import.meta.vitest
 * import { SharedTokens, TokenProvider, TokenSource } from "@keelson/token"
 * import { Effect, Redacted } from "effect"
 *
 * let requests = 0
 * const source = TokenSource.fromEffect(
 *   Effect.sync(() => ({ accessToken: Redacted.make(`token ${++requests}`.replace(" ", "-")) })),
 *   () => false,
 *   { issuer: "https://idp.example", clientId: "app" }
 * )
 * const token = Effect.flatMap(TokenProvider.make({ name: "billing", source }), ({ get }) => get)
 * const program = Effect.all([token, token, token], { concurrency: "unbounded" })
 *
 * await Effect.runPromise(Effect.scoped(Effect.provide(program, SharedTokens.layerMemory)))
 * requests // => 1
 * ```
 */
export const layerMemory: Layer.Layer<SharedTokens> = Layer.sync(SharedTokens, makeMemoryTokens)
