/** The tier on disk: how long it takes to open, what that costs the event loop, and lookups. */
import * as NodeDiskCache from "@keelson/cache/NodeDiskCache"
import { Effect, type Scope } from "effect"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { setTimeout } from "node:timers/promises"
import type { Finding } from "../figures.ts"
import { mainThread } from "../measure.ts"
import { keyOf, percentile, temporaryDirectory } from "./directory.ts"

const bodyLength = 4096
const recovered = 10_000
const looked = 1000

const fill = (dir: string, items: number) =>
  Effect.scoped(Effect.gen(function*() {
    const cache = yield* NodeDiskCache.make({ dir })
    yield* Effect.forEach(
      Array.from({ length: items }, (_, index) => index),
      (index) => cache.set(keyOf(index), { body: new Uint8Array(bodyLength).fill(index % 251) }),
      { concurrency: 16, discard: true }
    )
  }))

/**
 * Opens a cache, and measures the processor time of that, which hardly depends on the load of the machine, and the delays of the event
 * loop meanwhile, in milliseconds.
 */
const opened = (dir: string) =>
  Effect.gen(function*() {
    const delays = monitorEventLoopDelay({ resolution: 1 })
    yield* Effect.promise(() => setTimeout(50))
    delays.enable()
    const began = mainThread()
    const items = yield* Effect.scoped(Effect.flatMap(
      NodeDiskCache.make({ dir }),
      (cache) =>
        Effect.map(cache.stats, (stats) => {
          delays.disable()
          return { items: stats.items, millis: mainThread() - began }
        })
    ))
    return { ...items, delay: delays.percentile(99) / 1_000_000 }
  })

/** Several times, since a pause of the machine is no property of the cache: the median of the runs. */
const runs = 5

const recovery = Effect.gen(function*() {
  const dir = yield* temporaryDirectory
  yield* fill(dir, recovered)
  const all = yield* Effect.replicateEffect(opened(dir), runs)
  const wrong = all.find(({ items }) => items !== recovered)
  if (wrong !== undefined) return yield* Effect.fail(`cache: ${wrong.items} of ${recovered} entries recovered`)
  return {
    millis: percentile(all.map(({ millis }) => millis), 0.5),
    delay: percentile(all.map(({ delay }) => delay), 0.5)
  }
})

const lookups = Effect.gen(function*() {
  const dir = yield* temporaryDirectory
  yield* fill(dir, looked)
  const cache = yield* NodeDiskCache.make({ dir })
  const one = Effect.fnUntraced(function*(index: number) {
    const began = performance.now()
    const entry = yield* cache.get(keyOf(index * 7 % looked))
    return entry?.length === bodyLength ? performance.now() - began : yield* Effect.fail(`cache: no entry ${index}`)
  })
  const indices = Array.from({ length: 3 * looked }, (_, index) => index)
  // The first thousand compile the code.
  const times = yield* Effect.forEach(indices, one)
  return percentile(times.slice(looked), 0.95)
})

export const disk: Effect.Effect<ReadonlyArray<Finding>, unknown, Scope.Scope> = Effect.gen(function*() {
  const { delay, millis } = yield* Effect.scoped(recovery)
  const lookup = yield* Effect.scoped(lookups)
  const group = "cache on disk"
  return [
    {
      group,
      what: "opening 10,000 entries, processor time",
      value: millis,
      unit: "ms",
      aim: { is: "at most", value: 1000 }
    },
    {
      group,
      what: "event-loop delay while it opens, P99",
      value: delay,
      unit: "ms",
      aim: { is: "at most", value: 60 }
    },
    {
      group,
      what: "lookup of 4 KB among 1,000 entries, P95",
      value: lookup,
      unit: "ms",
      aim: { is: "at most", value: 10 }
    }
  ]
})
