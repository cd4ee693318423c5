/**
 * The audit log: takes entries, and hands them to its sinks in the background.
 *
 * Every entry has a number. Each sink has a buffer of its own, bounded in bytes, and either gets an entry or a line that says how many
 * it lost.
 */
import * as Configuration from "@keelson/core/Configuration"
import type * as KeelsonError from "@keelson/core/KeelsonError"
import { waitAtMost } from "@keelson/core/unstable/Bounded"
import * as InvalidConfig from "@keelson/core/unstable/InvalidConfig"
import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { AuditEntry } from "./AuditEntry.ts"
import { AuditError } from "./AuditError.ts"
import * as AuditOptions from "./AuditOptions.ts"
import type { AuditSink } from "./AuditSink.ts"
import * as CorrelationId from "./CorrelationId.ts"
import { Recorder } from "./internal/log/recorder.ts"
import { SinkWriter } from "./internal/log/sinkWriter.ts"

/** The counts of one sink. `written + lost + pending` is the number of entries that were recorded. */
export interface SinkStats {
  /** Entries that the sink has. */
  readonly written: number
  /** Entries that the sink will not get. */
  readonly lost: number
  /** Entries that wait for the sink, or for room in its buffer. */
  readonly pending: number
  /** Whether the last call to the sink succeeded. */
  readonly isUp: boolean
}

/** The counts of an audit log. */
export interface Stats {
  /** Entries that were recorded: the number of the last one. */
  readonly recorded: number
  /** By the name of the sink. */
  readonly sinks: Readonly<Record<string, SinkStats>>
}

/** The audit log of an application. */
export class AuditLog extends Context.Service<AuditLog, {
  /**
   * Records an entry. Never fails. It returns at once, unless the buffer of a sink is full and `overflow` is `wait`: then after at most
   * `maxWait`. An entry that a sink does not get is counted and logged, and a line in the sink says so when it is back.
   */
  readonly record: (entry: AuditEntry) => Effect.Effect<void>
  /**
   * The same for code that is no effect, such as a request handler of Node. Returns `undefined` if there is nothing to wait for,
   * which is always so unless `overflow` is `wait`; else what waits for room.
   */
  readonly recordUnsafe: (entry: AuditEntry) => Effect.Effect<void> | undefined
  /**
   * Returns once every sink has all entries that were recorded before, or a line about their loss. Fails with `AuditError`
   * (`AUDIT_NOT_FLUSHED`) after `closeTimeout`; the entries wait on.
   */
  readonly flush: Effect.Effect<void, AuditError>
  /** What was recorded, written and lost. */
  readonly stats: Effect.Effect<Stats>
}>()("@keelson/audit/AuditLog") {}

/** Options of `make`. */
export interface Options extends AuditOptions.BufferOptions {
  /** Where entries are written, each under another name. From 1 to 8. Required. */
  readonly sinks: ReadonlyArray<AuditSink>
}

const checkSinks = (sinks: ReadonlyArray<AuditSink>): Effect.Effect<void, KeelsonError.ConfigurationError> => {
  const names = sinks.map(({ name }) => name)
  if (sinks.length < 1 || sinks.length > 8) return Effect.fail(InvalidConfig.option("sinks", "1 to 8 sinks"))
  return new Set(names).size === names.length
    ? Effect.void
    : Effect.fail(InvalidConfig.option("sinks", "sinks with different names"))
}

const statsOf = ({ buffer: { lost, pending, written }, isUp }: SinkWriter): SinkStats => ({
  written,
  lost,
  pending,
  isUp
})

/** Counts of a sink, which metrics read while the scope is open. */
const register = (writer: SinkWriter): Effect.Effect<void, never, Scope.Scope> => {
  const { buffer, sink } = writer
  const labels = { sink: sink.name }
  return Effect.all([
    MetricSeries.register("auditWritten", labels, () => buffer.written),
    MetricSeries.register("auditLost", labels, () => buffer.lost),
    MetricSeries.register("auditPending", labels, () => buffer.weight),
    MetricSeries.register("auditFailures", labels, () => writer.failures)
  ], { discard: true })
}

/** Writes what is left, for at most a limit. A call to a sink that cannot be interrupted does not hold up the end. */
const closeWriter = (writer: SinkWriter, fiber: Fiber.Fiber<void>, limit: Duration.Duration): Effect.Effect<void> => {
  writer.close()
  return Effect.andThen(
    waitAtMost(Fiber.await(fiber), limit),
    Effect.suspend(() => {
      fiber.interruptUnsafe()
      const lost = writer.buffer.close()
      return lost === 0 ? Effect.void : Effect.annotateLogs(Effect.logError("Audit entries were lost at the end"), {
        sink: writer.sink.name,
        lost
      })
    })
  )
}

/**
 * Makes an audit log. When its scope closes it writes what is left, for at most `closeTimeout`, and logs how many entries are lost
 * then.
 *
 * Emits `audit_entries_written_total`, `audit_entries_lost_total`, `audit_buffer_bytes` and `audit_write_failures_total` by sink.
 * Fails with `ConfigurationError` (`INVALID_CONFIG`).
 *
 * **Example** (A sink of your own)
 *
 * ```ts import.meta.vitest
 * import { AuditLog, type AuditSink } from "@keelson/audit"
 * import { Effect } from "effect"
 *
 * const lines: Array<string> = []
 * const memory: AuditSink.AuditSink = {
 *   name: "memory",
 *   write: (records) => Effect.sync(() => { lines.push(...records.map(({ line }) => line)) }),
 *   flush: Effect.void
 * }
 * const program = Effect.gen(function*() {
 *   const log = yield* AuditLog.make({ sinks: [memory] })
 *   yield* log.record({ httpMethod: "GET", requestPath: "/a?token=secret", responseStatus: 200 })
 * })
 * await Effect.runPromise(Effect.scoped(program))
 * JSON.parse(lines[0] ?? "").request_path // => "/a?token=[REDACTED]"
 * ```
 */
export const make = Effect.fnUntraced(function*(
  { sinks, ...data }: Options
): Effect.fn.Return<AuditLog["Service"], KeelsonError.ConfigurationError, Scope.Scope> {
  const options = yield* Configuration.decode(AuditOptions.Buffer)(data)
  yield* checkSinks(sinks)
  const clock = yield* Clock.Clock
  const fork = yield* FiberSet.makeRuntime()
  const recorder = new Recorder(options, sinks, clock, fork)
  yield* Effect.forEach(recorder.writers, register, { discard: true })
  yield* Effect.acquireRelease(
    Effect.forEach(
      recorder.writers,
      (writer) => Effect.map(Effect.forkDetach(Effect.interruptible(writer.run)), (fiber) => ({ writer, fiber }))
    ),
    (running) =>
      Effect.forEach(running, ({ fiber, writer }) => closeWriter(writer, fiber, options.closeTimeout), {
        concurrency: "unbounded",
        discard: true
      })
  )
  const recordUnsafe = (entry: AuditEntry) => recorder.record(entry, undefined)
  return {
    record: (entry) =>
      Effect.withFiber((fiber) => recorder.record(entry, fiber.getRef(CorrelationId.CorrelationId)) ?? Effect.void),
    recordUnsafe,
    flush: Effect.suspend(() => {
      const target = recorder.sequence
      const all = Effect.forEach(recorder.writers, (writer) => writer.flush(target), {
        concurrency: "unbounded",
        discard: true
      })
      return Effect.flatMap(waitAtMost(all, options.closeTimeout), (ended) =>
        ended._tag === "Some"
          ? Effect.void
          : Effect.fail(new AuditError({ _tag: "Log", operation: "flush" })))
    }),
    stats: Effect.sync(() => ({
      recorded: recorder.sequence,
      sinks: Object.fromEntries(recorder.writers.map((writer) => [writer.sink.name, statsOf(writer)]))
    }))
  }
})

/** A log that records nothing. */
export const disabled: AuditLog["Service"] = {
  record: () => Effect.void,
  recordUnsafe: () => undefined,
  flush: Effect.void,
  stats: Effect.succeed({ recorded: 0, sinks: {} })
}

/** The log as a service: `AuditLog.layer({ sinks })`, or from an effect that makes the sinks. */
export const layer = <E = never, R = never>(
  options: Options | Effect.Effect<Options, E, R>
): Layer.Layer<AuditLog, E | KeelsonError.ConfigurationError, Exclude<R, Scope.Scope>> =>
  Layer.effect(AuditLog, Effect.isEffect(options) ? Effect.flatMap(options, make) : make(options))

/** The log that records nothing, as a service. */
export const layerDisabled: Layer.Layer<AuditLog> = Layer.succeed(AuditLog, disabled)
