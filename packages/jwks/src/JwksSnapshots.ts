/**
 * The last good key sets, kept across restarts and between processes: in memory, in files, in Redis, or in any
 * key-value store of Effect.
 *
 * What is loaded is a claim about the past: it keeps its times, goes through the same parser as a response, and is to
 * be revalidated at once. A signature tells that one of us wrote it, and not that it is the newest: whoever may write
 * to the store can put back an older one, until its stale deadline.
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
export { type RefusedReason, SnapshotRefused, SnapshotUnavailable } from "./internal/snapshot/snapshotError.ts"

/** Whose key set it is. A snapshot is kept by tenant and provider, and is good for this issuer and URL only. */
export interface Identity {
  readonly tenantId: string
  readonly providerId: string
  readonly issuer: string
  /** Where the provider is configured to be found: the key set, or the metadata that names it. */
  readonly url: string
}

/**
 * What a response said that concerns later ones, its names in lower case: the validators, by which the document is
 * confirmed (RFC 9110, 8.8), and what its lifetime depends on, which holds on where a 304 does not repeat it (RFC 9111,
 * 4.3.4).
 *
 * No others: `Age` and `Date` are about one message alone.
 */
export interface StoredHeaders {
  readonly etag?: string
  readonly "last-modified"?: string
  readonly "cache-control"?: string
  readonly expires?: string
  readonly vary?: string
}

/** A key set as it was received, with all that is needed to judge and to revalidate it. */
export interface Snapshot extends Identity {
  /** Where the document itself was fetched: other than `url` where metadata named it. It is confirmed there only. */
  readonly documentUrl: string
  /** The document as received, JSON text. */
  readonly body: string
  /** What its response said about caching. One with other members is refused when it is loaded. */
  readonly headers: StoredHeaders
  /** When the origin last confirmed the keys. This and the times below are of the wall clock, in milliseconds. */
  readonly receivedAt: number
  /** When its freshness ends: `receivedAt` or later. */
  readonly expiresAt: number
  /** When its keys are trusted no longer: `expiresAt` or later. */
  readonly staleUntil: number
  /** When it was written; `save` sets it. */
  readonly persistedAt: number
}

/** Keeps the last good key sets. No call waits for the store longer than its `timeout`. */
export class JwksSnapshots extends Context.Service<JwksSnapshots, {
  /** Replaces what is kept for the tenant and provider. Fails with `SnapshotUnavailable` (`STORE_UNAVAILABLE`). */
  readonly save: (snapshot: Omit<Snapshot, "persistedAt">) => Effect.Effect<void, SnapshotUnavailable>
  /**
   * What is kept, its times as they were stored; `None` where there is nothing.
   *
   * - `maxBytes`: the most bytes of the body; a stored text far over it is not even parsed.
   *
   * Fails with `SnapshotRefused` (`SNAPSHOT_REFUSED`), which has the `reason`, and with `SnapshotUnavailable`
   * (`STORE_UNAVAILABLE`).
   */
  readonly load: (
    identity: Identity,
    limits: { readonly maxBytes: number }
  ) => Effect.Effect<Option.Option<Snapshot>, SnapshotRefused | SnapshotUnavailable>
  /** Forgets what is kept for the tenant and provider. Fails with `SnapshotUnavailable` (`STORE_UNAVAILABLE`). */
  readonly remove: (identity: Identity) => Effect.Effect<void, SnapshotUnavailable>
}>()("@keelson/jwks/JwksSnapshots") {}

/** Snapshots in this process, unsigned: for tests, and for caches that come and go in one process. */
export const layerMemory: Layer.Layer<JwksSnapshots> = Layer.sync(
  JwksSnapshots,
  () => makeSnapshots(makeMemoryStore(), undefined, Duration.seconds(1))
)

export interface FileOptions {
  /** The directory of the files: this application's own, which nobody else may write to. It is made if need be. */
  readonly directory: string
  /**
   * Signs the snapshots with HMAC-SHA-256: at least 32 bytes each; the first one signs, all of them verify. Default:
   * they are not signed, and are believed.
   */
  readonly key?: SnapshotKey | undefined
  /** How long a call may take, from 1 millisecond to 10 seconds. Default 2 seconds. */
  readonly timeout?: Field.DurationInput | undefined
}

export interface SharedOptions {
  /** Signs the snapshots with HMAC-SHA-256: at least 32 bytes each; the first one signs, all of them verify. */
  readonly key: SnapshotKey
  /** What comes before `jwks-cache:<tenant>:<provider>` in the names of keys. Default nothing. */
  readonly prefix?: string | undefined
  /** How long a call may take, from 1 millisecond to 10 seconds. Default 200 milliseconds. */
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
 * Snapshots as files, each replaced whole by renaming, readable by their owner only (mode 0600).
 *
 * Fails with `ConfigurationError`: `KEY_INVALID` where a key is too short, `CONFIG_MISSING` where `key` is empty,
 * `INVALID_CONFIG` where `timeout` is out of its range. A directory that cannot be written to fails each `save`.
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

/** Options of a store in Redis that keeps a connection of its own. */
export interface RedisOptions<E> extends SharedOptions {
  /** The connection, such as `NodeRedis.layer(...)`. It is made in the background, and again when it is lost. */
  readonly redis: Layer.Layer<Redis.Redis, E>
}

/**
 * Snapshots in Redis, shared by all processes with the same prefix and key. Redis forgets each one at its stale
 * deadline, but after a second at the earliest.
 *
 * With `redis` among the options it is no error that Redis is not there at start, and a Redis that hangs at shutdown
 * holds up the scope for a second at most. Without it the `Redis` service is used, and is up to its layer: that of Node
 * fails where it cannot connect at start.
 *
 * Fails with `ConfigurationError`: `CONFIG_MISSING` without a key, `KEY_INVALID` where one is too short,
 * `INVALID_CONFIG` where `timeout` is out of its range.
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
        : yield* connectInBackground(redis, "The store of key sets is not connected; snapshots wait for it")
      return makeSnapshots(makeRedisStore(sender, prefix ?? ""), signer, limit)
    })
  )
}

/**
 * Snapshots in a key-value store, such as a table of a database. The store forgets nothing by itself: what is past its
 * stale deadline is refused when it is loaded, and replaced by the next `save`.
 *
 * Fails with `ConfigurationError`: `CONFIG_MISSING` without a key, `KEY_INVALID` where one is too short,
 * `INVALID_CONFIG` where `timeout` is out of its range.
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
