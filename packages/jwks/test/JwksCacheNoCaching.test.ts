import { assert, describe, it } from "@effect/vitest"
import { outcome, recording } from "@keelson/testing/observe"
import {
  cacheOf,
  documentOf,
  down,
  hanging,
  ids,
  issuer,
  jwks,
  registryOf,
  url
} from "@keelson/testing/scriptedProvider"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { JwksOptions } from "../src/index.ts"

const forbidding = (directive: string) => documentOf(jwks("a"), { "cache-control": directive })

const said = (lines: ReadonlyArray<string>) => lines.filter((line) => line.includes("forbids caching"))

describe("a provider that forbids caching", () => {
  for (const directive of ["no-store", "no-cache"]) {
    it.effect(`[K-47] [K-28 I1] is said once at the first fetch, with the numbers of today's options: ${directive}`, () => {
      const { lines, record } = recording()
      return record(Effect.gen(function*() {
        const { provider } = yield* cacheOf(forbidding(`private, ${directive}, max-age=0`))
        yield* TestClock.adjust("1 hour")
        // Half of a lifetime of 30 s, as the defaults have it.
        assert.lengthOf(provider.requests, 241)
        assert.lengthOf(said(lines), 1)
        assert.include(
          said(lines)[0],
          `The key set provider forbids caching (Cache-Control: ${directive}). With minTtl 30 seconds and staleWindow 1 minute ` +
            "it is requested up to 240 times an hour, and its keys outlive an outage of 1.2 minutes. JwksOptions.tolerant"
        )
      })).pipe(Effect.scoped)
    })
  }

  it.effect("[K-47] is said again with other numbers after the options change, and never of a provider that allows it", () => {
    const { lines, record } = recording()
    return record(Effect.gen(function*() {
      const { provider, registry } = yield* registryOf(forbidding("no-store"))
      yield* registry.put(ids("t", "p"), { issuer, url }, { ifAbsent: true })
      yield* TestClock.adjust("1 minute")
      yield* registry.put(ids("t", "p"), { issuer, url, ...JwksOptions.tolerant }, { ifPresent: true })
      yield* TestClock.adjust("1 minute")
      assert.lengthOf(said(lines), 2)
      assert.include(said(lines)[1], "requested up to 12 times an hour, and its keys outlive an outage of 15 minutes")
      provider.answer = documentOf(jwks("a"), { "cache-control": "max-age=1, must-revalidate" })
      yield* registry.put(ids("t", "q"), { issuer, url }, { ifAbsent: true })
      yield* TestClock.adjust("1 minute")
      assert.lengthOf(said(lines), 2)
    })).pipe(Effect.scoped)
  })

  for (const [kind, answer] of [["down", down], ["hanging", hanging]] as const) {
    it.effect(`[K-47] [K-28 I1] JwksOptions.tolerant: a request in 5 minutes, and keys for 15 minutes while it is ${kind}`, () =>
      Effect.gen(function*() {
        const { cache, provider } = yield* cacheOf(forbidding("no-store"), JwksOptions.tolerant)
        yield* cache.keySet
        for (let second = 0; second < 3600; second += 10) {
          yield* TestClock.adjust("10 seconds")
          assert.strictEqual(yield* outcome(cache, "a"), "a")
          assert.strictEqual(yield* cache.health, "ok")
        }
        assert.deepStrictEqual(provider.times, Array.from({ length: 13 }, (_, n) => n * 300_000))
        provider.answer = answer
        // An outage that begins right before a refresh, when the keys are oldest.
        yield* TestClock.adjust(299_999)
        for (let second = 0; second < 900; second += 10) {
          yield* TestClock.adjust("10 seconds")
          assert.strictEqual(yield* outcome(cache, "a"), "a")
        }
      }).pipe(Effect.scoped))
  }

  it.effect("[K-47] without a stale window keys are refreshed early, so that lookups never wait", () =>
    Effect.gen(function*() {
      const options = { minTtl: "5 minutes", staleWindow: "0 millis", refreshJitter: "0 millis" } as const
      const { provider } = yield* cacheOf(forbidding("no-store"), options)
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(provider.times, [0, 270_000])
    }).pipe(Effect.scoped))
})
