/**
 * Snapshots of the last good key sets, which survive restarts and are shared between processes: in memory, in files, in
 * Redis, or in any key-value store of Effect.
 *
 * A loaded snapshot keeps its times, is parsed like a response, and is revalidated at once. A signature proves that a holder
 * of the key wrote it, not that it is the newest: anyone with write access to the store can put back an older snapshot until
 * its stale deadline.
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Field from "@keelson/core/unstable/Field"
import { connectInBackground } from "@keelson/core/unstable/RedisConnection"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Path from "effect/Path"
import * as KeyValueStore from "effect/persistence/KeyValueStore"
import * as Redis from "effect/persistence/Redis"
import * as Schema from "effect/Schema"
import { makeFileStore } from "./internal/snapshot/fileStore.ts"
import { makeSigner, type SnapshotKey } from "./internal/snapshot/signature.ts"
import type { SnapshotRefused, SnapshotUnavailable } from "./internal/snapshot/snapshotError.ts"
import { makeSnapshots } from "./internal/snapshot/snapshotStore.ts"
import { makeKeyValueTexts, makeMemoryStore, makeRedisStore } from "./internal/snapshot/textStores.ts"

export type { SnapshotKey } from "./internal/snapshot/signature.ts"
export {
  type RefusedOptions,
  type RefusedReason,
  SnapshotRefused,
  SnapshotUnavailable,
  type UnavailableOptions
} from "./internal/snapshot/snapshotError.ts"

/** The provider of a snapshot. It is stored by tenant and provider, and is valid for this issuer and URL only. */
export interface Identity {
  readonly tenantId: string
  readonly providerId: string
  readonly issuer: string
  /** The configured URL: of the key set, or of the metadata that contain its URL. */
  readonly url: string
}

/**
 * The response headers that later requests need, names in lower case: the validators, which a conditional request sends (RFC
 * 9110, 8.8), and those that the lifetime depends on, which still apply if a 304 does not repeat them (RFC 9111, 4.3.4).
 *
 * `Age` and `Date` are not stored, since they describe one message only.
 */
export interface StoredHeaders {
  readonly etag?: string
  readonly "last-modified"?: string
  readonly "cache-control"?: string
  readonly expires?: string
  readonly vary?: string
}

/** A key set as received, with the data to check and to revalidate it. */
export interface Snapshot extends Identity {
  /** The URL of the key set document, which differs from `url` if it came from metadata. Revalidation uses this URL only. */
  readonly documentUrl: string
  /** The document as received, JSON text. */
  readonly body: string
  /** The headers of its response. A stored snapshot with other headers is refused when it is loaded. */
  readonly headers: StoredHeaders
  /** When the origin last confirmed the keys. This and the times below are wall-clock time, in milliseconds since 1970. */
  readonly receivedAt: number
  /** When its freshness ends: `receivedAt` or later. */
  readonly expiresAt: number
  /** The stale deadline, from which the keys are no longer trusted: `expiresAt` or later. */
  readonly staleUntil: number
  /** When it was written; `save` sets it. */
  readonly persistedAt: number
}

/** Stores the last good key sets. No call waits for the store longer than its `timeout`. */
export class JwksSnapshots extends Context.Service<JwksSnapshots, {
  /** Replaces the snapshot of the tenant and provider. Fails with `SnapshotUnavailable` (`STORE_UNAVAILABLE`). */
  readonly save: (snapshot: Omit<Snapshot, "persistedAt">) => Effect.Effect<void, SnapshotUnavailable>
  /**
   * Returns the snapshot with its stored times, or `None`.
   *
   * - `maxBytes`: upper bound of the body in bytes; a stored text far over it is not parsed.
   *
   * Fails with `SnapshotRefused` (`SNAPSHOT_REFUSED`), which has the `reason`, and with `SnapshotUnavailable`
   * (`STORE_UNAVAILABLE`).
   */
  readonly load: (
    identity: Identity,
    limits: { readonly maxBytes: number }
  ) => Effect.Effect<Option.Option<Snapshot>, SnapshotRefused | SnapshotUnavailable>
  /** Removes the snapshot of the tenant and provider. Fails with `SnapshotUnavailable` (`STORE_UNAVAILABLE`). */
  readonly remove: (identity: Identity) => Effect.Effect<void, SnapshotUnavailable>
}>()("@keelson/jwks/JwksSnapshots") {}

/** Unsigned snapshots in memory: for tests, and for caches that are closed and made again in the same process. */
export const layerMemory: Layer.Layer<JwksSnapshots> = Layer.sync(
  JwksSnapshots,
  () => makeSnapshots(makeMemoryStore(), undefined, Duration.seconds(1))
)

/** The options of snapshots in files. */
export interface FileOptions {
  /** The directory of the files. It is created if absent; no other user may have write access. Required. */
  readonly directory: string
  /**
   * Signs the snapshots with HMAC-SHA-256; of several keys the first one signs and each verifies. Without a key snapshots are
   * neither signed nor verified. At least 32 bytes each. Default none.
   */
  readonly key?: SnapshotKey | undefined
  /** Time limit of a call to the store. From 1 milli to 10 seconds. Default 2 seconds. */
  readonly timeout?: Field.DurationInput | undefined
}

/** The options of snapshots in a store that several processes share. */
export interface SharedOptions {
  /**
   * Signs the snapshots with HMAC-SHA-256; of several keys the first one signs and each verifies. At least 32 bytes each.
   * Required.
   */
  readonly key: SnapshotKey
  /** Prefix of the names `jwks-cache:<tenant>:<provider>` in the store. Default none. */
  readonly prefix?: string | undefined
  /** Time limit of a call to the store. From 1 milli to 10 seconds. Default 200 millis. */
  readonly timeout?: Field.DurationInput | undefined
}

const timeoutOf = (value: Field.DurationInput | undefined, standard: Duration.Duration) =>
  Effect.map(
    Configuration.decode(Schema.Struct({
      timeout: Field.defaulted(Field.duration("1 milli", "10 seconds"), standard)
    }))({ timeout: value }),
    ({ timeout }) => timeout
  )

/**
 * Snapshots as files. Each is replaced atomically by renaming, and readable by its owner only (mode 0600).
 *
 * Fails with `ConfigurationError`: `KEY_INVALID` for a key that is too short, `CONFIG_MISSING` for an empty list of keys,
 * `INVALID_CONFIG` for a `timeout` out of range. If the directory cannot be written to, each `save` fails.
 *
 * **Example** (Snapshots of one machine)
 *
 * ```ts import.meta.vitest
 * import { FetchEgress, JwksSnapshots, KeySource } from "@keelson/jwks"
 * import { Layer } from "effect"
 *
 * const keys = KeySource.layerOidc({ issuer: "https://idp.example" }).pipe(
 *   Layer.provide(JwksSnapshots.layerFile({ directory: "/var/lib/billing/keys" })),
 *   Layer.provide(FetchEgress.layer({ allowedHosts: ["idp.example"] }))
 * )
 * // Requires the file system and paths of the platform, as in `NodeServices.layer`.
 * Layer.isLayer(keys) // => true
 * ```
 */
export const layerFile = (
  { directory, key, timeout }: FileOptions
): Layer.Layer<JwksSnapshots, KeelsonError.ConfigurationError, FileSystem.FileSystem | Path.Path> =>
  Layer.effect(
    JwksSnapshots,
    Effect.gen(function*() {
      const limit = yield* timeoutOf(timeout, Duration.seconds(2))
      const signer = key === undefined ? undefined : yield* makeSigner(key)
      return makeSnapshots(yield* makeFileStore(directory, limit), signer, limit)
    })
  )

/** The options of snapshots in Redis over a connection that the layer makes. */
export interface RedisOptions<E> extends SharedOptions {
  /** The connection, such as `NodeRedis.layer(...)`. It is opened in the background, and again if it is lost. Required. */
  readonly redis: Layer.Layer<Redis.Redis, E>
}

/**
 * Snapshots in Redis, shared by all processes with the same prefix and key. Redis expires each one at its stale deadline,
 * after at least one second.
 *
 * With the option `redis` the layer builds even if Redis is down, and a Redis that hangs at shutdown delays the scope by at
 * most a second. Without it the layer uses the `Redis` service, whose layer decides what happens: that of
 * Node fails if it cannot connect at start.
 *
 * Fails with `ConfigurationError`: `CONFIG_MISSING` without a key, `KEY_INVALID` for a key that is too short,
 * `INVALID_CONFIG` for a `timeout` out of range.
 */
export function layerRedis<E>(options: RedisOptions<E>): Layer.Layer<JwksSnapshots, KeelsonError.ConfigurationError>
export function layerRedis(
  options: SharedOptions
): Layer.Layer<JwksSnapshots, KeelsonError.ConfigurationError, Redis.Redis>
export function layerRedis<E>(
  { key, prefix, redis, timeout }: SharedOptions & Partial<RedisOptions<E>>
): Layer.Layer<JwksSnapshots, KeelsonError.ConfigurationError, Redis.Redis> {
  return Layer.effect(
    JwksSnapshots,
    Effect.gen(function*() {
      const limit = yield* timeoutOf(timeout, Duration.millis(200))
      const signer = yield* makeSigner(key)
      const sender = redis === undefined
        ? yield* Redis.Redis
        : yield* connectInBackground(
          redis,
          "Snapshot store is not connected; pending snapshots are written when it connects"
        )
      return makeSnapshots(makeRedisStore(sender, prefix ?? ""), signer, limit)
    })
  )
}

/**
 * Snapshots in a key-value store, such as a table of a database. The store expires nothing: a snapshot past its stale
 * deadline is refused when it is loaded, and replaced by the next `save`.
 *
 * Fails with `ConfigurationError`: `CONFIG_MISSING` without a key, `KEY_INVALID` for a key that is too short,
 * `INVALID_CONFIG` for a `timeout` out of range.
 */
export const layerKeyValueStore = (
  { key, prefix, timeout }: SharedOptions
): Layer.Layer<JwksSnapshots, KeelsonError.ConfigurationError, KeyValueStore.KeyValueStore> =>
  Layer.effect(
    JwksSnapshots,
    Effect.gen(function*() {
      const limit = yield* timeoutOf(timeout, Duration.millis(200))
      const signer = yield* makeSigner(key)
      return makeSnapshots(makeKeyValueTexts(yield* KeyValueStore.KeyValueStore, prefix ?? ""), signer, limit)
    })
  )
