import { assert, describe, it } from "@effect/vitest"
import { AuditLog } from "@keelson/audit"
import { forAllEffect } from "@keelson/testing/properties"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import fc from "fast-check"
import { accounted, makeSink } from "../memorySink.ts"

type Step =
  | { readonly do: "record"; readonly count: number; readonly length: number }
  | { readonly do: "down" | "hold"; readonly sink: 0 | 1; readonly is: boolean }
  | { readonly do: "pass"; readonly millis: number }
  | { readonly do: "interrupt"; readonly which: number }
  | { readonly do: "flush" }

const sink = fc.constantFrom(0 as const, 1 as const)

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("record" as const),
      count: fc.integer({ min: 1, max: 40 }),
      length: fc.constantFrom(0, 500, 1_900)
    })
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("down" as const), sink, is: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("hold" as const), sink, is: fc.boolean() }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant("pass" as const), millis: fc.constantFrom(0, 50, 100, 900, 6_000) })
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("interrupt" as const), which: fc.nat() }) },
  { weight: 1, arbitrary: fc.constant({ do: "flush" as const }) }
)

interface Run {
  readonly overflow: "wait" | "drop"
  /** Whether the sinks are up when the log closes. */
  readonly endsUp: boolean
  readonly steps: ReadonlyArray<Step>
}

const run: fc.Arbitrary<Run> = fc.record({
  overflow: fc.constantFrom("wait" as const, "drop" as const),
  endsUp: fc.boolean(),
  steps: fc.array(step, { minLength: 1, maxLength: 25 })
})

const check = ({ endsUp, overflow, steps }: Run) =>
  Effect.gen(function*() {
    const sinks = [makeSink("a"), makeSink("b")] as const
    const scope = yield* Scope.make()
    const log = yield* Scope.provide(
      AuditLog.make({
        sinks: sinks.map((one) => one.sink),
        bufferSize: "64 KiB",
        overflow,
        maxWait: "1 second",
        closeTimeout: "2 seconds"
      }),
      scope
    )
    const callers: Array<Fiber.Fiber<unknown, unknown>> = []
    const fork = (effect: Effect.Effect<unknown, unknown>) =>
      Effect.map(Effect.forkDetach(effect, { startImmediately: true }), (fiber) => {
        callers.push(fiber)
        return fiber
      })
    let recorded = 0
    for (const one of steps) {
      switch (one.do) {
        case "record":
          for (let index = 0; index < one.count; index++) {
            recorded++
            const fiber: Fiber.Fiber<unknown, unknown> = yield* fork(
              log.record({ httpMethod: "GET", objectKey: `${recorded}/${"x y".repeat(one.length / 3)}` })
            )
            // Without room nobody waits if entries are dropped.
            if (overflow === "drop") assert.isDefined(fiber.pollUnsafe())
          }
          break
        case "down":
          sinks[one.sink].setDown(one.is)
          break
        case "hold":
          if (one.is) sinks[one.sink].hold()
          else yield* sinks[one.sink].release()
          break
        case "pass":
          yield* TestClock.adjust(one.millis)
          break
        case "interrupt":
          if (callers.length > 0) yield* Fiber.interrupt(callers[one.which % callers.length]!)
          break
        case "flush":
          yield* fork(log.flush)
          break
      }
      const stats = yield* log.stats
      assert.strictEqual(stats.recorded, recorded)
      for (const { lost, pending, written } of Object.values(stats.sinks)) {
        assert.strictEqual(lost + pending + written, recorded)
        assert.isAtLeast(pending, 0)
      }
    }
    for (const one of sinks) {
      one.setDown(!endsUp)
      yield* one.release()
    }
    if (endsUp) yield* TestClock.adjust("10 seconds")
    const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
    yield* TestClock.adjust("2 seconds")
    yield* Fiber.join(closing)
    // Every caller came back.
    for (const fiber of callers) assert.isDefined(fiber.pollUnsafe())
    const stats = yield* log.stats
    for (const { lines, records, sink: { name } } of sinks) {
      const { lost = 0, pending, written = 0 } = stats.sinks[name] ?? {}
      assert.strictEqual(pending, 0)
      assert.strictEqual(written + lost, recorded)
      const numbers = accounted(lines)
      // In order, and none twice.
      for (const [index, number] of numbers.entries()) assert.isAbove(number, numbers[index - 1] ?? 0)
      assert.isTrue(records.every(({ sequence }, index) => sequence > (records[index - 1]?.sequence ?? 0)))
      const entries = lines.filter(({ http_method }) => http_method === "GET")
      assert.strictEqual(entries.length, written)
      for (const { object_key, sequence } of entries) assert.strictEqual(Number.parseInt(String(object_key)), sequence)
      if (endsUp) assert.deepStrictEqual(numbers, Array.from({ length: recorded }, (_, index) => index + 1))
    }
  }).pipe(Effect.provide(Logger.layer([])))

describe("AuditLog", () => {
  it("[A1][R38] every entry is in the sink once and in order, or in a line about a loss", (context) =>
    forAllEffect(context, 150, run, check))
})
