import { CurrentDeadline } from "@keelson/core/Deadline"
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as SingleFlight from "@keelson/core/SingleFlight"
import * as SharedError from "@keelson/core/unstable/SharedError"
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { FetchRequest } from "../http/fetchKeySet.ts"
import type { RefreshResult } from "./refresh.ts"

/** Errors of waiting for a fetch. */
export type FetchError = KeelsonError.NetworkError | SingleFlight.Closed

type Result = Exit.Exit<RefreshResult, FetchError>

/** Made once: a thousand callers may time out together. */
const waitedTooLong: Result = Exit.fail(
  SharedError.make(() =>
    new KeelsonError.NetworkError({ code: "TIMEOUT", message: "Waiting for the key set timed out" })
  )
)

/** A caller that waits. */
interface Waiter {
  readonly resume: (result: Result) => void
  /** The moment of the monotonic clock at which the caller stops waiting, in nanoseconds. */
  readonly until: bigint | undefined
}

/** One run of a fetch. */
interface Flight {
  /** In order of arrival, which is also the order of their limits. */
  readonly waiters: Set<Waiter>
  fiber: Fiber.Fiber<unknown, unknown> | undefined
  /** The timer of all waiters, which sleeps until the limit of the first. */
  timer: Fiber.Fiber<unknown, unknown> | undefined
}

interface Parts {
  readonly fork: <A, E>(self: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  readonly run: (request: FetchRequest) => Effect.Effect<RefreshResult, KeelsonError.NetworkError>
  readonly onEnd: () => void
  readonly onJoin: () => void
  readonly limit: Duration.Duration
}

/** The fetch of a provider, which all callers share. At most one runs at a time. */
export interface SharedFetch {
  readonly isRunning: () => boolean
  /** Starts a fetch unless one is running. Does not wait for it. */
  readonly start: (request: FetchRequest) => void
  /** Waits for the running fetch, or starts one. Interrupting a caller affects neither the fetch nor other callers. */
  readonly join: (request: FetchRequest) => Effect.Effect<RefreshResult, FetchError>
  /** `join` that fails with `TIMEOUT` once the caller has waited for the limit. */
  readonly wait: (request: FetchRequest, clock: Clock.Clock) => Effect.Effect<RefreshResult, FetchError>
}

class Shared implements SharedFetch {
  readonly #parts: Parts
  #isRunning = false
  #isClosed = false
  #flight: Flight | undefined

  constructor(parts: Parts) {
    this.#parts = parts
  }

  readonly isRunning = (): boolean => this.#isRunning

  readonly start = (request: FetchRequest): void => {
    if (this.#flight === undefined && !this.#isClosed) this.#launch(this.#open(), request)
  }
  readonly join = (request: FetchRequest): Effect.Effect<RefreshResult, FetchError> =>
    Effect.callback((resume) => this.#enter(request, { resume, until: undefined }))

  readonly wait = (request: FetchRequest, clock: Clock.Clock): Effect.Effect<RefreshResult, FetchError> =>
    Effect.callback((resume) => {
      const limit = Duration.toNanosUnsafe(this.#parts.limit)
      return this.#enter(request, { resume, until: clock.monotonicTimeNanosUnsafe() + limit })
    })

  /** Fails current and later callers immediately, and stops a running fetch. */
  get close(): Effect.Effect<void> {
    return Effect.withFiber((closing) => {
      this.#isClosed = true
      const flight = this.#flight
      if (flight === undefined) return Effect.void
      this.#settle(flight, closed())
      const { fiber } = flight
      if (fiber === undefined) return Effect.void
      // A fetch that closes the scope itself is stopped but not awaited, or it would wait for its own end.
      return fiber === closing ? Effect.sync(() => fiber.interruptUnsafe()) : Fiber.interrupt(fiber)
    })
  }

  #enter(request: FetchRequest, waiter: Waiter): Effect.Effect<void> | undefined {
    if (this.#isClosed) {
      waiter.resume(closed())
      return undefined
    }
    const running = this.#flight
    const flight = running ?? this.#open()
    flight.waiters.add(waiter)
    if (running === undefined) this.#launch(flight, request)
    else this.#parts.onJoin()
    if (waiter.until !== undefined && flight.timer === undefined && this.#flight === flight) {
      flight.timer = this.#parts.fork(this.#expire(flight))
    }
    return Effect.sync(() => void flight.waiters.delete(waiter))
  }
  #open(): Flight {
    const flight: Flight = { waiters: new Set(), fiber: undefined, timer: undefined }
    this.#flight = flight
    return flight
  }
  #launch(flight: Flight, request: FetchRequest): void {
    const { fork, onEnd, run } = this.#parts
    const ended = Effect.sync(() => {
      this.#isRunning = false
      onEnd()
    })
    // Set before the fetch begins: it may close the scope before `fork` returns.
    const work = Effect.withFiber((own) => {
      flight.fiber = own
      this.#isRunning = true
      return Effect.ensuring(run(request), ended)
    })
    fork(Effect.provideService(work, CurrentDeadline, undefined)).addObserver((exit) =>
      this.#settle(flight, Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? closed() : exit)
    )
  }
  #settle(flight: Flight, result: Result): void {
    if (this.#flight === flight) this.#flight = undefined
    flight.timer?.interruptUnsafe()
    const waiters = [...flight.waiters]
    flight.waiters.clear()
    for (const { resume } of waiters) resume(result)
  }
  /** Fails the callers whose limit has passed, and sleeps until that of the next. */
  #expire(flight: Flight): Effect.Effect<void> {
    return Effect.clockWith((clock) => {
      const at = clock.monotonicTimeNanosUnsafe()
      for (const waiter of flight.waiters) {
        if (waiter.until === undefined) continue
        if (waiter.until > at) {
          return Effect.flatMap(Effect.sleep(Duration.nanos(waiter.until - at)), () => this.#expire(flight))
        }
        flight.waiters.delete(waiter)
        waiter.resume(waitedTooLong)
      }
      flight.timer = undefined
      return Effect.void
    })
  }
}

const nothing = (): void => {}

const closed = (): Result => Exit.fail(new SingleFlight.Closed({}))

/**
 * Makes a shared fetch. It runs in the scope and context in which it is made, never in those of a caller. `onEnd` is called
 * when a fetch has ended, `onJoin` when a caller joins a running one; `limit` is how long `wait` waits.
 */
export const makeSharedFetch = Effect.fnUntraced(function*<R>(
  run: (request: FetchRequest) => Effect.Effect<RefreshResult, KeelsonError.NetworkError, R>,
  onEnd: () => void,
  onJoin: () => void = nothing,
  limit: Duration.Duration = Duration.infinity
): Effect.fn.Return<SharedFetch, never, R | Scope.Scope> {
  const context = yield* Effect.context<R>()
  const sharedFetch = new Shared({
    fork: Effect.runForkWith(context),
    run: (request) => Effect.provideContext(run(request), context),
    onEnd,
    onJoin,
    limit
  })
  yield* Effect.addFinalizer(() => sharedFetch.close)
  return sharedFetch
})
