/** One request to the replicas of a bucket: from one to the next, until the head of a response went to the caller. */
import { CircuitOpen } from "@keelson/core/Breaker"
import { DeadlineExceeded } from "@keelson/core/Deadline"
import { type Endpoint, type Endpoints, EndpointsUnavailable } from "@keelson/core/Endpoints"
import { codeInfo } from "@keelson/core/ErrorCode"
import { RetryExhausted } from "@keelson/core/Retry"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { ObjectStore, StoreCall, StoreFailure, StoreHandler, StoreHead, StoreRequest } from "../../ObjectStore.ts"
import { StoreError } from "../../StoreError.ts"
import { discardable, failures } from "../store/failures.ts"
import type { Watchdog, Watched } from "../store/watchdog.ts"

/** What the requests to one group of replicas have in common. */
export interface Group {
  readonly endpoints: Endpoints
  /** The replicas by the id of their endpoint, with their place in the order. */
  readonly replicas: ReadonlyMap<string, { readonly store: ObjectStore; readonly index: number }>
  readonly watchdog: Watchdog
  readonly limits: { readonly failover: number; readonly deadline: number }
  readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
}

/** The statuses that say that the replica failed; any other status is its answer, which another replica would give too. */
const isFault = (status: number): boolean => (status >= 500 && status !== 501) || status === 429

/** The failed response that the caller gets if no replica has a better one. Its body, written by the store, is left out. */
class FailedHead extends StoreError {
  readonly head: StoreHead
  constructor({ headers, replica, status }: StoreHead) {
    super("status", { status })
    const retryAfter = headers["retry-after"]
    const kept = { "content-length": "0", ...(retryAfter === undefined ? undefined : { "retry-after": retryAfter }) }
    this.head = { status, replica, headers: kept }
  }
}

/** What a request ends with, from the errors of the parts around it. */
const errorOf = (error: unknown): StoreError => {
  if (error instanceof RetryExhausted) return errorOf(error.error)
  if (error instanceof StoreError) return error
  if (error instanceof EndpointsUnavailable || error instanceof CircuitOpen) return failures.rejected
  return error instanceof DeadlineExceeded ? failures.timeout : new StoreError("unreachable", { cause: error })
}

const failureOf = ({ reason }: StoreError): StoreFailure => reason === "status" ? "unreachable" : reason

export class ReplicaCall implements StoreCall, Watched {
  readonly #group: Group
  readonly #request: StoreRequest
  readonly #handler: StoreHandler
  readonly #startedAt: number
  #inner: StoreCall | undefined
  #fiber: Fiber.Fiber<void> | undefined
  /** Ends the current attempt before the head. */
  #giveUp: ((error: StoreError) => void) | undefined
  #hasHead = false
  #isEnded = false
  #isBodyTouched = false
  since: number
  limit = Number.POSITIVE_INFINITY

  constructor(group: Group, request: StoreRequest, handler: StoreHandler) {
    this.#group = group
    this.#handler = handler
    this.#startedAt = group.watchdog.tick
    this.since = this.#startedAt
    const { body } = request
    this.#request = body === undefined || body.isRepeatable === true
      ? request
      : { ...request, body: { ...body, chunks: this.#touching(body.chunks) } }
  }

  start(): this {
    const { endpoints, fork, watchdog } = this.#group
    if (this.#request.body === undefined) {
      this.limit = this.#group.limits.deadline
      watchdog.add(this)
    }
    const call = endpoints.execute((endpoint) => this.#attempt(endpoint), {
      while: (error) => !this.#isBodyTouched && codeInfo[errorOf(error).code].retryable,
      failover: (exit) => !this.#isBodyTouched && this.#isFaultOf(exit)
    })
    this.#fiber = fork(Effect.matchCause(call, {
      onSuccess: () => {},
      onFailure: (cause) => Cause.hasInterruptsOnly(cause) ? undefined : this.#failLater(errorOf(Cause.squash(cause)))
    }))
    return this
  }

  resume(): void {
    this.#inner?.resume()
  }

  abort(): void {
    if (this.#hasHead) this.#inner?.abort()
    else this.#end(failures.aborted)
  }

  onSilence(): void {
    const { limits, watchdog } = this.#group
    if (watchdog.tick - this.#startedAt > limits.deadline) this.#end(failures.timeout)
    else this.#giveUp?.(failures.timeout)
  }

  /** Asks one replica. It succeeds once the head went to the caller: the rest of the response goes there directly. */
  #attempt({ id }: Endpoint): Effect.Effect<void, StoreError> {
    return Effect.callback<void, StoreError>((resume) => {
      if (this.#hasHead || this.#isEnded) return resume(Effect.void)
      const replica = this.#group.replicas.get(id)
      if (replica === undefined) return resume(Effect.fail(failures.rejected))
      const attempt = new Attempt(replica.index, this.#handler, {
        onHead: () => this.#passed(),
        onEnd: () => void (this.#isEnded = true),
        onFault: (error) => resume(Effect.fail(error)),
        onPassed: () => resume(Effect.void)
      })
      this.#giveUp = attempt.giveUp
      this.#limitAttempt(replica.index)
      const inner = replica.store.dispatch(this.#request, attempt)
      attempt.call = inner
      this.#inner = inner
      return Effect.sync(() => attempt.giveUp(failures.aborted))
    })
  }

  /** Only a replica that is not the last has less time than the deadline leaves. */
  #limitAttempt(index: number): void {
    const { limits, replicas, watchdog } = this.#group
    this.since = watchdog.tick
    const left = limits.deadline - (this.since - this.#startedAt)
    this.limit = index < replicas.size - 1 ? Math.min(left, limits.failover) : left
  }

  /** The head of a response goes to the caller: no other replica is asked. */
  #passed(): void {
    this.#hasHead = true
    this.#giveUp = undefined
    this.#group.watchdog.delete(this)
  }

  #isFaultOf(exit: Exit.Exit<unknown, unknown>): boolean {
    return Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause) &&
      codeInfo[errorOf(Cause.squash(exit.cause)).code].breaker === "failure"
  }

  async *#touching(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
    this.#isBodyTouched = true
    yield* chunks
  }

  /** Fails after `dispatch` returned, so that the caller has the call. */
  #failLater(error: StoreError): void {
    queueMicrotask(() => this.#end(error))
  }

  /** Ends before the head of a response went to the caller. */
  #end(error: StoreError): void {
    if (this.#isEnded || this.#hasHead) return
    this.#isEnded = true
    this.#group.watchdog.delete(this)
    this.#fiber?.interruptUnsafe()
    if (!(error instanceof FailedHead)) return this.#handler.onFailure(failureOf(error), error)
    this.#handler.onHead(error.head)
    this.#handler.onEnd()
  }
}

/** What an attempt tells its request. */
interface Listener {
  /** A head is about to go to the caller. */
  readonly onHead: () => void
  /** It went there. */
  readonly onPassed: () => void
  /** The response that went to the caller ended. */
  readonly onEnd: () => void
  /** The replica failed before that. */
  readonly onFault: (error: StoreError) => void
}

/** The handler of one attempt: it keeps a failed response back, and passes any other on. */
class Attempt implements StoreHandler {
  readonly #index: number
  readonly #handler: StoreHandler
  readonly #listener: Listener
  #state: "waiting" | "passing" | "over" = "waiting"
  #discarded = 0
  call: StoreCall | undefined

  constructor(index: number, handler: StoreHandler, listener: Listener) {
    this.#index = index
    this.#handler = handler
    this.#listener = listener
  }

  /** Ends the attempt, unless its response went to the caller. */
  readonly giveUp = (error: StoreError): void => {
    if (this.#state !== "waiting") return
    this.#state = "over"
    this.call?.abort()
    this.#listener.onFault(error)
  }

  readonly onHead = (head: StoreHead): void => {
    if (this.#state !== "waiting") return
    const own = { ...head, replica: this.#index }
    if (isFault(head.status)) {
      this.#state = "over"
      return this.#listener.onFault(new FailedHead(own))
    }
    this.#state = "passing"
    this.#listener.onHead()
    this.#handler.onHead(own)
    this.#listener.onPassed()
  }

  readonly onData = (chunk: Uint8Array): boolean =>
    this.#state === "passing" ? this.#handler.onData(chunk) : this.#discard(chunk)

  /** Reads the body of a failed response, so that its connection can be used again, unless it is large. */
  #discard({ length }: Uint8Array): boolean {
    this.#discarded += length
    if (this.#discarded > discardable) this.call?.abort()
    return true
  }

  readonly onEnd = (): void => {
    if (this.#state !== "passing") return
    this.#listener.onEnd()
    this.#handler.onEnd()
  }

  readonly onFailure = (failure: StoreFailure, cause: unknown): void => {
    if (this.#state === "passing") {
      this.#listener.onEnd()
      return this.#handler.onFailure(failure, cause)
    }
    if (this.#state === "over") return
    this.#state = "over"
    this.#listener.onFault(cause instanceof StoreError ? cause : new StoreError(failure, { cause }))
  }
}
