/**
 * The store of an audit log in a bucket: batches of entries are objects of it.
 */
import { AuditError } from "@keelson/audit/AuditError"
import { type NewObject, ObjectStore as AuditStore } from "@keelson/audit/ObjectStore"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { failures } from "./internal/store/failures.ts"
import type { ObjectStore, StoreBody } from "./ObjectStore.ts"
import { StoreError } from "./StoreError.ts"

const bodyOf = (bytes: Uint8Array): StoreBody => ({
  length: bytes.length,
  chunks: {
    async *[Symbol.asyncIterator]() {
      yield bytes
    }
  },
  isRepeatable: true
})

const failed = (cause: unknown): AuditError => new AuditError({ _tag: "ObjectStore", operation: "put" }, cause)

const put = (store: ObjectStore, { body, contentType, key }: NewObject): Effect.Effect<void, AuditError> =>
  Effect.callback((resume) => {
    let status = 0
    const headers = { "content-type": contentType }
    const call = store.dispatch({ method: "PUT", key, headers, body: bodyOf(body) }, {
      onHead: (head) => status = head.status,
      onData: () => true,
      onEnd: () => resume(status === 200 ? Effect.void : Effect.fail(failed(new StoreError("status", { status })))),
      onFailure: (_, cause) => resume(Effect.fail(failed(cause ?? failures.incomplete)))
    })
    return Effect.sync(() => call.abort())
  })

/**
 * The `ObjectStore` of `@keelson/audit` over a store of this package: `NodeS3Store.make`, or `Replicas.make` of several.
 *
 * An object that is put again replaces the one with its key. Fails with the errors of `store`.
 *
 * **Example** (The audit log in a bucket)
 *
 * ```ts import.meta.vitest
 * import { AuditObjectStore } from "@keelson/gateway"
 * import * as NodeS3Store from "@keelson/gateway/NodeS3Store"
 * import { Layer } from "effect"
 *
 * const store = NodeS3Store.make({ endpoint: "https://s3.example", bucket: "audit", credentials: { env: "AUDIT" } })
 * const layer = AuditObjectStore.layer(store)
 * Layer.isLayer(layer) // => true
 * ```
 */
export const layer = <E, R>(store: Effect.Effect<ObjectStore, E, R>) =>
  Layer.effect(AuditStore, Effect.map(store, (made) => ({ put: (object: NewObject) => put(made, object) })))
