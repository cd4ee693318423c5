import { assert, describe, it } from "@effect/vitest"
import { outcome, quiet } from "@keelson/testing/observe"
import { cacheOf, hanging, header, ids, keysOf, registryOf } from "@keelson/testing/scriptedProvider"
import { Effect, Fiber, Latch, Layer } from "effect"
import { TestClock } from "effect/testing"
import { FetchPermits, Permits, type Turn } from "../src/internal/cache/fetchPermits.ts"

const turn = (host: string, options: Partial<Turn> = {}): Turn => ({
  tenant: host,
  host,
  staleUntil: undefined,
  isAwaited: false,
  ...options
})

/** Fetches that run until they are ended, with the order in which they began. */
const fetches = (permits: Permits) => {
  const begun: Array<string> = []
  const start = Effect.fnUntraced(function*(name: string, own: Turn) {
    const end = Latch.makeUnsafe()
    const body = Effect.andThen(Effect.sync(() => begun.push(name)), end.await)
    const fiber = yield* Effect.forkChild(permits.withPermit(own, body), { startImmediately: true })
    return { fiber, end: Effect.andThen(Effect.sync(() => end.openUnsafe()), Fiber.await(fiber)) }
  })
  return { begun, start }
}

const hung = (permits: Permits, host: string, times = 1) => {
  for (let n = 0; n < times; n++) permits.settled(turn(host), false, 8_000)
}

/** Starts a number of fetches, and returns how many run. */
const running = (permits: Permits, hosts: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const { begun, start } = fetches(permits)
    for (const [n, host] of hosts.entries()) yield* start(`${n}`, turn(host))
    return begun.length
  })

const of = (count: number, host: (n: number) => string) => Array.from({ length: count }, (_, n) => host(n))

describe("permits", () => {
  it.effect("[K-28 G2] run fetches with waiters first, then those whose keys lose their trust first, then the others", () =>
    Effect.gen(function*() {
      const permits = new Permits(1)
      const { begun, start } = fetches(permits)
      const first = yield* start("first", turn("a.example"))
      const waiting = [
        yield* start("none", turn("b.example")),
        yield* start("later", turn("c.example", { staleUntil: 3000 })),
        yield* start("soon", turn("d.example", { staleUntil: 1000 })),
        yield* start("between", turn("e.example", { staleUntil: 2000 })),
        yield* start("awaited", turn("f.example", { isAwaited: true, staleUntil: 9000 }))
      ]
      yield* first.end
      for (const n of [4, 2, 3, 1, 0]) yield* waiting[n]?.end ?? Effect.void
      assert.deepStrictEqual(begun, ["first", "awaited", "soon", "between", "later", "none"])
    }))

  it.effect("[K-28 G2] a fetch that a caller joins passes those that nobody waits for", () =>
    Effect.gen(function*() {
      const permits = new Permits(1)
      const { begun, start } = fetches(permits)
      const first = yield* start("first", turn("a.example"))
      const [cold, warm] = [turn("c.example"), turn("d.example", { staleUntil: 2000 })]
      yield* start("b", turn("b.example", { staleUntil: 1000 }))
      yield* start("cold", cold)
      const second = yield* start("warm", warm)
      permits.await(warm)
      permits.await(warm)
      permits.await(cold)
      yield* first.end
      yield* second.end
      assert.deepStrictEqual(begun, ["first", "warm", "cold"])
    }))

  it.effect("[K-28 G2] [R25] tenants take turns", () =>
    Effect.gen(function*() {
      const permits = new Permits(1)
      const { begun, start } = fetches(permits)
      let last = yield* start("first", turn("a.example"))
      const all: Record<string, typeof last> = {}
      for (const name of ["x1", "x2", "x3", "y1", "z1", "y2"]) {
        all[name] = yield* start(name, turn(`${name}.example`, { tenant: name.slice(0, 1), isAwaited: true }))
      }
      for (const name of ["x1", "y1", "z1", "x2", "y2", "x3"]) {
        yield* last.end
        assert.strictEqual(begun.at(-1), name)
        last = all[name] ?? last
      }
    }))

  it.effect("[K-28 G2] one host, one zone, and hosts that have not responded yet have three quarters each", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* running(new Permits(16), of(40, () => "a.example")), 12)
      assert.strictEqual(yield* running(new Permits(16), of(40, (n) => `t${n}.idp.example`)), 12)
      assert.strictEqual(yield* running(new Permits(16), of(40, (n) => `a${n}.example`)), 12)
      const known = new Permits(16)
      for (let n = 0; n < 40; n++) known.settled(turn(`a${n}.example`), true, 50)
      assert.strictEqual(yield* running(known, of(40, (n) => `a${n}.example`)), 16)
    }))

  it.effect("[K-28 G2] a host that hung has an eighth, all such hosts have half, until one responds", () =>
    Effect.gen(function*() {
      const one = new Permits(16)
      hung(one, "a.example")
      assert.strictEqual(yield* running(one, of(40, () => "a.example")), 2)
      const many = new Permits(16)
      for (let n = 0; n < 40; n++) hung(many, `a${n}.example`)
      assert.strictEqual(yield* running(many, of(40, (n) => `a${n}.example`)), 8)
      hung(one, "b.example", 4)
      one.settled(turn("b.example"), true, 9_000)
      assert.strictEqual(yield* running(one, of(40, () => "b.example")), 12)
    }))

  it.effect("[K-28 G1] a zone whose last three fetches hung has half, also of hosts that responded before", () =>
    Effect.gen(function*() {
      const permits = new Permits(16)
      for (let n = 0; n < 40; n++) permits.settled(turn(`t${n}.idp.example`), true, 50)
      hung(permits, "t1.idp.example", 2)
      assert.strictEqual(yield* running(new Permits(16), of(40, (n) => `t${n}.idp.example`)), 12)
      hung(permits, "t2.idp.example")
      assert.strictEqual(yield* running(permits, of(40, (n) => `t${n}.idp.example`)), 8)
      assert.strictEqual(yield* running(permits, ["other.example"]), 1)
    }))

  it.effect("[K-28 G2] a fetch that fails at once leaves its host as it was", () =>
    Effect.gen(function*() {
      const permits = new Permits(16)
      permits.settled(turn("a.example"), false, 999)
      assert.strictEqual(yield* running(permits, of(40, () => "a.example")), 12)
    }))

  it.effect("[K-28 G2] addresses and two-part names are no zones of others", () =>
    Effect.gen(function*() {
      const permits = new Permits(16)
      for (const host of ["10.0.0.1", "[fd00::1]", "a.example", "localhost"]) hung(permits, host, 3)
      for (const host of ["10.0.0.2", "[fd00::2]", "b.example", "idp"]) {
        assert.strictEqual(yield* running(permits, [host]), 1, host)
      }
    }))

  it.effect("[R25] an interrupted fetch leaves the queue, or releases its permit", () =>
    Effect.gen(function*() {
      const permits = new Permits(1)
      const { begun, start } = fetches(permits)
      const first = yield* start("first", turn("a.example"))
      const second = yield* start("second", turn("b.example", { staleUntil: 1000 }))
      const joined = turn("c.example")
      const third = yield* start("third", joined)
      permits.await(joined)
      yield* start("fourth", turn("d.example"))
      for (const { fiber } of [second, third, first]) yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(begun, ["first", "fourth"])
    }))
})

describe("fetches and permits", () => {
  const one = Layer.sync(FetchPermits, () => new Permits(1))
  const at = (host: string) => `https://${host}.example/jwks`

  it.effect("[K-28 G2] a lookup that joins a scheduled fetch in the queue brings it forward", () =>
    Effect.gen(function*() {
      const slow = Effect.as(Effect.sleep("1 second"), { status: 500 })
      const { provider, registry } = yield* registryOf(() => slow, one)
      for (const id of ["a", "b", "c", "d"]) {
        yield* registry.put(ids("t", id), { issuer: id, url: at(id), maxAttempts: 1, maxFailureDelay: "1 hour" }, {
          ifAbsent: true
        })
      }
      yield* TestClock.adjust(100)
      yield* Effect.forkChild(Effect.exit(registry.resolve(ids("t", "d"), header("a"))))
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(provider.requests.map(({ url }) => url), [at("a"), at("d")])
    }).pipe(Effect.scoped, quiet))

  it.effect("[K-28 G2] the first attempt after a failure ends after a second, the attempts after it have the full time", () =>
    Effect.gen(function*() {
      const slow = { failureDelay: "10 seconds", retryJitter: "none" } as const
      const { cache, provider } = yield* cacheOf(hanging, slow)
      yield* TestClock.adjust("8 seconds")
      assert.deepStrictEqual(provider.times, [0, 3250, 6750])
      yield* TestClock.adjust("19 seconds")
      assert.deepStrictEqual(provider.times.slice(3), [18_000, 19_250, 22_750])
      provider.answer = (request) => Effect.delay(keysOf("a")(request), "2 seconds")
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* outcome(cache, "a"), "a")
    }).pipe(Effect.scoped, quiet))

  it.effect("[K-28 G2] a single attempt is never shortened", () =>
    Effect.gen(function*() {
      const { cache, provider } = yield* cacheOf(hanging, { maxAttempts: 1 })
      yield* TestClock.adjust("4 seconds")
      provider.answer = (request) => Effect.delay(keysOf("a")(request), "2900 millis")
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* outcome(cache, "a"), "a")
    }).pipe(Effect.scoped, quiet))
})
