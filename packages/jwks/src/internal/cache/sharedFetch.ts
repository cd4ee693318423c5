import { CurrentDeadline } from "@keelson/core/Deadline"
import * as KeelsonError from "@keelson/core/KeelsonError"
import * as SingleFlight from "@keelson/core/SingleFlight"
import * as SharedError from "@keelson/core/unstable/SharedError"
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
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

/** What is fetched. One object serves many fetches, so that an idle provider has no closures. */
export interface Fetches<Of> {
  /** Fetches once. */
  readonly run: (of: Of, request: FetchRequest) => Effect.Effect<RefreshResult, KeelsonError.NetworkError>
  /** Called when a fetch has ended. */
  readonly ended: (of: Of) => void
  /** Called when a caller joins a running fetch. */
  readonly joined: (of: Of) => void
  /** How long `wait` waits. */
  readonly limit: (of: Of) => Duration.Duration
  /** The context in which fetches run, never that of a caller. */
  readonly context: (of: Of) => Context.Context<never>
}

/** The fetch of a provider, which all callers share. At most one runs at a time. */
export class SharedFetch<Of> {
  readonly #fetches: Fetches<Of>
  readonly #of: Of
  #isRunning = false
  #isClosed = false
  #flight: Flight | undefined

  constructor(fetches: Fetches<Of>, of: Of) {
    this.#fetches = fetches
    this.#of = of
  }

  isRunning(): boolean {
    return this.#isRunning
  }
  /** Starts a fetch unless one is running. Does not wait for it. */
  start(request: FetchRequest): void {
    if (this.#flight === undefined && !this.#isClosed) this.#launch(this.#open(), request)
  }
  /** Waits for the running fetch, or starts one. Interrupting a caller affects neither the fetch nor other callers. */
  join(request: FetchRequest): Effect.Effect<RefreshResult, FetchError> {
    return Effect.callback((resume) => this.#enter(request, { resume, until: undefined }))
  }
  /** The same, but fails with `TIMEOUT` once the caller has waited for the limit. */
  wait(request: FetchRequest, clock: Clock.Clock): Effect.Effect<RefreshResult, FetchError> {
    return Effect.callback((resume) => {
      const limit = Duration.toNanosUnsafe(this.#fetches.limit(this.#of))
      return this.#enter(request, { resume, until: clock.monotonicTimeNanosUnsafe() + limit })
    })
  }

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
    else this.#fetches.joined(this.#of)
    if (waiter.until !== undefined && flight.timer === undefined && this.#flight === flight) {
      flight.timer = this.#fork(this.#expire(flight))
    }
    return Effect.sync(() => void flight.waiters.delete(waiter))
  }
  #fork<A, E>(self: Effect.Effect<A, E>): Fiber.Fiber<A, E> {
    return Effect.runForkWith(this.#fetches.context(this.#of))(self)
  }
  #open(): Flight {
    const flight: Flight = { waiters: new Set(), fiber: undefined, timer: undefined }
    this.#flight = flight
    return flight
  }
  #launch(flight: Flight, request: FetchRequest): void {
    const ended = Effect.sync(() => {
      this.#isRunning = false
      this.#fetches.ended(this.#of)
    })
    // Set before the fetch begins: it may close the scope before `fork` returns.
    const work = Effect.withFiber((own) => {
      flight.fiber = own
      this.#isRunning = true
      return Effect.ensuring(this.#fetches.run(this.#of, request), ended)
    })
    this.#fork(Effect.provideService(work, CurrentDeadline, undefined)).addObserver((exit) =>
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

const closed = (): Result => Exit.fail(new SingleFlight.Closed({}))
