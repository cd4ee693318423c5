import { assert, describe, it } from "@effect/vitest"
import { Simulate } from "@keelson/core/testing"
import { Effect } from "effect"

const base = {
  processes: 4,
  duration: "1 minute",
  load: { perSecond: 5, arrivals: "even" },
  server: { serviceTime: "10 millis", variation: "fixed" }
} satisfies Simulate.Options

const run = (options: Partial<Simulate.Options> = {}) => Simulate.fleet({ ...base, ...options })

describe("the report of a simulation", () => {
  it.effect("without an outage or a surge, all is before it", () =>
    Effect.gen(function*() {
      const report = yield* run()
      assert.deepStrictEqual(report.before, report.total)
      assert.deepStrictEqual([report.during.calls, report.after.calls], [0, 0])
      assert.deepStrictEqual([report.metastable, report.recoveryMillis], [false, null])
      assert.deepStrictEqual(
        [
          report.total.calls,
          report.total.goodPerSecond,
          report.total.requestsPerCall,
          report.total.peakRequestsPerSecond
        ],
        [1200, 20, 1, 20]
      )
    }))

  it.effect("an outage that lasts to the end is not metastable", () =>
    Effect.gen(function*() {
      const report = yield* run({ outage: { begin: "30 seconds", end: "60 seconds" } })
      assert.deepStrictEqual([report.metastable, report.recoveryMillis, report.during.good], [false, null, 0])
      assert.include(Simulate.render(report), "ended before the cause was gone")
    }))

  it.effect("an outage and a surge are one cause, from the first begin to the last end", () =>
    Effect.gen(function*() {
      const { after, during } = yield* run({
        outage: { begin: "30 seconds", end: "40 seconds" },
        load: { perSecond: 5, surge: { begin: "20 seconds", end: "35 seconds", factor: 2 } }
      })
      assert.deepStrictEqual([during.beginMillis, during.endMillis, after.endMillis], [20_000, 40_000, 60_000])
    }))

  it.effect("recovery is the time until success stays, and a success in between is none", () =>
    Effect.gen(function*() {
      // Every circuit is open for 12 s after the outage began to be seen, and the second probe closes it.
      const report = yield* run({
        outage: { begin: "20 seconds", end: "30 seconds", mode: "refuse" },
        policy: { breaker: { failureThreshold: 1, openDuration: "12 seconds" } }
      })
      const { recoveryMillis } = report
      assert.isAtLeast(recoveryMillis ?? 0, 1000)
      assert.isAtMost(recoveryMillis ?? 0, 3000)
      assert.strictEqual(report.metastable, false)
    }))

  it.effect("a fleet that recovers after the simulation ends counts as metastable", () =>
    Effect.gen(function*() {
      const report = yield* run({
        outage: { begin: "20 seconds", end: "30 seconds", mode: "refuse" },
        policy: { breaker: { failureThreshold: 1, openDuration: "10 minutes" } }
      })
      assert.deepStrictEqual([report.metastable, report.recoveryMillis], [true, null])
      assert.include(Simulate.render(report), "stayed down after the cause was gone (metastable)")
    }))

  it.effect("the timeline has the open circuits as they are at the end of each entry", () =>
    Effect.gen(function*() {
      const { timeline } = yield* run({
        outage: { begin: "20 seconds", end: "30 seconds", mode: "refuse" },
        policy: { breaker: { failureThreshold: 1, openDuration: "10 minutes" } }
      })
      assert.deepStrictEqual(timeline.slice(18, 22).map(({ openCircuits }) => openCircuits), [0, 0, 4, 4])
    }))

  it.effect("calls that run at the end are unfinished, or too late by then", () =>
    Effect.gen(function*() {
      const { timeline, total } = yield* run({
        server: { serviceTime: "1 hour", variation: "fixed", concurrency: 10_000 },
        goodWithin: "10 seconds"
      })
      assert.deepStrictEqual([total.calls, total.good], [1200, 0])
      assert.strictEqual(total.unfinished, 200)
      assert.deepStrictEqual(total.errors, { TOO_LATE: 1000 })
      assert.strictEqual(timeline.length, 60)
    }))

  it.effect("the timeline has the asked resolution, also for a duration that it does not divide", () =>
    Effect.gen(function*() {
      const report = yield* run({ resolution: "7 seconds" })
      assert.deepStrictEqual(
        report.timeline.map(({ atMillis }) => atMillis),
        [0, 7, 14, 21, 28, 35, 42, 49, 56].map((s) => s * 1000)
      )
      assert.deepStrictEqual([report.total.calls, report.total.endMillis, report.total.goodPerSecond], [
        1200,
        60_000,
        20
      ])
    }))

  it.effect("[K-36] prints as a table of phases and a chart", () =>
    Effect.gen(function*() {
      const report = yield* run({ outage: { begin: "20 seconds", end: "40 seconds" } })
      assert.strictEqual(
        Simulate.render(report, 6),
        [
          "4 processes, 60 s, seed 1: recovered 0 s after the cause was gone",
          "",
          "phase           time  calls   good  good/s  requests/call  peak  wasted    P50    P99  open circuits",
          "before   0 s to 20 s    400  100 %      20              1     1       0  11 ms  11 ms              0",
          "during  20 s to 40 s    400    0 %       0              1     1       0   0 ms   0 ms              0",
          "after   40 s to 60 s    400  100 %      20              1     1       0  11 ms  11 ms              0",
          "",
          "time     calls/s  good/s  requests/s  at server  open",
          "0 s           20      20          20          1     0  ##############################",
          "10 s          20      20          20          1     0  ##############################",
          "20 s  !       20       0          20          0     0  ##############################",
          "30 s  !       20       0          20          0     0  ##############################",
          "40 s          20      20          20          1     0  ##############################",
          "50 s          20      20          20          1     0  ##############################",
          ""
        ].join("\n")
      )
    }))

  it.effect("prints a simulation without an outage, and without calls", () =>
    Effect.gen(function*() {
      assert.match(Simulate.render(yield* run()), /: no outage\n\nphase .*\nall +0 s to 60 s +1200 /)
      const idle = yield* run({ load: { perSecond: 0.001, surge: { begin: "0 millis", end: "1 minute", factor: 0 } } })
      assert.match(Simulate.render(idle), /\n0 s +! +0 +0 +0 +0 +0\n/)
    }))
})
