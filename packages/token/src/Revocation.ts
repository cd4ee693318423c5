/**
 * Revocation of tokens before they expire: a list of revoked tokens, sessions and subjects, in memory or in Redis.
 *
 * A validator checks the list on every use of a token, also of a cached one. It fails closed: if the list is unavailable, the
 * token is rejected with a 503.
 */
import type * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Decoders from "@keelson/core/unstable/Decoders"
import * as Context from "effect/Context"
import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redis from "effect/persistence/Redis"
import type { Registered } from "./Claims.ts"
import { makeMemoryRevocation } from "./internal/revocation/memoryRevocation.ts"
import { makeRedisRevocation } from "./internal/revocation/redisRevocation.ts"
import type { RevocationUnavailable } from "./internal/revocation/revocationUnavailable.ts"
import * as RevocationOptions from "./RevocationOptions.ts"

const memory = Decoders.decoders<RevocationOptions.MemoryOptions, typeof RevocationOptions.Memory>(
  RevocationOptions.Memory
)
const redisDecoders = Decoders.decoders<RevocationOptions.RedisOptions, typeof RevocationOptions.Redis>(
  RevocationOptions.Redis
)

export { RevocationUnavailable } from "./internal/revocation/revocationUnavailable.ts"

/** The claims that identify a token. The token's text does not identify it: one token can be encoded as different texts. */
export type Identity = Pick<Registered, "iss" | "jti" | "sid" | "sub" | "iat">

/**
 * What to revoke, at one issuer; one of:
 *
 * - `jti`: one token (RFC 7519, 4.1.7);
 * - `sid`: all tokens of a session (OpenID Connect Back-Channel Logout 1.0, 2.4);
 * - `sub`: all tokens of a subject issued (`iat`) until now plus the list's `clockTolerance`, rounded up to a second, and
 *   all of its tokens without `iat`.
 */
export type Subject =
  | { readonly issuer: string; readonly jti: string; readonly sid?: undefined; readonly sub?: undefined }
  | { readonly issuer: string; readonly sid: string; readonly jti?: undefined; readonly sub?: undefined }
  | { readonly issuer: string; readonly sub: string; readonly jti?: undefined; readonly sid?: undefined }

/** A list of revoked tokens. */
export class Revocation extends Context.Service<Revocation, {
  /** Whether a token is revoked. Fails with `RevocationUnavailable`. */
  readonly isRevoked: (token: Identity) => Effect.Effect<boolean, RevocationUnavailable>
  /**
   * Revokes a token, session or subject, and returns once the entry is stored.
   *
   * - `until`: when the last of the revoked tokens expires (`exp`). The entry is kept five minutes longer, the maximum
   *   clock tolerance of a policy, and then deleted. Nothing is stored where that time has passed.
   *
   * Revoking the same again extends the entry and never shortens it. Fails with `RevocationUnavailable`; retry then.
   */
  readonly revoke: (subject: Subject, until: DateTime.Utc) => Effect.Effect<void, RevocationUnavailable>
}>()("@keelson/token/Revocation") {}

/**
 * A list in the memory of this process, which a restart empties: for a single process with short-lived tokens, and for tests.
 *
 * Its entries and bytes are bounded. A full list rejects new entries (`RevocationUnavailable`, `full`), and never drops an
 * entry before its end. Fails with `ConfigurationError` (`INVALID_CONFIG`).
 *
 * **Example** (Revoking a session)
 *
 * ```ts import.meta.vitest
 * import { Revocation } from "@keelson/token"
 * import { DateTime, Duration, Effect } from "effect"
 *
 * const issuer = "https://idp.example"
 * const program = Effect.gen(function*() {
 *   const revocation = yield* Revocation.Revocation
 *   const expiry = DateTime.addDuration(yield* DateTime.now, Duration.hours(1))
 *   yield* revocation.revoke({ issuer, sid: "session-1" }, expiry)
 *   const token = { iss: issuer, sid: "session-1", jti: "1", sub: "ada", iat: undefined }
 *   return yield* revocation.isRevoked(token)
 * })
 * await Effect.runPromise(Effect.provide(program, Revocation.layerMemory())) // => true
 * ```
 */
export const layerMemory = (
  options: RevocationOptions.MemoryOptions = {}
): Layer.Layer<Revocation, KeelsonError.ConfigurationError> =>
  Layer.effect(Revocation, Effect.flatMap(memory.decode(options), makeMemoryRevocation))

/** The same, with options from the environment below a path; see `Configuration.fromEnvironment`. */
export const layerMemoryConfig = (
  path: Configuration.Path
): Layer.Layer<Revocation, KeelsonError.ConfigurationError> =>
  Layer.effect(Revocation, Effect.flatMap(memory.config(path), makeMemoryRevocation))

/** Options of `layerRedis`. */
export interface RedisOptions<E> extends RevocationOptions.RedisOptions {
  /** The connection, such as `NodeRedis.layer(...)`. It is opened in the background, and reopened when it is lost. Required. */
  readonly redis: Layer.Layer<Redis.Redis, E>
}

/**
 * A list in Redis, shared by all processes with the same prefix. Each check is one round trip.
 *
 * It fails closed: a check fails with `RevocationUnavailable` (`store`) where Redis does not respond in time, unless
 * `onStoreFailure` is `"local"`, and always where an entry cannot be read. A revocation of this process takes effect here
 * immediately, even where Redis did not store it and `revoke` fails.
 *
 * Redis need not be available at start, and a hanging connection delays closing the scope by at most one second. Fails with
 * `ConfigurationError` (`INVALID_CONFIG`).
 */
export const layerRedis = <E>(
  { redis, ...options }: RedisOptions<E>
): Layer.Layer<Revocation, KeelsonError.ConfigurationError> =>
  Layer.effect(
    Revocation,
    Effect.flatMap(redisDecoders.decode(options), (checked) => makeRedisRevocation(checked, redis))
  )

/** The same, with options from the environment below a path; see `Configuration.fromEnvironment`. */
export const layerRedisConfig = <E>(
  path: Configuration.Path,
  redis: Layer.Layer<Redis.Redis, E>
): Layer.Layer<Revocation, KeelsonError.ConfigurationError> =>
  Layer.effect(
    Revocation,
    Effect.flatMap(redisDecoders.config(path), (checked) => makeRedisRevocation(checked, redis))
  )
