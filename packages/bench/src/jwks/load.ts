/** A thousand clients of fifty providers in real time. */
import { JwksRegistry, type KeySource } from "@keelson/jwks"
import { Context, Effect, Layer, Random } from "effect"
import type { Finding } from "../figures.ts"
import { egress, header, makeOrigin } from "./origin.ts"

const clients = 1000
const providers = 50
const limitMillis = 5
const group = "1,000 clients of 50 providers"
const issuerOf = (index: number): string => `https://idp${index % providers}.example`

type Source = KeySource.KeySource["Service"]

const each = <A, E>(count: number, f: (index: number) => Effect.Effect<A, E>): Effect.Effect<void, E> =>
  Effect.forEach(Array.from({ length: count }, (_, index) => index), f, { concurrency: "unbounded", discard: true })

/** Lookups per second if each client queries one provider after another as fast as it can. */
const throughput = Effect.fnUntraced(function*(source: Source, millis: number) {
  const began = performance.now()
  let count = 0
  yield* each(
    clients,
    Effect.fnUntraced(function*(index) {
      for (let i = index; performance.now() < began + millis; i++) {
        yield* Effect.yieldNow
        yield* source.find(issuerOf(i), header)
        count++
      }
    })
  )
  return count / (performance.now() - began) * 1000
})

/** The time of each lookup, including its wait for a turn, if each client makes ten lookups per second. */
const latencies = Effect.fnUntraced(function*(source: Source, seconds: number) {
  const found: Array<number> = []
  yield* each(
    clients,
    Effect.fnUntraced(function*(index) {
      yield* Effect.sleep(100 * (yield* Random.next))
      for (let i = 0; i < 10 * seconds; i++) {
        const asked = performance.now()
        yield* Effect.yieldNow
        yield* source.find(issuerOf(index + i), header)
        found.push(performance.now() - asked)
        yield* Effect.sleep(100)
      }
    })
  )
  return found.toSorted((a, b) => a - b)
})

/** Measures after all keys are fetched. */
export const load: Effect.Effect<ReadonlyArray<Finding>, unknown> = Effect.scoped(Effect.gen(function*() {
  const origin = yield* makeOrigin
  const context = yield* Layer.build(Layer.provide(JwksRegistry.layer, egress))
  const registry = Context.get(context, JwksRegistry.JwksRegistry)
  const source = registry.keySource("bench")
  const misses = Effect.map(
    registry.statuses(),
    (all) => all.reduce((sum, { status }) => sum + status.metrics.misses, 0)
  )
  yield* each(
    providers,
    (index) =>
      registry.put({ tenantId: "bench", providerId: `p${index}` }, {
        issuer: issuerOf(index),
        url: `${origin.url}?${index}`
      }, { ifAbsent: true })
  )
  yield* each(providers, (index) => source.find(issuerOf(index), header))
  const before = yield* misses
  yield* throughput(source, 500)
  const perSecond = yield* throughput(source, 1500)
  const times = yield* latencies(source, 3)
  const missed = (yield* misses) - before
  const within = times.findLastIndex((millis) => millis <= limitMillis) + 1
  return [
    {
      group,
      what: "lookups, as fast as they can",
      value: perSecond,
      unit: "per second",
      aim: { is: "at least", value: 1000 }
    },
    {
      group,
      what: "P95 of a lookup, at 10,000 per second",
      value: times[Math.ceil(times.length * 0.95) - 1] ?? Number.NaN,
      unit: "ms",
      aim: { is: "at most", value: limitMillis }
    },
    {
      group,
      what: `answered from memory within ${limitMillis} ms, at 10,000 per second`,
      // Assumes the worst case: every lookup that was not served from memory was within the limit.
      value: 100 * (within - missed) / times.length,
      unit: "%",
      aim: { is: "at least", value: 95 }
    },
    {
      group,
      what: "fetches above one per provider",
      value: origin.requests() - providers,
      unit: "",
      aim: { is: "exactly", value: 0 }
    }
  ]
}))
