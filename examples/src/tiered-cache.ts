/**
 * A cache of pages in memory, on disk and, if `redis-server` is installed, in Redis: one load for many callers, a restart, another
 * machine, a source that is down, and a purge. Run it with `node examples/src/tiered-cache.ts`; it exits after a few seconds,
 * with 0 if the cache kept its promises.
 */
import { NodeFileSystem, NodeRuntime } from "@effect/platform-node"
import { CacheEntry, CacheKey, CacheLoader, MemoryCache, RedisCache, TieredCache } from "@keelson/cache"
import * as NodeDiskCache from "@keelson/cache/NodeDiskCache"
import { Console, Data, Duration, Effect, FileSystem, Schedule, type Scope } from "effect"
import { isInstalled, makeServer, type Server } from "./redis/server.ts"
import { columns, counted } from "./text.ts"

class SourceDown extends Data.TaggedError("SourceDown") {}

/** What is slow and may be down: a store, a database, another service. */
const makeSource = () => {
  const source = { requests: 0, isDown: false }
  const load = ({ key }: CacheKey.CacheKey) =>
    Effect.suspend(() => {
      source.requests++
      return source.isDown ? Effect.fail(new SourceDown()) : Effect.succeed({
        body: new TextEncoder().encode(`page ${key}, version ${source.requests}`),
        metadata: { contentType: "text/plain" },
        // News expire at once, so that this program need not wait.
        ...(key.startsWith("news") ? { ttl: Duration.millis(1) } : undefined)
      })
    })
  return Object.assign(source, { load })
}

type Source = ReturnType<typeof makeSource>

/** A process with its memory, a directory of its machine, and the Redis of all machines. */
const makeProcess = Effect.fnUntraced(function*(source: Source, dir: string, server: Server | undefined) {
  const memory = yield* MemoryCache.make({ maxSize: "64 MiB", maxItemSize: "1 MiB" })
  const disk = yield* NodeDiskCache.make({ dir, maxSize: "1 GiB", maxItemSize: "64 MiB" })
  const shared = server === undefined ? [] : [yield* RedisCache.make({ redis: server.redis, timeout: "10 seconds" })]
  const cache = yield* TieredCache.make({ tiers: [memory, disk, ...shared] })
  const pages = yield* CacheLoader.make({ cache, load: source.load, ttl: "1 hour", staleWindow: "1 hour" })
  const read = (name: string) =>
    Effect.gen(function*() {
      const key = CacheKey.makeUnsafe({ bucket: "pages", key: name })
      const entry = yield* pages.getOrLoad(key)
      return new TextDecoder().decode(yield* CacheEntry.readBytes(entry))
    }).pipe(Effect.catch((error) => Effect.succeed(error._tag)))
  return { cache, read }
})

const tables = (tierStats: Effect.Success<TieredCache.TieredCache["tierStats"]>) =>
  columns(
    ["tier", "hits", "misses", "items", "bytes"],
    Object.entries(tierStats).map(([name, { bytes, hits, items, misses }]) =>
      [name, hits, misses, items, bytes].map(String)
    )
  )

const demo = Effect.gen(function*() {
  const files = yield* FileSystem.FileSystem
  const newDirectory = files.makeTempDirectoryScoped({ prefix: "keelson-example-" })
  const [directory, otherDirectory] = [yield* newDirectory, yield* newDirectory]
  const server = isInstalled() ? yield* makeServer : undefined
  const source = makeSource()
  const rows: Array<ReadonlyArray<string>> = []
  const check = (promise: string, shown: string, expected: string) => {
    const requests = source.requests
    source.requests = 0
    const actual = `${shown}; requests to the source: ${requests}`
    rows.push([promise, actual, actual === expected ? "kept" : `broken, expected ${expected}`])
  }
  type Process = Effect.Success<ReturnType<typeof makeProcess>>
  const inProcess = <A, E>(dir: string, use: (process: Process) => Effect.Effect<A, E, Scope.Scope>) =>
    Effect.scoped(Effect.flatMap(makeProcess(source, dir, server), use))

  yield* inProcess(directory, ({ cache, read }) =>
    Effect.gen(function*() {
      const all = yield* Effect.all(Array.from({ length: 100 }, () => read("home")), { concurrency: "unbounded" })
      check("many callers share one load", counted(all), "100 x page home, version 1; requests to the source: 1")
      const again = yield* Effect.replicateEffect(read("home"), 100)
      check("later ones get it from memory", counted(again), "100 x page home, version 1; requests to the source: 0")
      yield* read("news")
      source.requests = 0
      yield* cache.flush
    }))

  yield* inProcess(directory, ({ cache, read }) =>
    Effect.gen(function*() {
      check("a restart keeps what is on disk", yield* read("home"), "page home, version 1; requests to the source: 0")
      source.isDown = true
      // It expired a millisecond after it was loaded.
      yield* Effect.repeat(cache.get(CacheKey.makeUnsafe({ bucket: "pages", key: "news" }), { peek: true }), {
        schedule: Schedule.spaced("5 millis"),
        until: (entry) => entry === undefined
      })
      check("a stale page beats an error", yield* read("news"), "page news, version 1; requests to the source: 1")
      check("an unknown page is an error", yield* read("contact"), "SourceDown; requests to the source: 1")
      source.isDown = false
    }))

  if (server === undefined) yield* Console.log("redis-server is not installed: without the tier that machines share\n")
  else {
    yield* inProcess(otherDirectory, ({ read }) =>
      Effect.gen(function*() {
        check(
          "another machine has it from Redis",
          yield* read("home"),
          "page home, version 1; requests to the source: 0"
        )
      }))
  }

  const stats = yield* inProcess(directory, ({ cache, read }) =>
    Effect.gen(function*() {
      yield* read("home")
      const removed = yield* cache.clear("pages")
      check("a purge removes it from all tiers", `${removed} removed`, "2 removed; requests to the source: 0")
      check("after that it is loaded again", yield* read("home"), "page home, version 1; requests to the source: 1")
      yield* cache.flush
      return yield* cache.tierStats
    }))

  yield* Console.log(`${columns(["promise", "shown", ""], rows)}\n\n${tables(stats)}`)
  if (rows.some(([, , result]) => result !== "kept")) yield* Effect.sync(() => void (process.exitCode = 1))
})

NodeRuntime.runMain(Effect.scoped(Effect.provide(demo, NodeFileSystem.layer)))
