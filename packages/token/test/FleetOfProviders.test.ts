import { assert, describe, it } from "@effect/vitest"
import { Simulate } from "@keelson/core/testing"
import { Context, Duration, Effect, Layer, Redacted } from "effect"
import { SharedTokens, TokenProvider, TokenSource } from "../src/index.ts"

/** Every process looks its token up once per second. A token lives five minutes and is refreshed after four. */
const fleet = {
  processes: 20,
  duration: "20 minutes",
  load: { perSecond: 1, arrivals: "even" },
  server: { serviceTime: "20 millis", concurrency: 10, queue: 1000 }
} satisfies Simulate.Options

const lifetime = Duration.minutes(5)

/** A token request is a request to the simulated server. */
const sourceOf = ({ count, request }: Simulate.Process) =>
  Effect.as(Effect.andThen(request, count("tokens")), { accessToken: Redacted.make("token"), expiresIn: lifetime })

const provider = (options: Partial<TokenProvider.Options> = {}) => (process: Simulate.Process) =>
  Effect.map(
    TokenProvider.make({ name: "billing", source: sourceOf(process), ...options }),
    ({ get }): Simulate.Client => ({ call: get })
  )

const sumOf = (moments: Simulate.Report["timeline"]): number =>
  moments.reduce((requests, moment) => requests + moment.requests, 0)

describe("a fleet of token providers", () => {
  it.effect("[K-36] acquires one token for each process and lifetime, whatever the number of lookups", () =>
    Effect.gen(function*() {
      const { total } = yield* Simulate.fleet({ ...fleet, client: provider({ policy: { jitter: 0 } }) })
      assert.strictEqual(total.calls, 20 * 1200)
      assert.strictEqual(total.goodShare, 1)
      // At the first lookup, and at the first one after every four minutes.
      assert.deepStrictEqual([total.counts["tokens"], total.requests], [20 * 5, 20 * 5])
    }))

  const outage = { begin: "7 minutes", end: "14 minutes", mode: "refuse" } as const

  const breaker = { failureThreshold: 5, openDuration: "30 seconds" } as const
  const guarded = provider({ resilience: { breaker, deadline: "10 seconds" } })

  it.effect("[K-36] asks at growing intervals while its tokens are valid, and then once for each lookup", () =>
    Effect.gen(function*() {
      const { before, during, timeline } = yield* Simulate.fleet({ ...fleet, outage, client: provider() })
      assert.strictEqual(before.counts["tokens"], 40)
      assert.strictEqual(during.counts["tokens"], undefined)
      // The second token is due a little before the eighth minute, and lasts until half a minute after it.
      const valid = timeline.slice(420, 505)
      const expired = timeline.slice(520, 830)
      assert.deepStrictEqual(new Set(valid.map(({ good }) => good)), new Set([20]))
      assert.isAtMost(sumOf(valid) / 20, 6)
      assert.strictEqual(sumOf(expired) / 20, 310)
    }))

  it.effect("[K-36] with a breaker it asks once for each open duration, and every process has a token soon after it", () =>
    Effect.gen(function*() {
      const { after, during, metastable, recoveryMillis } = yield* Simulate.fleet({
        ...fleet,
        outage,
        client: guarded
      })
      assert.isAtMost(during.requests / 20, 5 + 360 / 30)
      assert.isAtLeast(during.requests / 20, 10)
      assert.isFalse(metastable)
      assert.isAtMost(recoveryMillis ?? Infinity, 31_000)
      assert.isAtMost(after.requests, 20 * 3)
      assert.strictEqual(after.counts["tokens"], after.requests)
    }))

  it.effect("[K-36] providers of all processes share one circuit in one store", () =>
    Effect.gen(function*() {
      const own = yield* Simulate.fleet({ ...fleet, outage, client: guarded })
      const shared = yield* Simulate.fleet({ ...fleet, outage, client: guarded, circuits: "shared" })
      assert.isBelow(shared.during.requests, own.during.requests / 5)
      assert.isFalse(shared.metastable)
    }))

  it.effect("[S1] the same seed gives the same number of token requests, another seed other moments", () =>
    Effect.gen(function*() {
      const options = { ...fleet, processes: 5, outage, client: provider() }
      const [one, again, other] = yield* Effect.all([
        Simulate.fleet(options),
        Simulate.fleet(options),
        Simulate.fleet({ ...options, seed: 2 })
      ])
      const requests = ({ timeline }: Simulate.Report) => timeline.map((moment) => moment.requests)
      assert.deepStrictEqual(requests(one), requests(again))
      assert.notDeepEqual(requests(one), requests(other))
    }))

  /** Providers that share their token, through one store for the whole fleet. */
  const sharing = Effect.map(Layer.build(SharedTokens.layerMemory), (context) => (process: Simulate.Process) => {
    const identity = { issuer: "https://idp.example", clientId: "app" }
    const source = TokenSource.fromEffect(sourceOf(process), () => false, identity)
    return TokenProvider.make({ name: "billing", source, policy: { jitter: 0 } }).pipe(
      Effect.provideService(SharedTokens.SharedTokens, Context.get(context, SharedTokens.SharedTokens)),
      Effect.map(({ get }): Simulate.Client => ({ call: get }))
    )
  })
  const large = { ...fleet, processes: 200, load: { perSecond: 0.2, arrivals: "even" } } satisfies Simulate.Options

  it.effect("[K-11] [K-36] 200 processes that share their token acquire one for each lifetime: five in twenty minutes", () =>
    Effect.gen(function*() {
      const client = yield* sharing
      const { total } = yield* Simulate.fleet({ ...large, client })
      assert.strictEqual(total.calls, 200 * 240)
      assert.strictEqual(total.goodShare, 1)
      assert.deepStrictEqual([total.counts["tokens"], total.requests], [5, 5])
      const own = yield* Simulate.fleet({ ...large, client: provider({ policy: { jitter: 0 } }) })
      assert.strictEqual(own.total.counts["tokens"], 200 * 5)
    }).pipe(Effect.scoped))

  it.effect("[K-11] [K-36] 200 processes that share their token ask once per pause in an outage, and recover within it", () =>
    Effect.gen(function*() {
      const client = yield* sharing
      const { after, during, metastable, recoveryMillis } = yield* Simulate.fleet({ ...large, outage, client })
      // Seven minutes with pauses of up to five seconds.
      assert.isAtMost(during.requests, 420 / 5 + 20)
      assert.isFalse(metastable)
      assert.isAtMost(recoveryMillis ?? Infinity, 16_000)
      // One token at the end of the outage, and one for each lifetime after it.
      assert.isAtMost(after.counts["tokens"] ?? 0, 2)
      assert.isAtMost(after.requests, 5)
    }).pipe(Effect.scoped))
})
