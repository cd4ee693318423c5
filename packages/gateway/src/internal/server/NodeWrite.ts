/**
 * PUT and DELETE of an object, where the bucket allows them. What the cache has of the object is removed.
 */
import * as Effect from "effect/Effect"
import type { StoreBody, StoreCall, StoreFailure, StoreHead } from "../../ObjectStore.ts"
import { type Refusal, refusals } from "./errorBody.ts"
import type { NodeExchange } from "./NodeExchange.ts"
import { cacheKeyOf, forgetObject } from "./NodeObjectRequest.ts"
import type { ServedBucket } from "./NodeServed.ts"
import { failures } from "./NodeStoreAnswer.ts"

/** The body of an upload, or why it is not accepted. */
const bodyOf = (x: NodeExchange): StoreBody | Refusal => {
  const length = x.header("content-length")
  if (length === undefined || x.header("transfer-encoding") !== undefined) return refusals.lengthMissing
  return { length: Number(length), chunks: x.request }
}

/** Answers a PUT or DELETE. */
export const answerWrite = (x: NodeExchange, bucket: ServedBucket, key: string, method: "PUT" | "DELETE"): void => {
  const headers = bucket.headers.toStore(method, x.request.headers)
  if (headers === undefined) {
    bucket.counts.refusals.upload++
    return x.refuse(refusals.uploadEncoded)
  }
  const body = method === "DELETE" ? undefined : bodyOf(x)
  if (body !== undefined && "status" in body) {
    bucket.counts.refusals.upload++
    return x.refuse(body)
  }
  x.result = "bypass"
  x.storeStarted = x.shared.clock.monotonicTimeNanosUnsafe()
  // Clients with `Expect: 100-continue` send the body now (RFC 9110, 10.1.1).
  if (x.awaitsContinue) x.response.writeContinue()
  const cacheKey = cacheKeyOf(bucket, key)
  const forget = cacheKey === undefined ? Effect.void : Effect.ignore(forgetObject(x.shared, cacheKey))
  const sent = Effect.callback<StoreHead | StoreFailure>((resume) => {
    let head: StoreHead | undefined
    const call: StoreCall = bucket.store.dispatch({
      method,
      key,
      headers,
      ...(body === undefined ? undefined : { body })
    }, {
      onHead: (received) => {
        head = received
      },
      onData: () => true,
      onEnd: () => resume(Effect.succeed(head ?? "incomplete")),
      onFailure: (failure) => resume(Effect.succeed(failure))
    })
    return Effect.sync(() => call.abort())
  })
  // Also after a failure, and if the client left: the store may have done it.
  x.runBody(Effect.flatMap(
    Effect.ensuring(Effect.andThen(forget, sent), forget),
    (result) => Effect.sync(() => answer(x, result))
  ))
}

const answer = (x: NodeExchange, result: StoreHead | StoreFailure): void => {
  x.split.store = x.since(x.storeStarted)
  if (x.isOver) return
  if (typeof result === "string") {
    if (x.bucket !== undefined) x.bucket.counts.failures++
    return x.refuse(failures[result])
  }
  const { headers, status } = result
  const etag = headers["etag"]
  if (status >= 200 && status < 300) return x.sendEmpty(status, etag === undefined ? [] : ["etag", etag])
  x.refuse(refusalOf(status))
}

const refusalOf = (status: number): Refusal => {
  switch (status) {
    case 400:
    case 413:
      return refusals.requestInvalid
    case 403:
      return refusals.storeDenied
    case 404:
      return refusals.objectMissing
    case 409:
    case 412:
      return refusals.preconditionFailed
    case 503:
    case 429:
      return refusals.storeUnavailable
    default:
      return status >= 500 ? refusals.storeBroken : refusals.requestInvalid
  }
}
