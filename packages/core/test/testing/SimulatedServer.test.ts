import { assert, describe, it } from "@effect/vitest"
import { Simulate } from "@keelson/core/testing"
import { Effect } from "effect"

/** 100 calls per second for a minute, without any policy. */
const plain = {
  processes: 10,
  duration: "1 minute",
  load: { perSecond: 10 },
  server: { serviceTime: "10 millis" }
} satisfies Simulate.Options

const run = (options: Partial<Simulate.Options>) => Simulate.fleet({ ...plain, ...options })
const outageOf = (mode: NonNullable<Simulate.Options["outage"]>["mode"]) =>
  ({ begin: "20 seconds", end: "40 seconds", mode }) as const

describe("the simulated server", () => {
  it.effect("takes the service time and the latency for an answer", () =>
    Effect.gen(function*() {
      const server = { serviceTime: "10 millis", variation: "fixed", latency: "3 millis" } as const
      const { total } = yield* run({ server })
      assert.deepStrictEqual([total.p50Millis, total.p99Millis, total.goodShare], [13, 13, 1])
      assert.strictEqual(total.requests, total.calls)
    }))

  it.effect("has exponential service times: the median is ln 2 of the average, the P99 ln 100", () =>
    Effect.gen(function*() {
      const { total } = yield* run({ server: { serviceTime: "1 second", latency: "0 millis", concurrency: 10_000 } })
      assert.approximately(total.p50Millis / 693, 1, 0.05)
      assert.approximately(total.p99Millis / 4605, 1, 0.1)
    }))

  it.effect("[K-36] is the M/M/1 queue of the textbooks: times in it are exponential with the free capacity as rate", () =>
    Effect.gen(function*() {
      const { total } = yield* run({
        duration: "20 minutes",
        load: { perSecond: 8 },
        server: { concurrency: 1, queue: 1_000_000, serviceTime: "10 millis", latency: "0 millis" }
      })
      // 100 per second less 80: a median of ln 2 / 20 seconds.
      assert.approximately(total.p50Millis / (Math.LN2 * 50), 1, 0.1)
      assert.approximately(total.p99Millis / (Math.log(100) * 50), 1, 0.15)
    }))

  it.effect("works slowly on a share of the requests", () =>
    Effect.gen(function*() {
      const server = { serviceTime: "10 millis", variation: "fixed", slowShare: 0.05, slowTime: "3 seconds" } as const
      const { total } = yield* run({ server })
      assert.deepStrictEqual([total.p50Millis, total.p99Millis], [11, 3001])
      const fast = yield* run({ server: { ...server, slowShare: 0.005 } })
      assert.strictEqual(fast.total.p99Millis, 11)
    }))

  it.effect("lets requests wait for a place, in the order of arrival", () =>
    Effect.gen(function*() {
      const server = { concurrency: 1, queue: 1_000_000, serviceTime: "20 millis", variation: "fixed" } as const
      const { timeline, total } = yield* run({ server, goodWithin: "1 hour" })
      // It serves half of the calls, so the queue grows by 50 per second.
      assert.approximately(timeline[40]!.load / 2000, 1, 0.15)
      assert.approximately(timeline[20]!.p50Millis / timeline[10]!.p50Millis, 2, 0.3)
      assert.isAbove(total.unfinished, 2000)
      assert.strictEqual(total.failed, 0)
    }))

  it.effect("answers 503 when the queue is full", () =>
    Effect.gen(function*() {
      const server = { concurrency: 1, queue: 5, serviceTime: "20 millis", variation: "fixed" } as const
      const { timeline, total } = yield* run({ server })
      assert.approximately(total.goodPerSecond, 50, 1)
      assert.strictEqual(total.errors["UPSTREAM_UNAVAILABLE"], total.failed)
      assert.strictEqual(Math.max(...timeline.map(({ load }) => load)), 6)
    }))

  it.effect("gives no answer when the queue is full and overload hangs", () =>
    Effect.gen(function*() {
      const server = { concurrency: 1, queue: 5, overload: "hang", serviceTime: "20 millis" } as const
      const { total } = yield* run({ server, policy: { attemptTimeout: "1 second" } })
      assert.deepStrictEqual(Object.keys(total.errors), ["TIMEOUT"])
      assert.isAbove(total.failed, 1000)
    }))

  it.effect("answers 429 above its rate limit, and callers obey its Retry-After", () =>
    Effect.gen(function*() {
      const server = { rateLimit: 50, retryAfter: "5 seconds" } as const
      const bare = yield* run({ server })
      assert.approximately(bare.total.goodPerSecond, 50, 2)
      assert.strictEqual(bare.total.errors["RATE_LIMITED"], bare.total.failed)
      const obedient = yield* run({ server, policy: { retry: { maxAttempts: 2, initialDelay: "1 millis" } } })
      assert.isAtLeast(obedient.total.p99Millis, 5000)
    }))

  it.effect("refuses connections, answers 503, or hangs, while an outage lasts", () =>
    Effect.gen(function*() {
      const policy = { attemptTimeout: "1 second" } as const
      const expected = { refuse: "NETWORK_ERROR", error: "UPSTREAM_UNAVAILABLE", hang: "TIMEOUT" } as const
      for (const mode of ["refuse", "error", "hang"] as const) {
        const { after, before, during, metastable, recoveryMillis } = yield* run({ policy, outage: outageOf(mode) })
        assert.deepStrictEqual(during.errors, { [expected[mode]]: during.calls }, mode)
        assert.deepStrictEqual([before.goodShare, after.goodShare], [1, 1], mode)
        assert.deepStrictEqual([metastable, recoveryMillis], [false, 0], mode)
      }
    }))

  it.effect("an outage of a share of the requests", () =>
    Effect.gen(function*() {
      const { during } = yield* run({ outage: { ...outageOf("error"), share: 0.25 } })
      assert.approximately(during.goodShare, 0.75, 0.03)
    }))

  it.effect("a slow server takes a multiple of its service times, for the affected share", () =>
    Effect.gen(function*() {
      const server = { serviceTime: "10 millis", variation: "fixed", latency: "0 millis" } as const
      const slow = { ...outageOf("slow"), slowdown: 20 }
      const all = yield* run({ server, outage: slow })
      assert.deepStrictEqual([all.before.p50Millis, all.during.p50Millis, all.after.p50Millis], [10, 200, 10])
      const some = yield* run({ server, outage: { ...slow, share: 0.2 } })
      assert.deepStrictEqual([some.during.p50Millis, some.during.p99Millis], [10, 200])
    }))

  it.effect("a server that shrinks serves its share, and works off what waited when it is whole again", () =>
    Effect.gen(function*() {
      const server = { concurrency: 6, queue: 10_000, serviceTime: "50 millis", variation: "fixed" } as const
      const { after, during, recoveryMillis } = yield* run({
        server,
        outage: { ...outageOf("shrink"), capacity: 1 / 3 },
        duration: "3 minutes",
        goodWithin: "2 seconds"
      })
      // 40 per second of 100: after three seconds, everything waits for longer than two.
      assert.isBelow(during.goodShare, 0.35)
      assert.isAbove(recoveryMillis ?? 0, 20_000)
      assert.isAbove(after.p99Millis, 1000)
    }))

  it.effect("a server that shrinks has its share of the rate limit", () =>
    Effect.gen(function*() {
      const { before, during } = yield* run({
        server: { rateLimit: 200 },
        outage: { ...outageOf("shrink"), capacity: 0.2 }
      })
      assert.strictEqual(before.goodShare, 1)
      assert.approximately(during.goodPerSecond, 40, 4)
    }))

  it.effect("serves requests whose callers have given up, unless it notices", () =>
    Effect.gen(function*() {
      const server = { concurrency: 10, queue: 1000, serviceTime: "20 millis", variation: "fixed" } as const
      const stopped = {
        policy: { attemptTimeout: "1 second" },
        outage: { ...outageOf("shrink"), capacity: 0 }
      } as const
      const blind = yield* run({ ...stopped, server })
      const noticing = yield* run({ ...stopped, server: { ...server, abandoned: "drop" } })
      assert.isAbove(blind.after.wasted, 900)
      assert.isBelow(noticing.after.wasted, 30)
      assert.deepStrictEqual([blind.recoveryMillis, noticing.recoveryMillis], [1000, 0])
    }))

  it.effect("a call that succeeds too late is not good", () =>
    Effect.gen(function*() {
      const server = { serviceTime: "2 seconds", variation: "fixed", concurrency: 1000 } as const
      const { total } = yield* run({ server, goodWithin: "1 second" })
      assert.strictEqual(total.good, 0)
      assert.deepStrictEqual(total.errors, { TOO_LATE: total.failed })
    }))
})
