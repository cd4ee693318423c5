import { assert, beforeAll, describe, it } from "@effect/vitest"
import { header, ids, jwks, registryOf, revalidating } from "@keelson/testing/scriptedProvider"
import { Effect, Random } from "effect"
import { TestClock } from "effect/testing"
import { type Day, type DayReport, simulate } from "../../bench/src/jwks/day.ts"

/** The day of the benchmark, with fewer providers. */
const day: Day = { providers: 16, hours: 24, lead: 30, seed: 1 }

const run = (of: Day): Promise<DayReport> =>
  Effect.runPromise(simulate(of).pipe(Effect.scoped, Effect.provide(TestClock.layer())))

describe("a day of hourly rotations, an outage of 15 minutes each, 1 % slow and 1 % broken responses", () => {
  let report: DayReport
  beforeAll(async () => {
    report = await run(day)
  })

  it("[S1-02] makes each refresh with a stored validator conditional, and 80 % get a 304", () => {
    // One fetch at least in each lifetime of five minutes, but for those of the outage.
    assert.isAtLeast(report.succeeded, day.providers * (day.hours * 12 - 3))
    assert.isAtLeast(report.withValidator, report.succeeded - day.providers)
    assert.strictEqual(report.conditional, report.withValidator)
    assert.isAtLeast(report.notModified / report.succeeded, 0.8)
  })

  it("[S1-03] refreshes in 99.5 % of the tries that begin outside the outages", () => {
    assert.isAtLeast(report.refreshes, day.providers * (day.hours * 12 - 3))
    assert.isAtMost(report.failedRefreshes / report.refreshes, 0.005)
    assert.isAbove(report.failedInOutage, day.providers)
  })

  it("[S1-04] serves stale keys in the outages alone: at most 5 % of all", () => {
    assert.isAbove(report.stale, 0)
    assert.isAtMost(report.stale / report.hits, 0.05)
    assert.isAtMost(report.stale, report.lookupsInOutages + day.providers * 5)
  })

  it("[S1-15] finds every key through the outages, with a stale window as long as they are", () => {
    assert.isAbove(report.lookupsInOutages, day.providers * 15)
    assert.strictEqual(report.failedInOutages, 0)
    assert.strictEqual(report.failedLookups, 0)
  })

  it("is the same day with the same seed, and another one with another", async () => {
    const short = { ...day, providers: 4, hours: 3 }
    const first = await run(short)
    assert.deepStrictEqual(await run(short), first)
    assert.notDeepEqual(await run({ ...short, seed: 2 }), first)
  })
})

describe("a thousand clients of fifty providers", () => {
  const providers = 50
  const lifetime = 300
  /** The defaults: renewed 30 seconds early. Without jitter, to be countable. */
  const interval = lifetime - 30
  const minutes = 15
  const source = Effect.gen(function*() {
    const headers = { "cache-control": `max-age=${lifetime}` }
    const { provider, registry } = yield* registryOf(revalidating(jwks("a"), "\"1\"", headers))
    for (let i = 0; i < providers; i++) {
      const issuer = `https://idp${i}.example`
      yield* registry.put(ids("t", `p${i}`), { issuer, url: `${issuer}/jwks`, refreshJitter: "0 millis" }, {
        ifAbsent: true
      })
    }
    yield* TestClock.adjust("1 second")
    return { provider, find: (i: number) => registry.keySource("t").find(`https://idp${i}.example`, header("a")) }
  })
  const each = Array.from({ length: providers }, (_, index) => index)

  it.effect("[S1-01] are served from memory at once during a refresh, without suspending", () =>
    Effect.gen(function*() {
      const { find, provider } = yield* source
      const runFork = Effect.runForkWith(yield* Effect.context())
      provider.answer = () => Effect.never
      yield* TestClock.adjust(`${interval + 1} seconds`)
      assert.isAbove(provider.underWay(), 0)
      for (const index of each) assert.strictEqual(runFork(find(index)).pollUnsafe()?._tag, "Success")
    }).pipe(Effect.scoped))

  it.effect("[S1-05] cause no fetch beyond one in each refresh window of each provider", () =>
    Effect.gen(function*() {
      const { find, provider } = yield* source
      let lookups = 0
      const client = Effect.gen(function*() {
        while (true) {
          yield* find(yield* Random.nextIntBetween(0, providers - 1))
          lookups++
          yield* Effect.sleep("1 minute")
        }
      })
      yield* Effect.forEach(Array.from({ length: 1000 }), () => Effect.forkScoped(client), { discard: true })
      yield* TestClock.adjust(`${minutes} minutes`)
      assert.isAtLeast(lookups, 1000 * minutes)
      const windows = 1 + Math.floor(minutes * 60 / interval)
      assert.strictEqual(provider.requests.length, providers * windows)
    }).pipe(Effect.scoped))
})
