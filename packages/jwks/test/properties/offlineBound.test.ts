import { assert, describe, it } from "@effect/vitest"
import { forAllEffect } from "@keelson/testing/properties"
import { cacheOf, documentOf, down, header, jwks } from "@keelson/testing/scriptedProvider"
import { Clock, Duration, Effect, Exit, Logger } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { JwksOptions } from "../../src/index.ts"

const seconds = (minimum: number, maximum: number) => fc.integer({ min: minimum, max: maximum })

/** Options of a cache in seconds, a stated lifetime, and when the provider becomes unreachable. */
const outage = fc.record({
  ttl: seconds(60, 7200),
  minTtl: seconds(30, 600),
  longer: seconds(0, 7200),
  early: seconds(1, 29),
  staleWindow: seconds(0, 3600),
  maxAge: fc.option(seconds(0, 10_000), { nil: undefined }),
  diesAt: fc.double({ min: 0, max: 3, noNaN: true })
})

describe("JwksOptions.offlineBound", () => {
  it("[K-41] keys verify for a time within the bound after their provider is unreachable, and then no longer", (context) =>
    forAllEffect(
      context,
      200,
      outage,
      ({ diesAt, early, longer, maxAge, minTtl, staleWindow, ttl }) =>
        Effect.gen(function*() {
          const given = {
            ttl: `${ttl} seconds`,
            minTtl: `${minTtl} seconds`,
            maxTtl: `${minTtl + longer} seconds`,
            refreshEarly: `${early} seconds`,
            staleWindow: `${staleWindow} seconds`,
            maxAttempts: 1
          } as const
          const headers = maxAge === undefined ? {} : { "cache-control": `max-age=${maxAge}` }
          const { cache, provider } = yield* cacheOf(documentOf(jwks("a"), headers), given)
          const find = cache.find(header("a"))
          yield* find
          const lifetime = maxAge ?? ttl
          yield* TestClock.adjust(Duration.seconds(diesAt * Math.max(lifetime, minTtl)))
          provider.answer = down
          const { staleUntil } = yield* cache.status
          if (staleUntil === undefined) return assert.fail("no keys")
          const died = yield* Clock.currentTimeMillis
          const left = staleUntil.epochMilliseconds - died

          const options = JwksOptions.make({ issuer: "https://idp.example", ...given })
          const any = JwksOptions.offlineBound(options)
          const stated = maxAge === undefined ? any : JwksOptions.offlineBound(options, `${maxAge} seconds`)
          for (const { least, most } of [any, stated]) {
            assert.isAtLeast(left + 1, Duration.toMillis(least))
            assert.isAtMost(left - 1, Duration.toMillis(most))
          }
          assert.isAtLeast(Duration.toMillis(stated.least), Duration.toMillis(any.least))
          assert.isAtMost(Duration.toMillis(stated.most), Duration.toMillis(any.most))

          yield* TestClock.adjust(Duration.millis(left - 1))
          yield* find
          yield* TestClock.adjust(Duration.millis(2))
          assert.isTrue(Exit.isFailure(yield* Effect.exit(find)))
        }).pipe(Effect.provide(Logger.layer([])))
    ))
})
