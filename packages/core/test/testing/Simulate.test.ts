import { assert, describe, it } from "@effect/vitest"
import { type Resilience, RetryBudget } from "@keelson/core"
import { Simulate } from "@keelson/core/testing"
import { Effect } from "effect"

/** 80 calls per second at a server that can do 100. A full queue takes four seconds, longer than a caller waits. */
const busy = {
  processes: 20,
  duration: "2 minutes",
  load: { perSecond: 4 },
  server: { concurrency: 5, queue: 400, serviceTime: "50 millis" },
  outage: { begin: "30 seconds", end: "60 seconds", mode: "hang" }
} satisfies Simulate.Options

const attemptTimeout = "1 second"
const retry = { maxAttempts: 3, initialDelay: "100 millis" } as const

const run = (options: Partial<Simulate.Options>) => Simulate.fleet({ ...busy, ...options })
/** The same for a fifth of the processes. */
const runSmall = (options: Partial<Simulate.Options>) =>
  run({ processes: 4, server: { concurrency: 1, queue: 80, serviceTime: "50 millis" }, ...options })

/** Requests in each entry of the timeline from `begin` to `end`, in seconds. */
const requestsIn = ({ timeline }: Simulate.Report, begin: number, end: number): ReadonlyArray<number> =>
  timeline.slice(begin, end).map(({ requests }) => requests)

const sumOf = (numbers: ReadonlyArray<number>): number => numbers.reduce((a, b) => a + b, 0)

describe("Simulate", () => {
  describe("fleet", () => {
    it.effect("[K-36] retries without a budget keep the server down after the outage is over", () =>
      Effect.gen(function*() {
        const report = yield* run({ policy: { attemptTimeout, retry } })
        assert.isTrue(report.metastable)
        assert.isNull(report.recoveryMillis)
        assert.isAbove(report.after.requestsPerCall, 2.8)
        assert.isBelow(report.after.goodShare, 0.1)
        assert.isAbove(report.after.wasted, 3000)
        assert.strictEqual(report.before.goodShare, 1)
        assert.strictEqual(report.before.requestsPerCall, 1)
      }))

    it.effect("[K-36] the same fleet with a budget multiplies its load by the ratio of the budget, and recovers", () =>
      Effect.gen(function*() {
        const budget = { ratio: 0.1, minPerSecond: 0 }
        const report = yield* run({ policy: { attemptTimeout, retry: { ...retry, budget } } })
        assert.isFalse(report.metastable)
        assert.isAtMost(report.recoveryMillis ?? Infinity, 5000)
        assert.isAtMost(report.during.requestsPerCall, 1.15)
        assert.isAbove(report.after.goodShare, 0.98)
      }))

    it.effect("[K-36] the minimum of a budget adds up over processes that make few calls", () =>
      Effect.gen(function*() {
        const options = (minPerSecond: number): Partial<Simulate.Options> => ({
          processes: 80,
          load: { perSecond: 1 },
          policy: { attemptTimeout, retry: { ...retry, budget: { ratio: 0.1, minPerSecond } } }
        })
        const [none, one] = yield* Effect.all([run(options(0)), run(options(1))])
        assert.approximately(none.during.requestsPerCall, 1.1, 0.03)
        assert.isAbove(one.during.requestsPerCall, 1.7)
      }))

    it.effect("[K-36] breakers take the load off the server: less than one request for each call", () =>
      Effect.gen(function*() {
        const breaker = { failureThreshold: 5, openDuration: "5 seconds" } as const
        const report = yield* run({ policy: { attemptTimeout, retry, breaker } })
        assert.isFalse(report.metastable)
        assert.isBelow(report.during.requestsPerCall, 1)
        assert.strictEqual(report.during.peakOpenCircuits, 20)
        assert.strictEqual(report.before.peakOpenCircuits, 0)
        assert.strictEqual(report.timeline.at(-1)?.openCircuits, 0)
        assert.isAbove(report.during.errors["CIRCUIT_OPEN"] ?? 0, 1000)
        assert.isBelow(report.recoveryMillis ?? Infinity, 10_000)
      }))

    it.effect("[K-36] processes with different open durations do not probe at the same moment", () =>
      Effect.gen(function*() {
        const probes = (policy: Simulate.Options["policy"]) =>
          Effect.map(
            run({
              load: { perSecond: 10 },
              server: { concurrency: 100 },
              duration: "3 minutes",
              outage: { begin: "30 seconds", end: "3 minutes", mode: "refuse" },
              policy
            }),
            // The first failures, which opened the circuits, are not probes.
            (report) => requestsIn(report, 40, 150)
          )
        const policyOf = (seconds: number): Resilience.Options => ({
          breaker: { openDuration: `${seconds} seconds`, failureThreshold: 3 }
        })
        const together = yield* probes(policyOf(10))
        const apart = yield* probes((process) => policyOf(10 + process * 0.5))
        assert.isAbove(Math.max(...together), 15)
        assert.isBelow(Math.max(...apart), 8)
        // Probes for 2.5 s on average more are a third fewer: a difference in time and not in number.
        assert.isAbove(sumOf(apart), sumOf(together) / 2)
      }))

    it.effect("[K-36] [S1] the same seed gives the same report to the byte, and another seed another one", () =>
      Effect.gen(function*() {
        const policy = { attemptTimeout, retry, breaker: {} } as const
        const [one, again, other] = yield* Effect.all([
          runSmall({ policy, seed: 7 }),
          runSmall({ policy, seed: 7 }),
          runSmall({ policy, seed: 8 })
        ])
        assert.strictEqual(JSON.stringify(one), JSON.stringify(again))
        assert.strictEqual(Simulate.render(one), Simulate.render(again))
        assert.notStrictEqual(JSON.stringify(one.timeline), JSON.stringify(other.timeline))
      }))

    it.effect("[S1] another policy meets the same calls", () =>
      Effect.gen(function*() {
        const [one, other] = yield* Effect.all([
          runSmall({ policy: { attemptTimeout } }),
          runSmall({ policy: { retry } })
        ])
        const calls = ({ timeline }: Simulate.Report) => timeline.map((moment) => moment.calls)
        assert.deepStrictEqual(calls(one), calls(other))
      }))

    it.effect("[S1] simulations that run at the same time do not affect each other", () =>
      Effect.gen(function*() {
        const policy = { attemptTimeout, retry } as const
        const alone = yield* runSmall({ policy })
        const together = yield* Effect.all(
          [runSmall({ policy }), runSmall({ policy, seed: 2 }), runSmall({ policy })],
          {
            concurrency: "unbounded"
          }
        )
        assert.deepStrictEqual(together[0], alone)
        assert.deepStrictEqual(together[2], alone)
      }))

    it.effect("a report is plain data", () =>
      Effect.gen(function*() {
        const report = yield* runSmall({ policy: { retry } })
        assert.deepStrictEqual(JSON.parse(JSON.stringify(report)), report)
      }))

    it.effect("processes that share a budget retry for it together", () =>
      Effect.gen(function*() {
        const budget = RetryBudget.make({ ratio: 0, minPerSecond: 1 })
        const report = yield* run({ policy: { attemptTimeout, retry: { ...retry, budget } } })
        const retries = report.during.requests - report.during.calls
        assert.isAtLeast(retries, 20)
        assert.isAtMost(retries, 45)
      }))

    it.effect("processes with shared circuits stop together after the failures of one", () =>
      Effect.gen(function*() {
        const policy = { breaker: { failureThreshold: 5, openDuration: "10 minutes" } } as const
        const outage = { begin: "1 minute", end: "119 seconds", mode: "refuse" } as const
        // At once, so that no call begins or succeeds between a failure and its answer.
        const server = { latency: "0 millis", serviceTime: "0 millis" } as const
        const shared = yield* run({ circuits: "shared", policy, outage, server })
        const own = yield* run({ circuits: "own", policy, outage, server })
        assert.strictEqual(shared.during.requests, 5)
        assert.strictEqual(own.during.requests, 100)
        assert.strictEqual(shared.during.peakOpenCircuits, 20)
      }))
  })

  describe("load", () => {
    it.effect("calls arrive at the asked rate, whether the server answers or not", () =>
      Effect.gen(function*() {
        const report = yield* run({
          duration: "10 minutes",
          outage: { begin: "1 minute", end: "9 minutes", mode: "hang" }
        })
        assert.approximately(report.total.calls / (20 * 4 * 600), 1, 0.01)
        assert.approximately(report.during.calls / (20 * 4 * 480), 1, 0.01)
      }))

    it.effect("calls at equal distances: the same number every second", () =>
      Effect.gen(function*() {
        const { timeline } = yield* run({ load: { perSecond: 4, arrivals: "even" }, duration: "1 minute" })
        assert.deepStrictEqual(new Set(timeline.map(({ calls }) => calls)), new Set([80]))
      }))

    for (const arrivals of ["even", "poisson"] as const) {
      it.effect(`a surge multiplies the rate from its begin to its end, for ${arrivals} arrivals`, () =>
        Effect.gen(function*() {
          const surge = { begin: "20 seconds", end: "40 seconds", factor: 5 } as const
          const { outage: _, ...calm } = busy
          const report = yield* Simulate.fleet({
            ...calm,
            server: { concurrency: 1000 },
            duration: "1 minute",
            load: { perSecond: 4, arrivals, surge }
          })
          assert.approximately(report.before.calls / 1600, 1, 0.1)
          assert.approximately(report.during.calls / 8000, 1, 0.05)
          assert.approximately(report.after.calls / 1600, 1, 0.1)
          assert.deepStrictEqual([report.during.beginMillis, report.during.endMillis], [20_000, 40_000])
        }))
    }

    it.effect("a surge of nothing is a pause", () =>
      Effect.gen(function*() {
        const surge = { begin: "20 seconds", end: "40 seconds", factor: 0 } as const
        const { outage: _, ...calm } = busy
        const report = yield* Simulate.fleet({ ...calm, duration: "1 minute", load: { perSecond: 4, surge } })
        assert.deepStrictEqual([report.during.calls, report.during.goodShare, report.metastable], [0, 1, false])
        assert.isAbove(report.after.calls, 1400)
      }))

    it.effect("processes start one after the other", () =>
      Effect.gen(function*() {
        const { outage: _, ...calm } = busy
        const { timeline } = yield* Simulate.fleet({ ...calm, startWithin: "100 seconds", duration: "3 minutes" })
        const calls = timeline.map((moment) => moment.calls)
        assert.approximately(sumOf(calls.slice(0, 50)) / sumOf(calls.slice(100, 150)), 0.25, 0.05)
      }))
  })
})
