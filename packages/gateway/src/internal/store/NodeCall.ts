/** One request to a store over undici: signed, watched, with its body passed on chunk by chunk. */
import type * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Dispatcher, Pool } from "undici"
import type { StoreCall, StoreFailure, StoreHandler, StoreRequest } from "../../ObjectStore.ts"
import { StoreError } from "../../StoreError.ts"
import type { Keys } from "../credentials/keys.ts"
import type { KeySource } from "../credentials/keySource.ts"
import { discardable, failureOf, failures, isStaleConnection } from "./failures.ts"
import type { Signer } from "./NodeSigner.ts"
import { encodeKey } from "./objectPath.ts"
import { isFramed, requestHeaders, responseHeaders } from "./storeHeaders.ts"
import type { Watchdog, Watched } from "./watchdog.ts"

/** What the requests to one store have in common. */
export interface Connection {
  readonly pool: Pool
  readonly maxConnections: number
  /** The value of `host`. */
  readonly authority: string
  /** What precedes the key in every path. */
  readonly prefix: string
  readonly signer: Signer
  /** `undefined` for a store that is asked without signatures. */
  readonly keys: KeySource | undefined
  readonly clock: Clock.Clock
  readonly watchdog: Watchdog
  /** How many ticks connecting, the head of a response and a pause in a body may take. */
  readonly limits: { readonly connect: number; readonly head: number; readonly idle: number }
  /** How many milliseconds the clock of the store is ahead, as far as it matters. */
  readonly skew: { millis: number }
  readonly fork: (effect: Effect.Effect<void>) => void
}

type IncomingHeaders = Readonly<Record<string, string | Array<string> | undefined>>

const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/** What a header may have, so that the store reads what was signed. */
const signable = /^[\t\x20-\x7e]*$/

/** AWS refuses requests that are more than 15 minutes off; a smaller difference is no reason of a 403. */
const leastSkew = 300_000
const mostSkew = 86_400_000

const hasBody = (method: string, status: number): boolean => method !== "HEAD" && status !== 204 && status !== 304

/** A request that runs. undici calls its `on...` methods. */
export class Call implements StoreCall, Watched, Dispatcher.DispatchHandler {
  readonly #to: Connection
  readonly #request: StoreRequest
  readonly #handler: StoreHandler
  #controller: Dispatcher.DispatchController | undefined
  #isEnded = false
  #hasHead = false
  #isPaused = false
  #isBodyLate = false
  #hasResent = false
  #hasCorrected = false
  #isDiscarded = false
  #received = 0
  #expected: number | undefined
  #isDelimited = true
  since: number
  limit: number

  constructor(to: Connection, request: StoreRequest, handler: StoreHandler) {
    this.#to = to
    this.#request = request
    this.#handler = handler
    this.since = to.watchdog.tick
    this.limit = to.limits.connect
  }

  /** Sends the request, or fails after this function returned. */
  start(): this {
    const { keys, watchdog } = this.#to
    watchdog.add(this)
    if (keys === undefined) this.#send(undefined)
    else {
      const current = keys.current()
      if (current === undefined) this.#sendLater(keys)
      else this.#send(current)
    }
    return this
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.since = this.#to.watchdog.tick
    this.#controller?.resume()
  }

  abort(): void {
    this.#fail("aborted", failures.aborted)
  }

  onSilence(): void {
    const { maxConnections, pool, watchdog } = this.#to
    if (this.#isPaused || this.#isBodyLate) this.since = watchdog.tick
    // That receivers are slow is no evidence about the store.
    else if (this.#controller === undefined && pool.stats.connected >= maxConnections) {
      this.#fail("rejected", failures.busy)
    } else this.#fail("timeout", this.#hasHead ? failures.silent : failures.timeout)
  }

  #sendLater(keys: KeySource): void {
    this.limit = Number.POSITIVE_INFINITY
    const sent = Effect.match(keys.load, {
      onSuccess: (loaded) => this.#send(loaded),
      onFailure: (error) => this.#fail("credentials", error)
    })
    this.#to.fork(sent)
  }

  #send(keys: Keys | undefined): void {
    if (this.#isEnded) return
    const { limits, pool, prefix, watchdog } = this.#to
    this.since = watchdog.tick
    this.limit = limits.connect
    const { body, key, method } = this.#request
    const encoded = encodeKey(key)
    if (encoded === undefined) return this.#failLater(failures.key)
    if (isFramed(this.#request)) return this.#failLater(failures.framed)
    const path = prefix + encoded
    const headers = this.#headersFor(path, keys)
    if (headers === undefined) return this.#failLater(failures.header)
    const isEmpty = body === undefined || body.length === 0
    if (!isEmpty) headers["content-length"] = String(body.length)
    const options = {
      path,
      method,
      headers,
      body: isEmpty ? null : this.#chunks(body.chunks),
      // Keeps the connection after a HEAD, which undici closes otherwise.
      reset: false
    }
    // oxlint-disable-next-line no-unsafe-type-assertion -- undici takes an async iterable, which its types do not name
    pool.dispatch(options as Dispatcher.DispatchOptions, this)
  }

  #headersFor(path: string, keys: Keys | undefined): Record<string, string> | undefined {
    const { authority, clock, signer, skew } = this.#to
    const { body, headers: given, method } = this.#request
    const headers = requestHeaders(given)
    for (const name in headers) if (!signable.test(headers[name] ?? "")) return undefined
    headers["host"] = authority
    if (keys === undefined) return headers
    headers["x-amz-content-sha256"] ??= body === undefined || body.length === 0 ? emptyHash : "UNSIGNED-PAYLOAD"
    signer.sign({ method, path, headers }, keys, clock.currentTimeMillisUnsafe() + skew.millis)
    return headers
  }

  /** The body. While the caller has no chunk, the store is not the one that is silent. */
  async *#chunks(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
    this.#isBodyLate = true
    try {
      for await (const chunk of chunks) {
        this.#isBodyLate = false
        this.since = this.#to.watchdog.tick
        yield chunk
        this.#isBodyLate = true
      }
    } catch (cause) {
      this.#fail("aborted", new StoreError("aborted", { message: "The body of the request broke off", cause }))
      throw cause
    } finally {
      this.#isBodyLate = false
      this.since = this.#to.watchdog.tick
    }
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.#isEnded) return controller.abort(failures.aborted)
    this.#controller = controller
    this.since = this.#to.watchdog.tick
    this.limit = this.#to.limits.head
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: IncomingHeaders): void {
    this.since = this.#to.watchdog.tick
    if (status < 200 || this.#isEnded) return
    this.limit = this.#to.limits.idle
    if (status === 403 && this.#hasWrongTime(headers)) {
      this.#isDiscarded = true
      return
    }
    const isEmpty = !hasBody(this.#request.method, status)
    const length = headers["content-length"]
    this.#expected = isEmpty || length === undefined ? undefined : Number(length)
    this.#isDelimited = isEmpty || length !== undefined || headers["transfer-encoding"] !== undefined
    this.#hasHead = true
    this.#handler.onHead({ status, headers: responseHeaders(headers), replica: 0 })
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.since = this.#to.watchdog.tick
    if (this.#isEnded) return
    this.#received += chunk.length
    if (this.#isDiscarded) {
      if (this.#received > discardable) controller.abort(failures.aborted)
      return
    }
    if (this.#handler.onData(chunk)) return
    this.#isPaused = true
    controller.pause()
  }

  onResponseEnd(): void {
    if (this.#isEnded) return
    if (this.#isDiscarded) return this.#again()
    // Without a length and without chunks, a body that broke off looks like a whole one.
    const isWhole = this.#isDelimited && (this.#expected === undefined || this.#expected === this.#received)
    if (!isWhole) return this.#fail("incomplete", failures.incomplete)
    this.#isEnded = true
    this.#to.watchdog.delete(this)
    this.#handler.onEnd()
  }

  onResponseError(_: Dispatcher.DispatchController, cause: Error): void {
    if (this.#isEnded) return
    if (this.#isDiscarded) return this.#again()
    if (this.#hasHead) return this.#fail("incomplete", new StoreError("incomplete", { cause }))
    if (!this.#hasResent && this.#isRepeatable && isStaleConnection(cause)) {
      this.#hasResent = true
      return this.#again()
    }
    const failure = failureOf(cause)
    const error = new StoreError(failure, { cause })
    if (failure === "invalid") this.#failLater(error)
    else this.#fail(failure, error)
  }

  get #isRepeatable(): boolean {
    const { body } = this.#request
    return body === undefined || body.length === 0 || body.isRepeatable === true
  }

  /** Sends the request again, signed again. */
  #again(): void {
    this.#isDiscarded = false
    this.#received = 0
    this.#controller = undefined
    this.start()
  }

  /** Whether the clocks differ so much that this is the reason of the refusal. The difference is taken once. */
  #hasWrongTime(headers: IncomingHeaders): boolean {
    const { clock, keys, skew } = this.#to
    const date = headers["date"]
    if (keys === undefined || this.#hasCorrected || typeof date !== "string") return false
    const theirs = Option.map(DateTime.make(date), DateTime.toEpochMillis)
    if (Option.isNone(theirs)) return false
    const millis = theirs.value - clock.currentTimeMillisUnsafe()
    const isFar = Math.abs(millis - skew.millis) > leastSkew && Math.abs(millis) <= mostSkew
    if (!isFar) return false
    skew.millis = millis
    this.#hasCorrected = true
    return this.#isRepeatable
  }

  /** Fails after `dispatch` returned, so that the caller has the call. */
  #failLater(error: StoreError): void {
    queueMicrotask(() => this.#fail("invalid", error))
  }

  #fail(failure: StoreFailure, error: StoreError): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#to.watchdog.delete(this)
    this.#controller?.abort(error)
    this.#handler.onFailure(failure, error)
  }
}
