/** The tag of snapshot stores, without the stores: a cache loads only this. */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { SnapshotRefused, SnapshotUnavailable } from "./snapshotError.ts"

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
