/** The memory of many circuits, with their breakers and metrics. */
import { Breaker, type BreakerPolicy, BreakerStore, Metrics } from "@keelson/core"
import { Effect } from "effect"
import { setImmediate } from "node:timers/promises"
import type { Finding } from "./figures.ts"

const count = 20_000
const most = 600

const policies: ReadonlyArray<readonly [what: string, options: BreakerPolicy.Options]> = [
  ["bytes of an idle circuit, called once", {}],
  ["the same with a window of 100 calls", { strategy: "ratio" }]
]

/** The heap in use, once what earlier measurements held weakly is gone too. */
const heap = Effect.promise(async () => {
  for (let time = 0; time < 4; time++) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    await setImmediate()
    globalThis.gc?.()
  }
  return process.memoryUsage().heapUsed
})

const bytes = (options: BreakerPolicy.Options) =>
  Effect.gen(function*() {
    const names = Array.from({ length: count }, (_, index) => `https://service-${index}.example`)
    // Names exist as text before the measurement: they belong to whoever makes the breakers.
    const length = names.reduce((sum, name) => sum + name.length, 0)
    const breakers: Array<Breaker.Breaker> = []
    yield* Breaker.make("first", options)
    const before = yield* heap
    for (const name of names) breakers.push(yield* Effect.orDie(Breaker.make(name, options)))
    for (const breaker of breakers) yield* Effect.orDie(breaker.execute(Effect.void))
    const used = (yield* heap) - before
    return length > 0 && breakers.length === count ? Math.round(used / count) : Number.NaN
  }).pipe(Effect.orDie, Effect.scoped, Effect.provide([BreakerStore.layerMemory, Metrics.layerIsolated]))

/** Without `--expose-gc` there is no figure. */
export const idleCircuits: Effect.Effect<ReadonlyArray<Finding>> = Effect.suspend(() =>
  globalThis.gc === undefined
    ? Effect.succeed([])
    : Effect.forEach(policies, ([what, options]) =>
      Effect.map(bytes(options), (value): Finding => ({
        group: "circuits",
        what,
        value,
        unit: "",
        aim: { is: "at most", value: most }
      })))
)
