/**
 * Simulates a day of fifty providers in virtual time: hourly rotations, one outage each, slow and broken responses, and
 * continuous lookups. The same seed gives the same day.
 */
import { Egress, JwksRegistry } from "@keelson/jwks"
import { Clock, Context, Duration, Effect, Layer, Random, References, type Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { generationAt, hour, makePublisher, minute, type Publisher, tokenLife } from "./publisher.ts"

export interface Day {
  readonly providers: number
  readonly hours: number
  /** Minutes from a key's publication until it signs. */
  readonly lead: number
  readonly seed: number
}

/** The counts of a day. */
export interface DayReport {
  readonly lookups: number
  readonly failedLookups: number
  readonly lookupsInOutages: number
  readonly failedInOutages: number
  readonly hits: number
  readonly stale: number
  /** Completed refreshes, except those that began in an outage of their provider. */
  readonly refreshes: number
  readonly failedRefreshes: number
  readonly failedInOutage: number
  /** Successful refreshes of the whole day, and those with a 304 response. */
  readonly succeeded: number
  readonly notModified: number
  /** All requests, requests made while the cache had a validator such as an ETag, and those of them that sent it. */
  readonly requests: number
  readonly withValidator: number
  readonly conditional: number
}

const tenant = "day"
const issuerOf = (index: number): string => `https://idp${index}.example`

/** Upper bound of a fetch's time (the default of `deadline`), by which a fetch may outlast an outage. */
const longestFetch = 8_000

const egressOf = (publishers: ReadonlyArray<Publisher>): Layer.Layer<Egress.Egress> =>
  Layer.succeed(Egress.Egress, {
    check: (url) => Effect.succeed(new URL(url)),
    get: (request) => {
      const url = new URL(request.url)
      const publisher = publishers[Number(/\d+/.exec(url.hostname)?.[0])]
      return publisher === undefined
        ? Effect.die(new Error(`nobody is at ${url.href}`))
        : Effect.map(publisher.answer(request), ({ body = "", ...answer }) => ({
          ...answer,
          body: new TextEncoder().encode(body),
          url
        }))
    }
  })

const key: CryptoKey = { type: "public", extractable: false, usages: ["verify"], algorithm: { name: "Ed25519" } }

/** An internal service of `@keelson/jwks`, replaced here since virtual time does not wait for WebCrypto's threads. */
const KeyImport = Context.Reference<() => Effect.Effect<CryptoKey>>("@keelson/jwks/KeyImport", {
  defaultValue: () => () => Effect.die(new Error("not provided"))
})
const imported = Layer.succeed(KeyImport, () => Effect.succeed(key))

interface Tally {
  lookups: number
  failed: number
  inOutage: number
  failedInOutage: number
}

/** Every 20 to 40 seconds looks up the signing key, and the previous key while its tokens may still be valid. */
const reader = (
  source: ReturnType<JwksRegistry.JwksRegistry["Service"]["keySource"]>,
  publisher: Publisher,
  index: number,
  end: number,
  tally: Tally
): Effect.Effect<void> => {
  const lookup = (generation: number, isInOutage: boolean) =>
    Effect.map(Effect.exit(source.find(issuerOf(index), { alg: "EdDSA", kid: `key-${generation}` })), (exit) => {
      tally.lookups++
      if (isInOutage) tally.inOutage++
      if (exit._tag === "Success") return
      tally.failed++
      if (isInOutage) tally.failedInOutage++
    })
  return Effect.gen(function*() {
    const clock = yield* Clock.Clock
    for (let now = clock.currentTimeMillisUnsafe(); now < end; now = clock.currentTimeMillisUnsafe()) {
      const isInOutage = publisher.isDown(now)
      const signing = generationAt(publisher, now, "signing")
      yield* lookup(signing, isInOutage)
      const before = generationAt(publisher, now - tokenLife, "signing")
      if (before !== signing) yield* lookup(before, isInOutage)
      yield* Effect.sleep(20_000 + 20_000 * (yield* Random.next))
    }
  })
}

/** Runs a day with the `TestClock` in context. */
export const simulate = Effect.fnUntraced(
  function*(
    { hours, lead, providers }: Day
  ): Effect.fn.Return<DayReport, never, Scope.Scope> {
    const publishers = yield* Effect.forEach(
      Array.from({ length: providers }, (_, index) => index),
      (index) => makePublisher(index, { hours, lead: lead * minute })
    )
    const layer = Layer.provide(JwksRegistry.layer, [egressOf(publishers), imported])
    const registry = Context.get(yield* Layer.build(layer), JwksRegistry.JwksRegistry)
    const clock = yield* Clock.Clock
    const start = clock.currentTimeMillisUnsafe()
    let failedInOutage = 0
    yield* Effect.forkScoped(
      Stream.runForEach(registry.events, (event) =>
        Effect.sync(() => {
          if (event._tag !== "Failed") return
          const now = clock.currentTimeMillisUnsafe()
          const publisher = publishers[Number(event.providerId)]
          if (publisher?.isDown(now) === true || publisher?.isDown(now - longestFetch) === true) failedInOutage++
        })),
      { startImmediately: true }
    )
    const tally: Tally = { lookups: 0, failed: 0, inOutage: 0, failedInOutage: 0 }
    const source = registry.keySource(tenant)
    for (const [index, publisher] of publishers.entries()) {
      const issuer = issuerOf(index)
      yield* Effect.orDie(
        registry.put({ tenantId: tenant, providerId: String(index) }, {
          issuer,
          url: `${issuer}/jwks`,
          staleWindow: Duration.minutes(15)
        }, { ifAbsent: true })
      )
      yield* Effect.forkScoped(reader(source, publisher, index, start + hours * hour, tally))
    }
    yield* TestClock.adjust(hours * hour)
    const counts = (yield* registry.statuses(tenant)).map(({ status }) => status.metrics)
    const sum = <A>(all: ReadonlyArray<A>, f: (one: A) => number) => all.reduce((total, one) => total + f(one), 0)
    const refreshes = sum(counts, (one) => one.refreshes)
    const errors = sum(counts, (one) => one.errors)
    return {
      lookups: tally.lookups,
      failedLookups: tally.failed,
      lookupsInOutages: tally.inOutage,
      failedInOutages: tally.failedInOutage,
      hits: sum(counts, (one) => one.hits),
      stale: sum(counts, (one) => one.stale),
      refreshes: refreshes - failedInOutage,
      failedRefreshes: errors - failedInOutage,
      failedInOutage,
      succeeded: refreshes - errors,
      notModified: sum(counts, (one) => one.notModified),
      requests: sum(publishers, ({ counts: { requests } }) => requests),
      withValidator: sum(publishers, ({ counts: { withValidator } }) => withValidator),
      conditional: sum(publishers, ({ counts: { conditional } }) => conditional)
    }
  },
  (effect, { seed }) => Random.withSeed(effect, seed),
  Effect.provideService(References.MinimumLogLevel, "None")
)
