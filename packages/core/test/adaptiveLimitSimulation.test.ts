import { assert, describe, it } from "@effect/vitest"
import { Effect, Semaphore } from "effect"
import { TestClock } from "effect/testing"
import { AdaptiveLimit } from "../src/index.ts"
import { adaptive, fixed, gradient2, type Limiter, type Load, type Phase, seeded, simulate } from "./limitSimulation.ts"

const minute = 60_000
const healthy: Phase = { millis: minute, workers: 30, service: 100 }

/** A capacity that drops to a third in the second minute, and comes back. */
const loads: Readonly<Record<string, Omit<Load, "seed">>> = {
  "two thirds of the workers are gone, at 1.5 times the capacity": {
    phases: [healthy, { ...healthy, workers: 10 }, healthy],
    rate: 450,
    timeout: 1000
  },
  "two thirds of the workers are gone, at 0.8 times the capacity": {
    phases: [healthy, { ...healthy, workers: 10 }, healthy],
    rate: 240,
    timeout: 1000
  },
  "every call takes three times as long": {
    phases: [healthy, { ...healthy, service: 300 }, healthy],
    rate: 450,
    timeout: 1000
  }
}
const seeds = [1, 2]
const candidates = [10, 15, 20, 30, 40, 60]

const goodputs = (load: Load, limiter: Limiter) => simulate(load, limiter).map(({ goodput }) => goodput)

describe("AdaptiveLimit", () => {
  for (const [what, load] of Object.entries(loads)) {
    it(`[K-31] goodput is at least 0.9 of the best fixed limit in each phase, where ${what}`, () => {
      for (const seed of seeds) {
        const scan = candidates.map((limit) => goodputs({ ...load, seed }, fixed(limit)))
        const best = load.phases.map((_, phase) => Math.max(...scan.map((found) => found[phase]!)))
        const found = goodputs({ ...load, seed }, adaptive())
        const shares = found.map((goodput, phase) => goodput / best[phase]!)
        assert.isAtLeast(
          Math.min(...shares),
          0.9,
          `seed ${seed}: ${shares.map((share) => share.toFixed(2)).join(", ")}`
        )
      }
    })
  }

  it("[K-31] goodput is at least 0.9 of that under the published Gradient2 rule in each phase, and 1.5 times where calls take longer", () => {
    for (const [what, load] of Object.entries(loads)) {
      for (const seed of seeds) {
        const peer = goodputs({ ...load, seed }, gradient2({ initial: 20, min: 5, max: 1000 }))
        const found = goodputs({ ...load, seed }, adaptive())
        found.forEach((goodput, phase) => assert.isAtLeast(goodput, 0.9 * peer[phase]!, `${what}, ${seed}, ${phase}`))
        if (what.startsWith("every call")) assert.isAtLeast(found[1]!, 1.5 * peer[1]!)
      }
    }
  })

  it("[K-31] the same seed gives the same run", () => {
    const load = { ...loads["every call takes three times as long"]!, seed: 7 }
    assert.deepStrictEqual(simulate(load, adaptive()), simulate(load, adaptive()))
    assert.notDeepEqual(simulate(load, adaptive()), simulate({ ...load, seed: 8 }, adaptive()))
  })

  it("[K-31] does not collapse while it measures the baseline: the limit of a steady service stays above half of its workers", () => {
    for (const seed of seeds) {
      const load = { phases: [healthy, healthy, healthy], rate: 450, timeout: 1000, seed }
      const [, second, third] = simulate(load, adaptive())
      assert.isAtLeast(Math.min(second!.least, third!.least), 15)
      assert.isAtMost(third!.mean, 90)
    }
  })

  it("[K-31] finds the limit of a service that was overloaded from the first call on", () => {
    for (const seed of seeds) {
      const load = {
        phases: [{ millis: minute, workers: 5, service: 100 }, { millis: minute, workers: 5, service: 100 }]
      }
      const [, late] = simulate(
        { ...load, rate: 100, timeout: 1000, seed },
        adaptive({ minLimit: 2, initialLimit: 40 })
      )
      assert.isAtMost(late!.mean, 20)
      assert.isAtLeast(late!.goodput, 45)
    }
  })

  it("[K-31] under steady time-outs it shrinks to its minimum and stays there, and the published rule grows", () => {
    const load = {
      phases: [{ millis: minute, workers: 30, service: 100_000 }, healthy],
      rate: 450,
      timeout: 1000,
      seed: 1
    }
    const [hung, back] = simulate(load, adaptive({ minLimit: 7, initialLimit: 100 }))
    assert.deepStrictEqual([hung!.least, hung!.last], [7, 7])
    assert.isAbove(back!.last, 10)
    const [peer] = simulate(load, gradient2({ initial: 100, min: 7, max: 1000 }))
    assert.isAbove(peer!.last, 100)
  })

  it("[K-31] a limit that is not used does not grow", () => {
    const load = { phases: [healthy], rate: 50, timeout: 1000, seed: 1 }
    const [found] = simulate(load, adaptive({ initialLimit: 40 }))
    assert.strictEqual(found!.last, 40)
    assert.strictEqual(found!.rejected, 0)
  })

  it.effect("[K-31] calls through `execute` keep the goodput at 0.9 of the capacity on virtual time", () =>
    Effect.gen(function*() {
      const random = seeded(1)
      const exponential = (mean: number) => -mean * Math.log(1 - random())
      const limit = yield* AdaptiveLimit.make("server")
      const workers = yield* Semaphore.make(30)
      let good = 0
      const call = Effect.suspend(() => workers.withPermit(Effect.sleep(exponential(100)))).pipe(
        Effect.timeout("1 second"),
        limit.execute,
        Effect.match({ onFailure: () => {}, onSuccess: () => void good++ })
      )
      const arrivals = Effect.forever(
        Effect.andThen(Effect.suspend(() => Effect.sleep(exponential(1000 / 450))), Effect.forkChild(call))
      )
      yield* Effect.forkChild(arrivals)
      const goodput = Effect.fnUntraced(function*(seconds: number) {
        good = 0
        yield* TestClock.adjust(`${seconds} seconds`)
        return good / seconds
      })
      assert.isAtLeast(yield* goodput(15), 270)
      yield* Semaphore.resize(workers, 10)
      assert.isAtLeast(yield* goodput(15), 90)
      assert.isAtMost((yield* limit.snapshot).limit, 30)
      yield* Semaphore.resize(workers, 30)
      assert.isAtLeast(yield* goodput(15), 255)
      assert.deepInclude(yield* limit.snapshot, { queued: 0 })
    }))
})
