/** The tier on disk beside cacache: 4 KB puts and gets with 15 MB of live bytes, and what is on the disk after overwriting. */
import { CacheEntry } from "@keelson/cache"
import * as NodeDiskCache from "@keelson/cache/NodeDiskCache"
import { get, put } from "cacache"
import { Effect, type Scope } from "effect"
import type { Loop } from "../contestant.ts"
import type { Comparison, Figures, Finding } from "../figures.ts"
import { each, measure, processor, spread } from "../measure.ts"
import { bytesIn, keyOf, temporaryDirectory } from "./directory.ts"

const bodyLength = 4096
const items = 3750
const overwritten = 20
const overwrites = 200

interface Store {
  readonly name: string
  readonly dir: string
  readonly put: (index: number, body: Uint8Array) => Promise<void>
  readonly get: (index: number) => Promise<Uint8Array | undefined>
}

const keelson = Effect.gen(function*(): Effect.fn.Return<Store, unknown, Scope.Scope> {
  const dir = yield* temporaryDirectory
  const cache = yield* NodeDiskCache.make({ dir })
  return {
    name: "Keelson",
    dir,
    put: (index, body) => Effect.runPromise(cache.set(keyOf(index), { body })),
    get: (index) =>
      Effect.runPromise(
        Effect.flatMap(
          cache.get(keyOf(index)),
          (entry) => entry === undefined ? Effect.undefined : CacheEntry.readBytes(entry)
        )
      )
  }
})

const cacache = Effect.map(temporaryDirectory, (dir): Store => ({
  name: "cacache",
  dir,
  put: async (index, body) => {
    await put(dir, keyOf(index).id, body)
  },
  get: async (index) => (await get(dir, keyOf(index).id)).data
}))

/** Every body is another one: cacache stores the same content once. */
const bodies = (): () => Uint8Array => {
  let count = 0
  return () => {
    const body = new Uint8Array(bodyLength)
    new DataView(body.buffer).setUint32(0, count++)
    return body
  }
}

const fill = async ({ put }: Store): Promise<void> => {
  const next = bodies()
  for (let from = 0; from < items; from += 50) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- fifty at a time
    await Promise.all(Array.from({ length: Math.min(50, items - from) }, (_, index) => put(from + index, next())))
  }
}

const putLoop = ({ put }: Store): Loop => {
  const next = bodies()
  let at = 0
  return async (times) => {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    for (let i = 0; i < times; i++) await put(at++ % items, next())
  }
}

const getLoop = ({ get, name }: Store): Loop => {
  let at = 0
  return async (times) => {
    for (let i = 0; i < times; i++) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      const bytes = await get(at++ % items)
      if (bytes?.length !== bodyLength) throw new Error(`${name}: ${bytes?.length} bytes`)
    }
  }
}

/** The bytes on the disk after each of a few items was overwritten many times, beside the bytes of the items. */
const afterOverwrites = async (store: Store): Promise<number> => {
  const next = bodies()
  for (let round = 0; round <= overwrites; round++) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- all items at once, in rounds
    await Promise.all(Array.from({ length: overwritten }, (_, index) => store.put(index, next())))
  }
  return await bytesIn(store.dir) / (overwritten * bodyLength)
}

export const peers: Effect.Effect<Figures, unknown, Scope.Scope> = Effect.scoped(Effect.gen(function*() {
  const stores = [yield* keelson, yield* cacache] as const
  for (const store of stores) yield* Effect.promise(() => fill(store))
  const sizes: Array<Finding> = []
  for (const store of [yield* keelson, yield* cacache]) {
    sizes.push({
      group: "cache on disk",
      what: `bytes on the disk, of the live ones, after ${overwrites} overwrites of each: ${store.name}`,
      value: 100 * (yield* Effect.promise(() => afterOverwrites(store))),
      unit: "%",
      ...(store.name === "Keelson" ? { aim: { is: "at most", value: 130 } as const } : undefined)
    })
  }
  const compared = Effect.fnUntraced(function*(call: "put" | "get", loopOf: (store: Store) => Loop, target?: number) {
    const [own = [], other = []] = yield* Effect.promise(() =>
      measure(stores.map(loopOf), { stopwatch: processor, sampleMillis: 60, warmUpMillis: 1000 })
    )
    const comparison: Comparison = {
      group: `cache on disk, ${call} of 4 KB`,
      measure: "processor",
      other: "cacache",
      ratio: spread(each(own, other, (a, b) => a / b)),
      target
    }
    return {
      comparison,
      nanoseconds: [["Keelson", own] as const, ["cacache", other] as const].map(([contestant, times]) => ({
        what: `cache on disk, ${call}`,
        contestant,
        median: Math.round(spread(times).median)
      }))
    }
  })
  const all = [yield* compared("put", putLoop, 0.3), yield* compared("get", getLoop)]
  return {
    comparisons: all.map(({ comparison }) => comparison),
    nanoseconds: all.flatMap(({ nanoseconds }) => nanoseconds),
    findings: sizes
  }
}))
