/**
 * Answers from the store: through a fill that other requests share, or by a request of its own.
 */
import type { CacheEntry } from "@keelson/cache/CacheEntry"
import * as Effect from "effect/Effect"
import type { StoreCall, StoreFailure, StoreHandler, StoreHead, StoreRequest } from "../../ObjectStore.ts"
import type { FillCall, FillReader } from "../fill/fill.ts"
import { forwarded } from "./cacheStatus.ts"
import { type Refusal, refusals } from "./errorBody.ts"
import { answerEntry, conditionsOf, notModified } from "./NodeCacheAnswer.ts"
import type { NodeExchange } from "./NodeExchange.ts"
import type { ServedBucket } from "./NodeServed.ts"
import { objectHeaders } from "./preparedEntry.ts"

/** What to do with the answer of the store. */
export interface StorePlan {
  readonly bucket: ServedBucket
  /** Why the store is asked. */
  readonly reason: "uri-miss" | "stale" | "bypass" | "method" | "partial" | "request"
  /** The expired entry that the store was asked about. */
  readonly expired: CacheEntry | undefined
  /** Whether the expired entry may be served if the store is down. */
  readonly isUsableStale: boolean
  /** Whether the preconditions of the client were sent to the store, which then decided them. */
  readonly isForwarded: boolean
  /** Whether the shared request is a HEAD, which only asks about the expired entry. */
  readonly isProbe: boolean
  /** The request for this client alone, where the shared one does not answer it. */
  readonly own: StoreRequest
}

export const failures: Readonly<Record<StoreFailure, Refusal>> = {
  unreachable: refusals.storeUnreachable,
  timeout: refusals.storeTimeout,
  incomplete: refusals.storeBroken,
  rejected: refusals.storeUnavailable,
  invalid: refusals.requestInvalid,
  credentials: refusals.storeUnavailable,
  aborted: refusals.storeBroken
}

/** The refusal for a status that is not one of an object. Bodies of the store do not cross. */
const refusalOf = (status: number): Refusal => {
  switch (status) {
    case 400:
      return refusals.requestInvalid
    case 401:
    case 403:
      return refusals.storeDenied
    case 404:
      return refusals.objectMissing
    case 412:
      return refusals.preconditionFailed
    case 416:
      return refusals.rangeInvalid
    case 429:
    case 503:
      return refusals.storeUnavailable
    case 504:
      return refusals.storeTimeout
    default:
      return refusals.storeBroken
  }
}

/** Whether the store could not answer, so that a stale entry may. */
const isOutage = (status: number): boolean => status >= 500 || status === 429

/** Sends one answer of the store to one client, at the speed of the client. */
export class NodeStoreAnswer implements FillReader {
  readonly #x: NodeExchange
  readonly #plan: StorePlan
  #call: FillCall | undefined
  #isCollapsed = false
  /** The client has its answer; what comes is for the cache alone. */
  #isSink = false
  #isDone = false
  #isForwarded: boolean

  constructor(x: NodeExchange, plan: StorePlan) {
    this.#x = x
    this.#plan = plan
    this.#isForwarded = plan.isForwarded
    x.response.on("drain", () => this.#call?.resume())
    x.response.on("close", () => {
      // The cache still gets what this client did not need.
      if (!this.#isSink) this.#leave()
    })
  }
  /** Another request had begun the fill. */
  collapse(): void {
    this.#isCollapsed = true
  }

  /** Sends the request for this client alone. */
  dispatch(): void {
    this.#isForwarded = true
    const handler: StoreHandler = {
      onHead: (head) => this.onHead(head, false),
      onData: (chunk) => this.onData(chunk),
      onEnd: () => this.onEnd(),
      onFailure: (failure, cause) => this.onFailure(failure, cause)
    }
    const call: StoreCall = this.#plan.bucket.store.dispatch(this.#plan.own, handler)
    this.onJoin({ resume: () => call.resume(), leave: () => call.abort() })
    if (this.#isDone) call.abort()
  }

  readonly onJoin = (call: FillCall): void => {
    this.#call = call
  }
  readonly onHead = (head: StoreHead, isStored: boolean): void => {
    if (this.#isDone) return
    this.#measure()
    const { expired, isProbe } = this.#plan
    const isForwarded = this.#isForwarded
    if (head.status === 304 && expired !== undefined && !isForwarded) {
      return this.#answerExpired(expired, "revalidated", 304)
    }
    if (head.status === 200 && isProbe && !isForwarded && !this.#x.isHead) {
      this.#call?.leave()
      return this.dispatch()
    }
    this.#label(head.status, isStored)
    if (head.status === 200 || head.status === 206 || (head.status === 304 && isForwarded)) {
      return this.#answerObject(head, isStored)
    }
    if (isOutage(head.status)) return this.#answerOutage(refusalOf(head.status), head.status)
    const extra = head.status === 416 && head.headers["content-range"] !== undefined
      ? ["content-range", head.headers["content-range"]]
      : []
    this.#x.refuse(refusalOf(head.status), extra)
    this.#leave()
  }
  readonly onData = (chunk: Uint8Array): boolean => {
    if (this.#isSink || this.#isDone) return true
    this.#x.sent += chunk.length
    return this.#x.response.write(chunk)
  }
  readonly onEnd = (): void => {
    if (this.#isDone) return
    if (!this.#isSink && this.#x.response.headersSent) this.#x.response.end()
    this.#finish()
  }
  readonly onFailure = (failure: StoreFailure, _cause: unknown): void => {
    if (this.#isDone) return
    this.#measure()
    if (this.#isSink) return this.#finish()
    if (this.#x.response.headersSent) {
      this.#plan.bucket.counts.failures++
      this.#x.response.destroy()
      return this.#finish()
    }
    this.#answerOutage(failures[failure], undefined)
  }
  readonly onRetry = (): void => {
    if (this.#isDone) return
    this.#isCollapsed = false
    this.dispatch()
  }

  #measure(): void {
    const { split } = this.#x
    if (split.store === 0n) split.store = this.#x.since(this.#x.storeStarted)
  }
  #label(status: number | undefined, isStored: boolean): void {
    this.#x.result = this.#plan.reason === "uri-miss" || this.#plan.reason === "stale" ? "miss" : "bypass"
    this.#x.cacheStatus = forwarded(this.#plan.reason, status, isStored, this.#isCollapsed)
  }
  #answerObject(head: StoreHead, isStored: boolean): void {
    const x = this.#x
    const { bucket } = this.#plan
    const headers = objectHeaders(
      bucket.headers.fromStore(head.status, head.headers),
      bucket.vary,
      bucket.options.public
    )
    const length = head.headers["content-length"]
    if (!this.#isForwarded && head.status === 200) {
      const { status } = conditionsOf(x, {
        etag: head.headers["etag"],
        lastModified: head.headers["last-modified"],
        size: Number(length ?? 0)
      })
      if (status === 304 || status === 412) {
        this.#isSink = isStored
        if (status === 304) x.sendEmpty(304, notModified(headers))
        else x.refuse(refusals.preconditionFailed)
        return isStored ? undefined : this.#leave()
      }
    }
    if (head.status === 304) {
      x.sendEmpty(304, notModified(headers))
      return this.#leave()
    }
    if (head.status === 206 && head.headers["content-range"] !== undefined && !headers.includes("content-range")) {
      headers.push("content-range", head.headers["content-range"])
    }
    if (length !== undefined) headers.push("content-length", length)
    x.head(head.status, headers)
    if (!x.isHead) return
    x.response.end()
    this.#leave()
  }
  #answerOutage(refusal: Refusal, status: number | undefined): void {
    const { bucket, expired, isUsableStale } = this.#plan
    bucket.counts.failures++
    if (expired !== undefined && isUsableStale && !this.#isForwarded) {
      return this.#answerExpired(expired, "stale", status)
    }
    this.#label(status, false)
    this.#x.refuse(refusal, refusal.status === 503 ? ["retry-after", "1"] : [])
    this.#leave()
  }
  #answerExpired(entry: CacheEntry, result: "revalidated" | "stale", status: number | undefined): void {
    const cacheStatus = forwarded("stale", status, false, this.#isCollapsed)
    const body = answerEntry(this.#x, this.#plan.bucket, entry, { result, cacheStatus })
    if (body === undefined) return this.#leave()
    // An entry that cannot be read is one that the store has to send.
    this.#call?.leave()
    this.#x.runBody(Effect.catch(body, () => Effect.sync(() => this.dispatch())))
  }
  #leave(): void {
    if (this.#isDone) return
    const call = this.#call
    this.#finish()
    call?.leave()
  }
  #finish(): void {
    this.#isDone = true
  }
}
