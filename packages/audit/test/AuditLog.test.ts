import { assert, describe, it } from "@effect/vitest"
import { AuditLog } from "@keelson/audit"
import * as Metrics from "@keelson/core/Metrics"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { accounted, makeSink } from "./memorySink.ts"

const entry = (key: string) => ({ httpMethod: "GET", bucket: "b", objectKey: key, responseStatus: 200 })
/** About 1 KiB with everything that an entry has. */
const large = (index: number) => entry(`${index}/${"x".repeat(500)}/${"y".repeat(100)}`)

const range = (to: number) => Array.from({ length: to }, (_, index) => index + 1)

describe("AuditLog", () => {
  it.effect("[S4-43] writes every entry once and in order, one batch after the interval", () =>
    Effect.gen(function*() {
      const memory = makeSink()
      const log = yield* AuditLog.make({ sinks: [memory.sink] })
      yield* Effect.yieldNow
      yield* Effect.forEach(range(5), (index) => log.record(entry(`k${index}`)))
      yield* Effect.yieldNow
      assert.strictEqual(memory.calls, 0)
      yield* TestClock.adjust("100 millis")
      assert.strictEqual(memory.calls, 1)
      assert.deepStrictEqual(memory.lines.map(({ object_key }) => object_key), range(5).map((index) => `k${index}`))
      assert.deepStrictEqual(memory.records.map(({ sequence }) => sequence), range(5))
      assert.deepStrictEqual(yield* log.stats, {
        recorded: 5,
        sinks: { memory: { written: 5, lost: 0, pending: 0, isUp: true } }
      })
    }))

  it.effect("[S4-43] flush and the end of the scope write at once", () =>
    Effect.gen(function*() {
      const memory = makeSink()
      const scope = yield* Scope.make()
      const log = yield* Scope.provide(AuditLog.make({ sinks: [memory.sink] }), scope)
      yield* log.record(entry("a"))
      yield* log.flush
      assert.deepStrictEqual(accounted(memory.lines), [1])
      assert.isAbove(memory.flushes, 0)
      yield* log.record(entry("b"))
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(accounted(memory.lines), [1, 2])
      yield* log.record(entry("late"))
      assert.deepStrictEqual((yield* log.stats).sinks["memory"], { written: 2, lost: 1, pending: 0, isUp: true })
    }))

  it.effect("[S4-43][A3] a sink that is down delays no request and no other sink; its entries come when it is back", () =>
    Effect.gen(function*() {
      const up = makeSink("up")
      const down = makeSink("down")
      const hanging = makeSink("hanging")
      down.setDown(true)
      hanging.hold()
      const log = yield* AuditLog.make({ sinks: [down.sink, hanging.sink, up.sink] })
      yield* Effect.forEach(range(20), (index) => log.record(entry(`k${index}`)))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(accounted(up.lines), range(20))
      assert.strictEqual(down.records.length, 0)
      assert.isAbove(down.calls, 1)
      assert.isFalse((yield* log.stats).sinks["down"]?.isUp)
      down.setDown(false)
      yield* hanging.release()
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(accounted(down.lines), range(20))
      assert.deepStrictEqual(accounted(hanging.lines), range(20))
      assert.isTrue((yield* log.stats).sinks["down"]?.isUp)
    }))

  it.effect("[S4-43] delays between calls to a sink that is down grow, and stay below 5 seconds", () =>
    Effect.gen(function*() {
      const memory = makeSink()
      memory.setDown(true)
      const log = yield* AuditLog.make({ sinks: [memory.sink] })
      yield* log.record(entry("a"))
      yield* TestClock.adjust("10 minutes")
      assert.isAtLeast(memory.calls, 120)
      assert.isAtMost(memory.calls, 260)
      memory.setDown(false)
      yield* log.flush
    }))

  it.effect("[R38][A1] overflow drop: counts what is lost, and a line in the sink says what", () =>
    Effect.gen(function*() {
      const memory = makeSink()
      memory.setDown(true)
      const log = yield* AuditLog.make({ sinks: [memory.sink], bufferSize: "64 KiB" })
      yield* Effect.forEach(range(200), (index) => log.record(large(index)))
      const { lost = 0, pending = 0 } = (yield* log.stats).sinks["memory"] ?? {}
      assert.isAbove(lost, 100)
      assert.strictEqual(lost + pending, 200)
      memory.setDown(false)
      yield* TestClock.adjust("10 seconds")
      // The line about the loss does not wait for another entry.
      assert.deepStrictEqual(accounted(memory.lines), range(200))
      const line = memory.lines.at(-1)
      assert.deepStrictEqual(line?.["details"], { sink: "memory", lost, first: pending + 1, last: 200 })
      assert.strictEqual(memory.records.at(-1)?.level, "error")
      yield* log.record(entry("next"))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(accounted(memory.lines), range(201))
    }))

  it.effect("[R38] overflow wait: waits for room, in order", () =>
    Effect.gen(function*() {
      const memory = makeSink()
      memory.hold()
      const log = yield* AuditLog.make({
        sinks: [memory.sink],
        bufferSize: "64 KiB",
        overflow: "wait",
        maxWait: "1 minute"
      })
      const all = yield* Effect.forkChild(Effect.forEach(range(200), (index) => log.record(large(index))))
      yield* TestClock.adjust("1 second")
      assert.isUndefined(all.pollUnsafe())
      yield* memory.release()
      yield* Fiber.join(all)
      yield* log.flush
      assert.deepStrictEqual(memory.records.map(({ sequence }) => sequence), range(200))
      assert.strictEqual((yield* log.stats).sinks["memory"]?.lost, 0)
    }))

  it.effect("[R38] overflow wait: gives up at maxWait, also where nothing can be interrupted", () =>
    Effect.gen(function*() {
      const memory = makeSink()
      memory.setDown(true)
      const log = yield* AuditLog.make({
        sinks: [memory.sink],
        bufferSize: "64 KiB",
        overflow: "wait",
        maxWait: "2 seconds"
      })
      yield* Effect.forEach(range(50), (index) => log.record(large(index)))
      const before = (yield* log.stats).sinks["memory"]
      const waiting = yield* Effect.forkChild(
        Effect.uninterruptible(
          Effect.forEach(range(200), (index) => log.record(large(index)), { concurrency: "unbounded" })
        )
      )
      yield* TestClock.adjust("1 second")
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(waiting)
      const after = (yield* log.stats).sinks["memory"]
      assert.isAbove(after?.lost ?? 0, before?.lost ?? 0)
      memory.setDown(false)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(accounted(memory.lines), range(250))
    }))

  it.effect("[R38] an interrupted caller that waits loses its entry alone", () =>
    Effect.gen(function*() {
      const memory = makeSink()
      memory.hold()
      const log = yield* AuditLog.make({
        sinks: [memory.sink],
        bufferSize: "64 KiB",
        overflow: "wait",
        maxWait: "1 minute"
      })
      const fibers = yield* Effect.forEach(range(100), (index) => Effect.forkChild(log.record(large(index))))
      yield* Effect.yieldNow
      const waiting = fibers.flatMap((fiber, index) => fiber.pollUnsafe() === undefined ? [index + 1] : [])
      assert.isAbove(waiting.length, 10)
      const [, second = 0] = waiting
      yield* Fiber.interrupt(fibers[second - 1]!)
      yield* memory.release()
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(accounted(memory.lines), range(100))
      assert.deepStrictEqual(
        memory.lines.filter(({ http_method }) => http_method === "audit.lost").map(({ details }) => details),
        [{ sink: "memory", lost: 1, first: second, last: second }]
      )
    }))

  it.effect("[S4-43] flush fails after closeTimeout if a sink is down, and the entries wait on", () =>
    Effect.gen(function*() {
      const memory = makeSink()
      memory.setDown(true)
      const log = yield* AuditLog.make({ sinks: [memory.sink], closeTimeout: "2 seconds" })
      yield* log.record(entry("a"))
      const flushing = yield* Effect.forkChild(Effect.flip(log.flush))
      yield* TestClock.adjust("2 seconds")
      const error = yield* Fiber.join(flushing)
      assert.strictEqual(error.code, "AUDIT_NOT_FLUSHED")
      memory.setDown(false)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(accounted(memory.lines), [1])
    }))

  it.effect("[R28][A1] the end waits at most closeTimeout, and counts what is left as lost", () =>
    Effect.gen(function*() {
      const down = makeSink("down")
      const stuck = makeSink("stuck")
      down.setDown(true)
      stuck.hold()
      const scope = yield* Scope.make()
      const log = yield* Scope.provide(
        AuditLog.make({
          sinks: [down.sink, { ...stuck.sink, write: (batch) => Effect.uninterruptible(stuck.sink.write(batch)) }],
          closeTimeout: "3 seconds"
        }),
        scope
      )
      yield* log.record(entry("a"))
      yield* log.record(entry("b"))
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("2 seconds")
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(closing)
      const { sinks } = yield* log.stats
      assert.deepStrictEqual(sinks["down"], { written: 0, lost: 2, pending: 0, isUp: false })
      assert.strictEqual(sinks["stuck"]?.lost, 2)
    }))

  it.effect("[S4-40] records entries from its level on", () =>
    Effect.gen(function*() {
      const memory = makeSink()
      const log = yield* AuditLog.make({ sinks: [memory.sink], level: "warning" })
      for (const responseStatus of [200, 304, 404, 500]) yield* log.record({ httpMethod: "GET", responseStatus })
      yield* log.record({ httpMethod: "token.refresh.failure", level: "error" })
      yield* log.flush
      assert.deepStrictEqual(memory.records.map(({ level, sequence }) => [level, sequence]), [
        ["warning", 1],
        ["error", 2],
        ["error", 3]
      ])
    }))

  it.effect("[R38] emits metrics by sink", () =>
    Effect.gen(function*() {
      const memory = makeSink()
      memory.setDown(true)
      const log = yield* AuditLog.make({ sinks: [memory.sink], bufferSize: "64 KiB" })
      yield* Effect.forEach(range(200), (index) => log.record(large(index)))
      yield* TestClock.adjust("1 second")
      memory.setDown(false)
      yield* TestClock.adjust("10 seconds")
      const { lost = 0, written = 0 } = (yield* log.stats).sinks["memory"] ?? {}
      const series = new Map((yield* Metric.snapshot).map(({ id, state }) => [id, Object(state)]))
      assert.strictEqual(series.get("keelson_audit_entries_written_total")?.count, written)
      assert.strictEqual(series.get("keelson_audit_entries_lost_total")?.count, lost)
      assert.strictEqual(series.get("keelson_audit_buffer_bytes")?.value, 0)
      assert.isAbove(series.get("keelson_audit_write_failures_total")?.count, 0)
    }).pipe(Effect.provide(Metrics.layerIsolated)))

  it.effect("[S4-40] fails for no sink, and for two of one name", () =>
    Effect.gen(function*() {
      const { sink } = makeSink()
      const issue = (options: AuditLog.Options) =>
        Effect.map(Effect.flip(AuditLog.make(options)), ({ message }) => message)
      assert.match(yield* issue({ sinks: [] }), /sinks must be 1 to 8 sinks/)
      assert.match(yield* issue({ sinks: [sink, sink] }), /sinks with different names/)
      assert.match(yield* issue({ sinks: [sink], bufferSize: 1 }), /bufferSize must be a size/)
    }))
})
