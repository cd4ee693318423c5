/**
 * Whether a token was revoked before its time: a list of tokens, sessions and subjects that are no longer let in, in this
 * process or in Redis.
 *
 * A validator asks on every use of a token, also of one that it remembers. What can't be told is not let in either: a
 * store that fails is a 503.
 */
import type * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
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

export { RevocationUnavailable } from "./internal/revocation/revocationUnavailable.ts"

/** What a token is known by. Its text never is: one token may be spelt in more than one way. */
export type Identity = Pick<Registered, "iss" | "jti" | "sid" | "sub" | "iat">

/**
 * What is revoked, at one issuer; one of:
 *
 * - `jti`: one token (RFC 7519, 4.1.7);
 * - `sid`: all tokens of a session (OpenID Connect Back-Channel Logout 1.0, 2.4);
 * - `sub`: all tokens of a subject that were issued (`iat`) up to now, and those that do not say when. The last second that
 *   counts is the one in which now and the list's `clockTolerance` end.
 */
export type Subject =
  | { readonly issuer: string; readonly jti: string; readonly sid?: undefined; readonly sub?: undefined }
  | { readonly issuer: string; readonly sid: string; readonly jti?: undefined; readonly sub?: undefined }
  | { readonly issuer: string; readonly sub: string; readonly jti?: undefined; readonly sid?: undefined }

/** The list of what is revoked. */
export class Revocation extends Context.Service<Revocation, {
  /** Whether a token is on the list. Fails with `RevocationUnavailable`. */
  readonly isRevoked: (token: Identity) => Effect.Effect<boolean, RevocationUnavailable>
  /**
   * Puts something on the list, and returns once it is kept there.
   *
   * - `until`: when the last of the tokens meant expires (`exp`). The entry stays five minutes longer, which is the most
   *   that a policy may tolerate, and is then forgotten. Where that is over nothing is put on the list.
   *
   * The same once more extends the entry and never shortens it. Fails with `RevocationUnavailable`; try again then.
   */
  readonly revoke: (subject: Subject, until: DateTime.Utc) => Effect.Effect<void, RevocationUnavailable>
}>()("@keelson/token/Revocation") {}

/** Options of `layerMemory`. */
export type MemoryInput = RevocationOptions.Partially<RevocationOptions.MemoryOptions>

/**
 * A list in this process alone, which a restart empties: for one process whose tokens are short-lived, and for tests.
 *
 * It holds a bounded number of entries, and of bytes. A full list refuses what is new (`RevocationUnavailable`, `full`), and
 * never lets an entry go before its end. Fails with `ConfigurationError` (`INVALID_CONFIG`).
 */
export const layerMemory = (options: MemoryInput = {}): Layer.Layer<Revocation, KeelsonError.ConfigurationError> =>
  Layer.effect(Revocation, Effect.flatMap(RevocationOptions.decodeMemory(options), makeMemoryRevocation))

/** The same with options from the environment, below a path; see `Configuration.fromEnvironment`. */
export const layerMemoryConfig = (
  path: Configuration.Path
): Layer.Layer<Revocation, KeelsonError.ConfigurationError> =>
  Layer.effect(Revocation, Effect.flatMap(RevocationOptions.memoryConfig(path), makeMemoryRevocation))

/** Options of `layerRedis`. */
export type RedisInput<E> = RevocationOptions.Partially<RevocationOptions.RedisOptions> & {
  /** The connection, such as `NodeRedis.layer(...)`. It is made in the background, and again when it is lost. */
  readonly redis: Layer.Layer<Redis.Redis, E>
}

/**
 * A list in Redis, shared by all processes with the same prefix. Each check is one round trip.
 *
 * It fails closed: a check that Redis did not answer in time is a `RevocationUnavailable` (`store`), unless
 * `onStoreFailure: "local"` says otherwise; what is there and can't be read is one in any case. What this process revokes it
 * knows at once, also where Redis did not take it, of which `revoke` tells by failing.
 *
 * It is no error that Redis is not there at start, and one that hangs at shutdown holds up the scope for a second at most.
 * Fails with `ConfigurationError` (`INVALID_CONFIG`).
 */
export const layerRedis = <E>(
  { redis, ...options }: RedisInput<E>
): Layer.Layer<Revocation, KeelsonError.ConfigurationError> =>
  Layer.effect(
    Revocation,
    Effect.flatMap(RevocationOptions.decodeRedis(options), (checked) => makeRedisRevocation(checked, redis))
  )

/** The same with options from the environment, below a path; see `Configuration.fromEnvironment`. */
export const layerRedisConfig = <E>(
  path: Configuration.Path,
  redis: Layer.Layer<Redis.Redis, E>
): Layer.Layer<Revocation, KeelsonError.ConfigurationError> =>
  Layer.effect(
    Revocation,
    Effect.flatMap(RevocationOptions.redisConfig(path), (checked) => makeRedisRevocation(checked, redis))
  )
