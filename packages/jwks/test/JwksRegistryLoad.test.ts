import { assert, describe, it } from "@effect/vitest"
import {
  type Answer,
  hanging,
  header,
  ids,
  issuer,
  jwks,
  keysOf,
  type Provider,
  registryOf,
  revalidating,
  url
} from "@keelson/testing/scriptedProvider"
import { runOut, skewedClock } from "@keelson/testing/virtualTime"
import { Clock, Duration, Effect, Exit, Layer, Metric } from "effect"
import { TestClock } from "effect/testing"
import type { JwksOptions } from "../src/index.ts"
import { FetchPermits, Permits } from "../src/internal/cache/fetchPermits.ts"

const permits = (count: number) => Layer.sync(FetchPermits, () => new Permits(count))

const numbers = (count: number) => Array.from({ length: count }, (_, n) => n)

type Registry = Effect.Success<ReturnType<typeof registryOf>>["registry"]

/** Registers this many providers of a tenant, each of a different issuer, below a URL. */
const registerAll = (
  registry: Registry,
  tenant: string,
  count: number,
  options: Partial<JwksOptions.Options> = {},
  base = url
) =>
  Effect.forEach(
    numbers(count),
    (n) =>
      registry.put(ids(tenant, `p${n}`), { issuer: `${issuer}/${n}`, url: `${base}/${tenant}/${n}`, ...options }, {
        ifAbsent: true
      }),
    { discard: true }
  )

/** Responds after a delay; records the maximum of concurrent requests. */
const slowly = (provider: () => Provider | undefined, answer: Answer) => {
  const seen = { most: 0 }
  const slow: Answer = (request) => {
    seen.most = Math.max(seen.most, provider()?.underWay() ?? 0)
    return Effect.delay(answer(request), "100 millis")
  }
  return { seen, slow }
}

const slowRegistry = Effect.fnUntraced(function*(more?: Layer.Layer<never>) {
  let made: Provider | undefined
  const { seen, slow } = slowly(() => made, keysOf("a"))
  const { provider, registry } = yield* registryOf(slow, more)
  made = provider
  return { seen, provider, registry }
})

/** A clock that knows how many sleep by it now, and how many ever did. */
const countedClock = Effect.map(Clock.Clock, (base) => {
  const seen = { pending: 0, ever: 0 }
  const clock: Clock.Clock = Object.create(base, {
    sleep: {
      value: (duration: Parameters<Clock.Clock["sleep"]>[0]) =>
        Effect.acquireUseRelease(
          Effect.sync(() => {
            seen.pending++
            seen.ever++
          }),
          () => base.sleep(duration),
          () => Effect.sync(() => seen.pending--)
        )
    }
  })
  return { seen, clock }
})

/** Counts the fibers that have begun and not ended, of all that it is provided to. */
const countedFibers = () => {
  const seen = { active: 0, started: 0 }
  const service: Metric.FiberRuntimeMetricsService = {
    recordFiberStart: () => {
      seen.active++
      seen.started++
    },
    recordFiberEnd: () => {
      seen.active--
    }
  }
  return { seen, service }
}

describe("JwksRegistry under load", () => {
  it.effect("[S1-05] serves 1,000 readers of 50 providers from memory between refreshes", () =>
    Effect.gen(function*() {
      const { provider, registry } = yield* registryOf(revalidating(jwks("a"), "\"1\""))
      yield* registerAll(registry, "t", 50)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(provider.requests.length, 50)
      const { find } = registry.keySource("t")
      const lookups = numbers(1000).map((n) => find(`${issuer}/${n % 50}`, header("a")))
      for (let minute = 0; minute < 58; minute += 2) {
        yield* Effect.all(lookups, { concurrency: "unbounded", discard: true })
        yield* TestClock.adjust("2 minutes")
      }
      assert.strictEqual(provider.requests.length, 50)
      yield* TestClock.adjust("2 minutes")
      yield* Effect.all(lookups, { concurrency: "unbounded", discard: true })
      assert.strictEqual(provider.requests.length, 100)
      const statuses = yield* registry.statuses("t")
      assert.isTrue(statuses.every(({ status }) => status.hitRate === 1 && status.metrics.hits === 30 * 20))
    }))

  it.effect("[S1-05] makes one fetch for each of 50 providers that 1,000 cold readers ask", () =>
    Effect.gen(function*() {
      const { provider, registry } = yield* slowRegistry()
      yield* registerAll(registry, "t", 50, { prefetch: false })
      const { find } = registry.keySource("t")
      const lookups = Effect.all(numbers(1000).map((n) => find(`${issuer}/${n % 50}`, header("a"))), {
        concurrency: "unbounded"
      })
      const { exit } = yield* runOut(lookups, "1 minute")
      assert.isTrue(Exit.isSuccess(exit))
      assert.strictEqual(provider.requests.length, 50)
    }))

  it.effect("[R25] makes at most 16 fetches at once, though 200 providers of several tenants are due at once", () =>
    Effect.gen(function*() {
      const { provider, registry, seen } = yield* slowRegistry(permits(16))
      // Each at another host, since one host has a share of the permits only.
      for (const tenant of ["a", "b", "c", "d"]) {
        yield* registerAll(registry, tenant, 50, {}, `https://${tenant}.example`)
      }
      yield* TestClock.adjust("200 millis")
      assert.isBelow(provider.requests.length, 200)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(provider.requests.length, 200)
      assert.strictEqual(seen.most, 16)
    }))

  it.effect("[R25] has 16 permits for the whole process by default", () =>
    Effect.gen(function*() {
      const shared = yield* FetchPermits
      assert.strictEqual(shared.capacity, 16)
      assert.strictEqual(yield* FetchPermits, shared)
    }))

  it.effect("[K-28 G2] [R25] one host has at most 12 of the 16 permits, though 200 fetches of it are due", () =>
    Effect.gen(function*() {
      const { provider, registry, seen } = yield* slowRegistry(permits(16))
      yield* registerAll(registry, "t", 200)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual([provider.requests.length, seen.most], [200, 12])
    }))

  it.effect("[R25] accepts another limit, shared by two registries", () =>
    Effect.gen(function*() {
      const shared = new Permits(3)
      const one = yield* slowRegistry(Layer.succeed(FetchPermits, shared))
      const two = yield* slowRegistry(Layer.succeed(FetchPermits, shared))
      yield* registerAll(one.registry, "t", 10)
      yield* registerAll(two.registry, "t", 10)
      let most = 0
      for (const _ of numbers(50)) {
        most = Math.max(most, one.provider.underWay() + two.provider.underWay())
        yield* TestClock.adjust("50 millis")
      }
      assert.strictEqual(most, 3)
      assert.strictEqual(one.provider.requests.length + two.provider.requests.length, 20)
    }))

  it.effect("[R25] gives the next permit to a tenant that has none, before those of another that queued earlier", () =>
    Effect.gen(function*() {
      const { provider, registry } = yield* registryOf(
        (request) => String(request.url).includes("/busy/") ? Effect.never : keysOf("a")(request),
        permits(4)
      )
      yield* registerAll(registry, "busy", 100, { maxAttempts: 1, maxFailureDelay: "1 hour", failureDelay: "1 hour" })
      yield* TestClock.adjust("1 second")
      // One host has three quarters of the permits.
      assert.strictEqual(provider.underWay(), 3)
      yield* registerAll(registry, "quiet", 1, { prefetch: false })
      const find = registry.keySource("quiet").find(`${issuer}/0`, header("a"))
      const { elapsed, exit } = yield* runOut(find, "10 minutes")
      assert.isTrue(Exit.isSuccess(exit))
      // The first of those that hang ends at 3 s; without the turns it would be at the end of 100 of them.
      assert.isAtMost(Duration.toMillis(elapsed), 3000)
    }))

  it.effect("[R25] releases the permit of a fetch whose provider is removed", () =>
    Effect.gen(function*() {
      const { provider, registry } = yield* registryOf(hanging, permits(1))
      yield* registerAll(registry, "t", 3)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(provider.requests.length, 1)
      yield* registry.remove(ids("t", "p1"))
      yield* registry.remove(ids("t", "p0"))
      yield* TestClock.adjust("0 millis")
      assert.deepStrictEqual(provider.requests.map((request) => request.url), [`${url}/t/0`, `${url}/t/2`])
    }))

  it.effect("[R25] makes at most 16 fetches at once when 500 providers are looked up after a suspension", () =>
    Effect.gen(function*() {
      const { clock, skew } = yield* skewedClock
      yield* Effect.gen(function*() {
        const { provider, registry, seen } = yield* slowRegistry(permits(16))
        const tenants = ["t", "u"]
        for (const tenant of tenants) yield* registerAll(registry, tenant, 250, {}, `https://${tenant}.example`)
        yield* TestClock.adjust("10 seconds")
        skew.millis += 24 * 3_600_000
        const lookups = tenants.flatMap((tenant) =>
          numbers(250).map((n) => registry.keySource(tenant).find(`${issuer}/${n}`, header("a")))
        )
        const { exit } = yield* runOut(Effect.all(lookups, { concurrency: "unbounded" }), "10 seconds")
        assert.isTrue(Exit.isSuccess(exit))
        assert.deepStrictEqual([provider.requests.length, seen.most], [1000, 16])
      }).pipe(Effect.scoped, Effect.provideService(Clock.Clock, clock))
    }))

  it.effect("[L8] has no timer while 1,000 providers are idle, and a single one while all wait for their refresh", () =>
    Effect.gen(function*() {
      const { clock, seen } = yield* countedClock
      yield* Effect.gen(function*() {
        const { provider, registry } = yield* registryOf(keysOf("a"))
        yield* registerAll(registry, "t", 1000, { prefetch: false })
        yield* TestClock.adjust("1 day")
        assert.deepStrictEqual([seen.ever, seen.pending, provider.requests.length], [0, 0, 0])
        yield* registerAll(registry, "u", 1000, { refreshJitter: "0 millis" })
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual([seen.pending, provider.requests.length], [1, 1000])
        const before = seen.ever
        yield* TestClock.adjust("58 minutes")
        assert.deepStrictEqual([seen.ever, seen.pending, provider.requests.length], [before, 1, 1000])
      }).pipe(Effect.scoped, Effect.provideService(Clock.Clock, clock))
      assert.strictEqual(seen.pending, 0)
    }))

  it.effect("[L8] has no fiber for each of 1,000 providers, whether they are idle or wait for their refresh", () =>
    Effect.gen(function*() {
      const { seen, service } = countedFibers()
      yield* Effect.gen(function*() {
        const { registry } = yield* registryOf(keysOf("a"))
        yield* TestClock.adjust("1 second")
        const before = seen.active
        const added: Array<number> = []
        for (const tenant of ["idle", "fetched"]) {
          yield* registerAll(registry, tenant, 1000, { prefetch: tenant === "fetched" })
          yield* TestClock.adjust("1 minute")
          added.push(seen.active - before)
        }
        // The one sleep of the one fiber, which is raced, is two.
        assert.deepStrictEqual(added, [0, 2])
        // One for each fetch, which has ended.
        assert.isAtLeast(seen.started, 1000)
      }).pipe(Effect.scoped, Effect.provideService(Metric.FiberRuntimeMetrics, service))
    }))
})
