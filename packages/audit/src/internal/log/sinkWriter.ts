import * as Backoff from "@keelson/core/Backoff"
import * as ErrorCode from "@keelson/core/ErrorCode"
import * as Redaction from "@keelson/core/Redaction"
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import type { AuditError } from "../../AuditError.ts"
import type { AuditSink } from "../../AuditSink.ts"
import type { SinkBuffer, Weighed } from "./sinkBuffer.ts"

/** The weight of entries at which they are written before the interval ends, and the most that one call gets. */
const maxBatch = 65_536

/** Delays between calls to a sink that is down. */
const backoff = Backoff.make({ initialDelay: "100 millis", maxDelay: "5 seconds", jitter: "equal" })

interface Flush {
  /** The number of the last entry before it. */
  readonly target: number
  readonly done: Deferred.Deferred<void>
}

/**
 * Writes the entries of one buffer to its sink, one batch after the other. A batch that fails is written again until the sink
 * takes it. No other sink notices.
 */
export class SinkWriter {
  readonly sink: AuditSink
  readonly buffer: SinkBuffer
  readonly #clock: Clock.Clock
  readonly #interval: Duration.Duration
  readonly #fork: (effect: Effect.Effect<void>) => void
  readonly #threshold: number
  #flushes: Array<Flush> = []
  #isClosing = false
  /** The number of the last entry that the sink has, or that a line about a loss covers. */
  #settled = 0
  /** Whether something was written after the last flush of the sink. */
  #isUnflushed = false
  #lastFlush = 0n
  /** Whether a delay after a failure ends now. */
  #retriesNow = false
  /** Whether losses were logged and the buffer has not recovered since. */
  #isLosing = false
  #lostBefore = 0
  #failedInRow = 0
  failures = 0
  /** What the writer waits for, if it does. */
  #sleep: { readonly until: () => boolean; readonly wake: Deferred.Deferred<void> } | undefined

  constructor(
    { buffer, bufferSize, clock, fork, interval, sink }: {
      readonly sink: AuditSink
      readonly buffer: SinkBuffer
      readonly bufferSize: number
      readonly clock: Clock.Clock
      readonly interval: Duration.Duration
      readonly fork: (effect: Effect.Effect<void>) => void
    }
  ) {
    this.sink = sink
    this.buffer = buffer
    this.#clock = clock
    this.#interval = interval
    this.#fork = fork
    this.#threshold = Math.min(maxBatch, Math.floor(bufferSize / 2))
  }

  /** Whether the last call to the sink succeeded. */
  get isUp(): boolean {
    return this.#failedInRow === 0
  }

  /** An entry was queued, or waits for room. */
  notify(): void {
    const sleep = this.#sleep
    if (sleep !== undefined && sleep.until()) Deferred.doneUnsafe(sleep.wake, Exit.void)
  }

  /** An entry was lost. The first one of a burst is logged. */
  noteLoss(): void {
    if (this.#isLosing) return
    this.#isLosing = true
    this.#lostBefore = this.buffer.lost - 1
    this.#fork(this.#log("Audit entries are lost", "AUDIT_ENTRIES_LOST", {
      problem: this.isUp ? "the sink is slower than the entries come" : "the sink is down"
    }))
  }

  /** Returns once the sink has, and has flushed, all entries up to a number, or a line about their loss. */
  flush(target: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      const flush: Flush = { target, done: Deferred.makeUnsafe() }
      this.#flushes.push(flush)
      this.#retriesNow = true
      this.notify()
      return Effect.ensuring(
        Deferred.await(flush.done),
        Effect.sync(() => {
          this.#flushes = this.#flushes.filter((other) => other !== flush)
        })
      )
    })
  }

  /** `run` ends once all is written. */
  close(): void {
    this.#isClosing = true
    this.#retriesNow = true
    this.notify()
  }

  readonly run: Effect.Effect<void> = Effect.suspend(() => this.#loop())

  readonly #loop = Effect.fnUntraced({ self: this }, function*(this: SinkWriter) {
    while (true) {
      if (!this.buffer.isEmpty) {
        // Entries that come at about the same time are written together.
        if (!this.#isUrgent()) yield* this.#wait(() => this.#isUrgent(), this.#interval)
        yield* this.#write(this.buffer.batch(maxBatch))
      }
      if (this.#flushes.length > 0 || (this.#isUnflushed && (this.buffer.isEmpty || this.#isFlushDue()))) {
        yield* this.#flushSink()
      }
      if (!this.buffer.isEmpty || this.#isUnflushed || this.#flushes.length > 0) continue
      if (this.#isClosing) return
      yield* this.#wait(() => !this.buffer.isEmpty || this.#isClosing || this.#flushes.length > 0)
    }
  })

  #isUrgent(): boolean {
    return this.#isClosing || this.#flushes.length > 0 || this.buffer.weight >= this.#threshold || this.buffer.isWaited
  }
  #isFlushDue(): boolean {
    return this.#clock.monotonicTimeNanosUnsafe() - this.#lastFlush >= Duration.toNanosUnsafe(this.#interval)
  }

  /** Waits until a condition that `notify` checks holds, for at most a limit. */
  #wait(until: () => boolean, limit?: Duration.Duration): Effect.Effect<void> {
    return Effect.suspend(() => {
      // Between this check and the next line nothing else runs.
      if (until()) return Effect.void
      const wake = Deferred.makeUnsafe<void>()
      this.#sleep = { until, wake }
      return Effect.ensuring(
        limit === undefined ? Deferred.await(wake) : Effect.asVoid(Effect.timeoutOption(Deferred.await(wake), limit)),
        Effect.sync(() => {
          this.#sleep = undefined
        })
      )
    })
  }

  /** Writes a batch, until the sink takes it. */
  #write(batch: ReadonlyArray<Weighed>): Effect.Effect<void> {
    return Effect.andThen(
      this.#untilSuccess("write", () => this.sink.write(batch)),
      Effect.suspend(() => {
        this.buffer.settle(batch)
        this.#settled = batch.at(-1)?.sequence ?? this.#settled
        this.#isUnflushed = true
        return this.#noteRecovery()
      })
    )
  }

  /** Flushes the sink once. After a failure the loop comes here again. */
  #flushSink(): Effect.Effect<void> {
    return Effect.flatMap(Effect.exit(Effect.suspend(() => this.sink.flush)), (exit) => {
      if (Exit.isFailure(exit)) return Effect.andThen(this.#noteFailure("flush", exit.cause), this.#delay)
      this.#isUnflushed = false
      this.#lastFlush = this.#clock.monotonicTimeNanosUnsafe()
      for (const flush of this.#flushes) {
        if (this.buffer.isEmpty || this.#settled >= flush.target) Deferred.doneUnsafe(flush.done, Exit.void)
      }
      this.#flushes = this.#flushes.filter(({ target }) => !(this.buffer.isEmpty || this.#settled >= target))
      return this.#noteSuccess()
    })
  }

  readonly #untilSuccess = (
    operation: string,
    call: () => Effect.Effect<void, AuditError>
  ): Effect.Effect<void> =>
    Effect.flatMap(Effect.exit(Effect.suspend(call)), (exit) =>
      Exit.isSuccess(exit)
        ? this.#noteSuccess()
        : this.#noteFailure(operation, exit.cause).pipe(
          Effect.andThen(this.#delay),
          Effect.andThen(Effect.suspend(() => this.#untilSuccess(operation, call)))
        ))

  readonly #delay: Effect.Effect<void> = Effect.flatMap(Random.next, (random) =>
    Effect.andThen(
      this.#wait(() => this.#retriesNow, Backoff.delay(backoff, this.#failedInRow - 1, random)),
      Effect.sync(() => {
        this.#retriesNow = false
      })
    ))

  #noteSuccess(): Effect.Effect<void> {
    if (this.#failedInRow === 0) return Effect.void
    this.#failedInRow = 0
    return Effect.annotateLogs(Effect.logInfo("Audit sink recovered"), { sink: this.sink.name })
  }
  /** Logs the first failure of an outage. */
  #noteFailure(operation: string, cause: Cause.Cause<AuditError>): Effect.Effect<void> {
    if (Cause.hasInterruptsOnly(cause)) return Effect.void
    this.failures++
    this.#failedInRow++
    if (this.#failedInRow > 1) return Effect.void
    const error = Cause.squash(cause)
    return this.#log("Audit sink failed; its entries wait", ErrorCode.codeOf(error) ?? "INTERNAL_ERROR", {
      operation,
      problem: Redaction.error(error).message
    })
  }
  /** Ends a burst of losses once half of the buffer is free again. */
  #noteRecovery(): Effect.Effect<void> {
    if (!this.#isLosing || this.buffer.weight > this.#threshold || this.buffer.isWaited) return Effect.void
    this.#isLosing = false
    return Effect.annotateLogs(Effect.logWarning("Audit entries were lost"), {
      sink: this.sink.name,
      lost: this.buffer.lost - this.#lostBefore
    })
  }
  #log(message: string, code: ErrorCode.ErrorCode, more: Readonly<Record<string, string>>): Effect.Effect<void> {
    return Effect.annotateLogs(Effect.logError(message), {
      sink: this.sink.name,
      error_code: ErrorCode.codeInfo[code].id,
      error_name: code,
      ...more
    })
  }
}
