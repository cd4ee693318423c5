import * as Backoff from "@keelson/core/Backoff"
import * as SharedError from "@keelson/core/unstable/SharedError"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Semaphore from "effect/Semaphore"
import type { AuditError } from "../../AuditError.ts"
import { type Connection, failure, openConnection, type TransportOptions } from "./NodeTransport.ts"
import { RecentMessages } from "./recent.ts"

/** How long the server is left alone after a failure. */
const backoff = Backoff.make({ initialDelay: "200 millis", maxDelay: "30 seconds", jitter: "equal" })

/** A connection that lived as long as this, in nanoseconds, was a good one: the next failure counts as the first. */
const goodLife = 5_000_000_000n

/** How long closing may wait for the system to send what it has. */
const closeLimit = Duration.seconds(1)

const waiting = SharedError.make(() => failure("backoff"))

/**
 * Sends messages over one connection at a time. It opens a connection when there are messages, and after a failure only when the
 * delay of the backoff has passed: until then `send` fails at once.
 */
export class SyslogClient {
  readonly #options: TransportOptions
  readonly #timeout: Duration.Duration
  readonly #clock: Clock.Clock
  readonly #turn = Semaphore.makeUnsafe(1)
  readonly #recent = new RecentMessages()
  #connection: Connection | undefined
  #opened = 0n
  /** When the last connection broke; `undefined` if there was none, or what it had sent was sent again. */
  #broken: bigint | undefined
  #failures = 0
  #notBefore = 0n

  constructor(options: TransportOptions, timeout: Duration.Duration, clock: Clock.Clock) {
    this.#options = options
    this.#timeout = timeout
    this.#clock = clock
  }
  /** Sends messages: when it returns, the system has all of them. */
  send(messages: ReadonlyArray<string>): Effect.Effect<void, AuditError> {
    return this.#turn.withPermits(1)(Effect.suspend(() => {
      if (this.#connection === undefined && this.#clock.monotonicTimeNanosUnsafe() < this.#notBefore) {
        return Effect.fail(waiting)
      }
      return Effect.tapError(
        Effect.flatMap(this.#connected, (connection) => this.#sendOver(connection, messages)),
        () => this.#postpone
      )
    }))
  }
  get #connected(): Effect.Effect<Connection, AuditError> {
    if (this.#connection !== undefined) return Effect.succeed(this.#connection)
    const opening = openConnection(this.#options, {
      onOpen: (connection) => {
        this.#connection = connection
        this.#opened = this.#clock.monotonicTimeNanosUnsafe()
      },
      onBroken: (connection) => this.#lose(connection)
    })
    return Effect.flatMap(
      this.#limited("connect", opening),
      () => this.#connection === undefined ? Effect.fail(failure("connect")) : Effect.succeed(this.#connection)
    )
  }
  #sendOver(connection: Connection, messages: ReadonlyArray<string>): Effect.Effect<void, AuditError> {
    const again = this.#broken === undefined ? [] : this.#recent.take(this.#broken)
    const sent = Effect.sync(() => {
      this.#broken = undefined
      const now = this.#clock.monotonicTimeNanosUnsafe()
      if (again.length > 0) this.#recent.add(again, now)
      this.#recent.add(messages, now)
    })
    const lost = Effect.sync(() => {
      connection.destroy()
      if (again.length > 0) this.#recent.add(again, this.#clock.monotonicTimeNanosUnsafe())
      this.#lose(connection)
    })
    return Effect.onExit(
      this.#limited("write", connection.send(again.length === 0 ? messages : [...again, ...messages])),
      (exit) => exit._tag === "Success" ? sent : lost
    )
  }
  #limited<A>(operation: string, call: Effect.Effect<A, AuditError>): Effect.Effect<A, AuditError> {
    return Effect.timeoutOrElse(call, {
      duration: this.#timeout,
      orElse: () => Effect.fail(failure(operation, new Error("No answer within the timeout")))
    })
  }
  /** The connection is gone. What was sent over it shortly before is sent again over the next one. */
  #lose(connection: Connection): void {
    if (this.#connection !== connection) return
    const now = this.#clock.monotonicTimeNanosUnsafe()
    this.#connection = undefined
    this.#broken = now
    if (now - this.#opened >= goodLife) this.#failures = 0
  }
  get #postpone(): Effect.Effect<void> {
    return Effect.map(Random.next, (random) => {
      const delay = Backoff.delay(backoff, this.#failures++, random)
      this.#notBefore = this.#clock.monotonicTimeNanosUnsafe() + Duration.toNanosUnsafe(delay)
    })
  }
  /** Closes the connection once the system has sent what it was given. */
  get close(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const connection = this.#connection
      this.#connection = undefined
      return connection === undefined ? Effect.void : Effect.asVoid(Effect.timeoutOption(connection.close, closeLimit))
    })
  }
}
