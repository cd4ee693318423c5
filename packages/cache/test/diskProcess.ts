/** A process that writes entries to a disk cache until it is killed. Entry `n` under a key has the body `n`, repeated. */
import { CacheKey } from "@keelson/cache"
import * as NodeDiskCache from "@keelson/cache/NodeDiskCache"
import { Effect, Stream } from "effect"

const [dir = "", seed = "0"] = process.argv.slice(2)

const program = Effect.gen(function*() {
  const cache = yield* NodeDiskCache.make({ dir, maxSize: "2 MiB", maxItemSize: "1500 KiB" })
  process.stdout.write("ready\n")
  const writer = (worker: number) =>
    Effect.gen(function*() {
      for (let count = Number(seed); true; count++) {
        const key = CacheKey.makeUnsafe({ bucket: "b", key: String((count * 7 + worker) % 12) })
        const body = new Uint8Array(count % 5 === 0 ? 1_200_000 : 20_000).fill(count % 251)
        yield* cache.set(key, {
          body: count % 2 === 0 ? body : Stream.make(body.subarray(0, 1000), body.subarray(1000))
        })
        if (count % 9 === 0) yield* cache.delete(key)
        if (count % 4 === 0) yield* Effect.ignore(cache.refresh(key, { headers: { count: String(count) } }))
      }
    })
  yield* Effect.forEach([1, 2, 3], writer, { concurrency: 3, discard: true })
})

await Effect.runPromise(Effect.scoped(program))
