import { assert, describe, it } from "@effect/vitest"
import { quiet } from "@keelson/testing/observe"
import { type Answer, documentOf, hanging, header, ids, jwks, registryOf } from "@keelson/testing/scriptedProvider"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { FetchPermits, Permits } from "../src/internal/cache/fetchPermits.ts"

const numbers = (count: number) => Array.from({ length: count }, (_, n) => n)

/** Responds after 50 ms, with a lifetime in seconds unless it is omitted. */
const healthy = (seconds?: number): Answer => (request) =>
  Effect.delay(
    documentOf(jwks("a"), seconds === undefined ? {} : { "cache-control": `max-age=${seconds}` })(request),
    "50 millis"
  )

/** Where the key sets of the broken providers are: all at one host, or each at a host of one zone. */
const places = {
  "one host": () => "idp.broken.example",
  "a host each in one zone": (n: number) => `t${n}.broken.example`
} as const

/** 600 tenants with one provider each. 20 of them use a healthy host. */
const world = Effect.fnUntraced(function*(options: {
  readonly place: keyof typeof places
  readonly lifetime?: number | undefined
  readonly prefetch: boolean
}) {
  const good = healthy(options.lifetime)
  const state = { broken: false, most: 0 }
  const { provider, registry } = yield* registryOf(
    (request) => {
      state.most = Math.max(state.most, provider.underWay())
      return String(request.url).includes(".broken.") && state.broken ? hanging(request) : good(request)
    },
    Layer.sync(FetchPermits, () => new Permits(16))
  )
  const urls = numbers(600).map((n) => n % 30 === 7 ? "idp.healthy.example" : places[options.place](n))
  const register = Effect.forEach(urls, (host, n) =>
    registry.put(ids(`t${n}`, "p"), {
      issuer: `https://${host}`,
      url: `https://${host}/jwks/${n}`,
      prefetch: options.prefetch
    }, { ifAbsent: true }), { discard: true })
  const failed = { healthy: 0, broken: 0 }
  const seen = { healthy: 0, broken: 0 }
  /** One token of each of these tenants. Nobody waits here. */
  const tokens = (kind: keyof typeof failed) =>
    Effect.forEach(urls, (host, n) =>
      host.includes(kind)
        ? registry.keySource(`t${n}`).find(`https://${host}`, header("a")).pipe(
          Effect.matchEffect({
            onFailure: () => Effect.sync(() => failed[kind]++),
            onSuccess: () => Effect.sync(() => seen[kind]++)
          }),
          Effect.forkChild({ startImmediately: true })
        )
        : Effect.void, { discard: true })
  return { register, tokens, failed, seen, state, provider, registry }
})

describe("isolation of identity providers", () => {
  for (const place of ["one host", "a host each in one zone"] as const) {
    for (const lifetime of place === "one host" ? [60, undefined] : [60]) {
      it.effect(
        `[K-28 G1 G2] [R25] 580 of 600 tenants' keys hang at ${place}, max-age ${lifetime}: no token of the others fails`,
        () =>
          Effect.gen(function*() {
            const { failed, provider, register, seen, state, tokens } = yield* world({
              place,
              lifetime,
              prefetch: true
            })
            yield* register
            yield* TestClock.adjust("30 seconds")
            assert.isAtLeast(provider.requests.length, 600)
            state.broken = true
            // 120 rounds of 20 tokens, while the keys of all 600 fall due again and again.
            for (const round of numbers(120)) {
              yield* tokens("healthy")
              if (round % 20 === 0) yield* tokens("broken")
              yield* TestClock.adjust(lifetime === undefined ? "40 seconds" : "2 seconds")
            }
            yield* TestClock.adjust("1 minute")
            assert.deepStrictEqual([failed.healthy, seen.healthy], [0, 2400])
            assert.isAbove(failed.broken, 0)
            assert.isAtMost(state.most, 16)
          }).pipe(Effect.scoped, quiet)
      )
    }

    it.effect(`[K-28 G1 G2] 580 cold tenants hang at ${place}: each first token of the others is accepted`, () =>
      Effect.gen(function*() {
        const { failed, register, seen, state, tokens } = yield* world({ place, prefetch: false })
        state.broken = true
        yield* register
        yield* tokens("broken")
        yield* TestClock.adjust("100 millis")
        yield* tokens("healthy")
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual([failed, seen], [{ healthy: 0, broken: 580 }, { healthy: 20, broken: 0 }])
      }).pipe(Effect.scoped, quiet))

    it.effect(`[K-28 G1 G2] after an outage of ${place} all of its 580 tenants have keys again in 90 seconds`, () =>
      Effect.gen(function*() {
        const { register, registry, state } = yield* world({ place, prefetch: true })
        state.broken = true
        yield* register
        yield* TestClock.adjust("5 minutes")
        state.broken = false
        yield* TestClock.adjust("90 seconds")
        const all = yield* Effect.forEach(numbers(600), (n) => registry.cached(ids(`t${n}`, "p")))
        assert.lengthOf(all.filter((one) => one !== undefined), 600)
      }).pipe(Effect.scoped, quiet))
  }
})
