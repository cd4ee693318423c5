/**
 * The part of an object store that an audit log needs: to store one object.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { AuditError } from "./AuditError.ts"

/** An object to store. */
export interface NewObject {
  /** The key in the bucket that the store is for. Required. */
  readonly key: string
  readonly body: Uint8Array
  /** The media type. Required. */
  readonly contentType: string
}

/** Where batches of entries are stored. `@keelson/gateway` has one for S3-compatible stores. */
export class ObjectStore extends Context.Service<ObjectStore, {
  /** Stores an object, in place of one with the same key. Fails with `AuditError` (`AUDIT_STORE_FAILED`). */
  readonly put: (object: NewObject) => Effect.Effect<void, AuditError>
}>()("@keelson/audit/ObjectStore") {}
