import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { AuditEntry, Level } from "../../AuditEntry.ts"
import type * as AuditOptions from "../../AuditOptions.ts"
import type { AuditSink } from "../../AuditSink.ts"
import * as CorrelationId from "../../CorrelationId.ts"
import { entryLevel, makeEncoder } from "./encode.ts"
import { type Loss, SinkBuffer, Waiting, weigh } from "./sinkBuffer.ts"
import { SinkWriter } from "./sinkWriter.ts"

const ranks: Readonly<Record<Level, number>> = { info: 0, warning: 1, error: 2 }

/** An entry that waits for room in the buffer of a writer. */
interface Waiter {
  readonly writer: SinkWriter
  readonly waiting: Waiting
}

/** Numbers and encodes entries, once for all sinks, and offers them to the buffers. */
export class Recorder {
  readonly writers: ReadonlyArray<SinkWriter>
  readonly #options: AuditOptions.Buffer
  readonly #clock: Clock.Clock
  readonly #fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  readonly #encode = makeEncoder()
  /** The number of the last entry. */
  sequence = 0

  constructor(
    options: AuditOptions.Buffer,
    sinks: ReadonlyArray<AuditSink>,
    clock: Clock.Clock,
    fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  ) {
    this.#options = options
    this.#clock = clock
    this.#fork = fork
    const bufferSize = Number(options.bufferSize)
    this.writers = sinks.map((sink) =>
      new SinkWriter({
        sink,
        buffer: new SinkBuffer(bufferSize, options.overflow === "wait", (loss) => this.#lineOf(sink.name, loss)),
        bufferSize,
        clock,
        interval: options.flushInterval,
        fork
      })
    )
  }

  /** Records an entry. Returns what waits for room, if it has to be waited for. */
  record(entry: AuditEntry, correlationId: string | undefined): Effect.Effect<void> | undefined {
    if (ranks[entryLevel(entry)] < ranks[this.#options.level]) return undefined
    const record = weigh(this.#encode(entry, {
      sequence: ++this.sequence,
      timestamp: entry.timestamp?.epochMilliseconds ?? this.#clock.currentTimeMillisUnsafe(),
      correlationId: entry.correlationId ?? correlationId ?? CorrelationId.make()
    }))
    let waiters: Array<Waiter> | undefined
    for (const writer of this.writers) {
      const offered = writer.buffer.offer(record)
      if (offered === "lost") writer.noteLoss()
      else {
        if (offered !== "taken") (waiters ??= []).push({ writer, waiting: offered })
        writer.notify()
      }
    }
    return waiters === undefined ? undefined : this.#waitFor(waiters)
  }

  /** Gives up at `maxWait`, also where nothing can be interrupted, and if nobody waits. */
  #waitFor(waiters: ReadonlyArray<Waiter>): Effect.Effect<void> {
    let left = waiters.length
    let onEnd: (() => void) | undefined
    const giveUp = (): void => {
      for (const { waiting, writer } of waiters) {
        if (waiting.state !== "waiting") continue
        writer.buffer.giveUp(waiting)
        writer.noteLoss()
        writer.notify()
      }
    }
    const timer = this.#fork(Effect.andThen(Effect.sleep(this.#options.maxWait), Effect.sync(giveUp)))
    for (const { waiting } of waiters) {
      waiting.onSettled = () => {
        if (--left > 0) return
        timer.interruptUnsafe()
        onEnd?.()
      }
    }
    return Effect.callback<void>((resume) => {
      if (left === 0) return resume(Effect.void)
      onEnd = () => resume(Effect.void)
      return Effect.sync(giveUp)
    })
  }

  /** The line that a sink gets in place of the entries that it lost. Its number is that of the last one. */
  #lineOf(sink: string, { first, last }: Loss) {
    const entry: AuditEntry = {
      httpMethod: "audit.lost",
      level: "error",
      details: { sink, lost: last - first + 1, first, last }
    }
    return weigh(
      this.#encode(entry, {
        sequence: last,
        timestamp: this.#clock.currentTimeMillisUnsafe(),
        correlationId: CorrelationId.make()
      }),
      true
    )
  }
}
