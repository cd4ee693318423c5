/**
 * One request and its answer: what is sent, counted and recorded of it.
 */
import type { Principal } from "@keelson/token/Principal"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { HeaderRecord } from "../../HeaderRules.ts"
import type { CacheResult } from "./cacheStatus.ts"
import { errorBody, type Refusal, refusals } from "./errorBody.ts"
import type { ServedBucket, Shared } from "./NodeServed.ts"

/** Where the time of a request went, in nanoseconds of the monotonic clock. */
export interface Split {
  auth: bigint
  cache: bigint
  store: bigint
}

/** A request and its answer. */
export class NodeExchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly shared: Shared
  readonly started: bigint
  readonly correlationId: string
  /** Without what follows the question mark. */
  readonly path: string
  /** Whether the client waits for a 100 before it sends the body. */
  readonly awaitsContinue: boolean
  bucket: ServedBucket | undefined
  key: string | undefined
  clientAddress: string | undefined
  caller: Principal<object> | undefined
  result: CacheResult | undefined
  cacheStatus: string | undefined
  /** The bytes of the body that were written. */
  sent = 0
  readonly split: Split = { auth: 0n, cache: 0n, store: 0n }
  /** When the store was asked. */
  storeStarted = 0n
  #fiber: Fiber.Fiber<unknown, unknown> | undefined

  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    shared: Shared,
    correlationId: string,
    awaitsContinue: boolean
  ) {
    this.request = request
    this.response = response
    this.shared = shared
    this.started = shared.clock.monotonicTimeNanosUnsafe()
    this.correlationId = correlationId
    this.awaitsContinue = awaitsContinue
    const target = request.url ?? ""
    const query = target.indexOf("?")
    this.path = query < 0 ? target : target.slice(0, query)
  }

  /** A request header; several of the same name are one list. */
  header(name: string): string | undefined {
    const value = this.request.headers[name]
    return Array.isArray(value) ? value.join(", ") : value
  }
  get isHead(): boolean {
    return this.request.method === "HEAD"
  }
  get isOver(): boolean {
    return this.response.headersSent || this.response.destroyed
  }
  /** Nanoseconds since a moment. */
  since(moment: bigint): bigint {
    return this.shared.clock.monotonicTimeNanosUnsafe() - moment
  }

  /** Runs an effect, which is interrupted when the connection closes before the answer is sent. */
  runBody(effect: Effect.Effect<void, unknown>): void {
    const guarded = Effect.catchCause(effect, (cause) =>
      Effect.sync(() => {
        if (!Cause.hasInterruptsOnly(cause)) this.refuse(refusals.internal)
      }))
    this.follow(this.shared.run(guarded))
  }
  /** Interrupts a fiber when the connection closes. */
  follow(fiber: Fiber.Fiber<unknown, unknown>): void {
    if (this.#fiber === undefined) this.response.on("close", () => this.#fiber?.interruptUnsafe())
    this.#fiber = fiber
  }

  /** Sends the head. `headers` are names and values in turn. */
  head(status: number, headers: Array<string>): void {
    headers.push("x-correlation-id", this.correlationId)
    if (this.cacheStatus !== undefined) headers.push("cache-status", this.cacheStatus)
    if (this.bucket?.options.cors !== undefined) addAll(headers, this.bucket.cors.headers(this.header("origin")))
    this.response.writeHead(status, this.#hasTokenInTarget ? unstored(headers) : headers)
  }
  /** A URL with a token is as secret as the token (RFC 6750, 5.3). */
  get #hasTokenInTarget(): boolean {
    const name = this.bucket?.tokenParameter
    const target = this.request.url ?? ""
    return name !== undefined && target.length > this.path.length &&
      new URLSearchParams(target.slice(this.path.length)).has(name)
  }
  /** Answers `OPTIONS`. */
  preflight({ cors }: ServedBucket): void {
    const headers = ["x-correlation-id", this.correlationId]
    addAll(headers, cors.preflight(this.request.headers))
    this.response.writeHead(204, headers)
    this.response.end()
  }
  /** Sends a whole answer. A HEAD has the length and no body. */
  send(status: number, headers: Array<string>, body: Uint8Array): void {
    headers.push("content-length", String(body.length))
    this.head(status, headers)
    if (this.isHead || body.length === 0) {
      this.response.end()
      return
    }
    this.sent = body.length
    this.response.end(body)
  }
  /** Sends an answer without a body: 204 and 304 have no length. */
  sendEmpty(status: number, headers: Array<string>): void {
    if (status !== 204 && status !== 304) headers.push("content-length", "0")
    this.head(status, headers)
    this.response.end()
  }
  /** Answers with an error, or breaks the connection off if the answer has begun. */
  refuse(refusal: Refusal, headers: Array<string> = []): void {
    if (this.response.headersSent) {
      this.response.destroy()
      return
    }
    const { contentType, text } = errorBody(refusal, this.bucket?.options.errors ?? "s3", this.correlationId)
    if (!headers.includes("cache-control")) headers.push("cache-control", "no-store")
    headers.push("content-type", contentType)
    // What is left of an upload would have to be read before the next request.
    if (hasBody(this.request)) this.response.shouldKeepAlive = false
    this.send(refusal.status, headers, new TextEncoder().encode(text))
  }
}

/** The headers of an answer that no cache may store. */
const unstored = (headers: ReadonlyArray<string>): Array<string> => {
  const kept = ["cache-control", "private, no-store"]
  for (let index = 0; index < headers.length; index += 2) {
    const [name = "", value = ""] = [headers[index], headers[index + 1]]
    if (name !== "cache-control") kept.push(name, value)
  }
  return kept
}

const addAll = (headers: Array<string>, more: HeaderRecord): void => {
  for (const name in more) headers.push(name, more[name] ?? "")
}

/** Whether a request announces a body (RFC 9112, 6). */
const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0"
