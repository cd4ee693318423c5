import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { CacheEntry, CacheKey, type CacheTier } from "@keelson/cache"
import * as NodeDiskCache from "@keelson/cache/NodeDiskCache"
import { Duration, Effect, Exit, FileSystem, Stream } from "effect"
import { TestClock } from "effect/testing"
import { readdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { bytes, cacheSuite, key, reasonOf } from "./CacheSuite.ts"

const temporaryDirectory = Effect.flatMap(
  FileSystem.FileSystem,
  (files) => files.makeTempDirectoryScoped({ prefix: "keelson-cache-" })
).pipe(Effect.provide(NodeFileSystem.layer))

cacheSuite({
  name: "NodeDiskCache",
  rows: "[S4-17] [S4-20]",
  make: (bounds) => Effect.flatMap(temporaryDirectory, (dir) => NodeDiskCache.make({ dir, ...bounds }))
})

const filesOf = (dir: string) => readdirSync(join(dir, "entries")).toSorted()

/** Runs a program with a cache that is closed afterwards, as a process that ends. */
const withCache = <A, E>(
  options: NodeDiskCache.Options,
  use: (cache: CacheTier.CacheTier) => Effect.Effect<A, E>
) => Effect.scoped(Effect.flatMap(NodeDiskCache.make(options), use))

const read = (cache: CacheTier.CacheTier, id: CacheKey.CacheKey) =>
  Effect.flatMap(cache.get(id), (entry) => entry === undefined ? Effect.undefined : CacheEntry.readBytes(entry))

describe("NodeDiskCache", () => {
  it.effect("[S4-02] has the documented defaults and refuses an empty directory", () =>
    Effect.gen(function*() {
      const dir = yield* temporaryDirectory
      yield* withCache({ dir }, (cache) =>
        Effect.gen(function*() {
          assert.strictEqual((yield* cache.stats).maxBytes, 10 * 1024 ** 3)
          assert.strictEqual(cache.maxItemSize("b"), 1024 ** 3)
        }))
      const error = yield* Effect.flip(NodeDiskCache.make({ dir: "" }))
      assert.include(error.message, "dir must be text from 1 to 4096 characters")
    }))

  it.effect("[S4-17] [R37] names files by a hash, for this user only, and makes the directory", () =>
    Effect.gen(function*() {
      const dir = join(yield* temporaryDirectory, "a", "b")
      const cache = yield* NodeDiskCache.make({ dir })
      yield* cache.set(CacheKey.makeUnsafe({ bucket: "../..", key: "../../etc/passwd" }), { body: bytes(3) })
      const files = filesOf(dir)
      assert.lengthOf(files, 2)
      for (const file of files) assert.match(file, /^[0-9a-f]{64}\.(data|meta)$/)
      assert.strictEqual(files[0]?.slice(0, 64), files[1]?.slice(0, 64))
      for (const path of [dir, join(dir, "entries")]) assert.strictEqual(statSync(path).mode & 0o777, 0o700)
      for (const file of files) assert.strictEqual(statSync(join(dir, "entries", file)).mode & 0o777, 0o600)
    }))

  it.effect("[S4-17] [R37] refuses a directory that is a link or a file", () =>
    Effect.gen(function*() {
      const dir = yield* temporaryDirectory
      writeFileSync(join(dir, "file"), "")
      symlinkSync(dir, join(dir, "link"))
      for (const name of ["file", "link"]) {
        const error = yield* Effect.flip(NodeDiskCache.make({ dir: join(dir, name) }))
        assert.strictEqual(error.code, "INVALID_CONFIG")
        assert.include(error.message, "dir must be a directory that this process may read and write, and no link")
      }
    }))

  it.effect("[S4-19] [S4-20] keeps entries, their order and their times over a restart", () =>
    Effect.gen(function*() {
      const dir = yield* temporaryDirectory
      const metadata = { etag: "\"1\"", headers: { a: "\u00e9" } }
      yield* withCache({ dir }, (cache) =>
        Effect.gen(function*() {
          for (const name of ["a", "b", "c"]) {
            yield* cache.set(key(name), {
              body: bytes(1000),
              metadata,
              ttl: Duration.seconds(100),
              staleWindow: Duration.seconds(9)
            })
            yield* TestClock.adjust("1 second")
          }
          yield* cache.get(key("a"))
        }))
      yield* TestClock.adjust("10 seconds")
      const size = CacheEntry.sizeOf(key("a"), metadata, 1000)
      yield* withCache({ dir, maxSize: 3 * size, maxItemSize: size }, (cache) =>
        Effect.gen(function*() {
          assert.deepInclude(yield* cache.stats, { items: 3, bytes: 3 * size, hits: 0, misses: 0 })
          const entry = yield* cache.get(key("b"), { peek: true })
          assert.deepStrictEqual(entry?.metadata, metadata)
          assert.deepStrictEqual(
            [entry?.createdAt, entry?.expiresAt, entry?.staleUntil].map((time) => time?.epochMilliseconds),
            [1000, 101_000, 110_000]
          )
          // `a` was used last.
          yield* cache.set(key("d"), { body: bytes(1000), metadata })
          assert.isUndefined(yield* cache.get(key("b"), { peek: true }))
          assert.isDefined(yield* cache.get(key("a"), { peek: true }))
          yield* TestClock.adjust("88 seconds")
          assert.isUndefined(yield* cache.get(key("a")))
          assert.isDefined(yield* cache.get(key("c")))
        }))
      assert.lengthOf(filesOf(dir), 6)
    }))

  it.effect("[S4-19] the index has the last lookups, although the process ends while it is written", () =>
    Effect.gen(function*() {
      const dir = yield* temporaryDirectory
      yield* withCache({ dir }, (cache) =>
        Effect.gen(function*() {
          yield* cache.set(key("a"), { body: bytes(10) })
          yield* TestClock.adjust("4 seconds")
          yield* cache.get(key("a"))
          // The index is written in the background from here on.
          yield* TestClock.adjust("1 second")
        }))
      const { accessed } = JSON.parse(readFileSync(join(dir, "index.json"), "utf8"))
      assert.deepStrictEqual(Object.values(accessed), [4000])
      yield* withCache({ dir }, (cache) =>
        Effect.gen(function*() {
          yield* cache.set(key("b"), { body: bytes(10) })
          yield* TestClock.adjust("5 seconds")
          // It is due again while the first one is written.
          yield* cache.get(key("a"))
        }))
      const later: { accessed: Record<string, number> } = JSON.parse(readFileSync(join(dir, "index.json"), "utf8"))
      assert.deepStrictEqual(Object.values(later.accessed).toSorted((a, b) => a - b), [5000, 10_000])
      assert.deepStrictEqual(readdirSync(dir).toSorted(), ["entries", "index.json"])
      assert.isEmpty(filesOf(dir).filter((file) => file.endsWith(".tmp")))
    }))

  it.effect("[S4-08] [S4-20] an entry without end has none after a restart; an expired one cannot be deleted", () =>
    Effect.gen(function*() {
      const dir = yield* temporaryDirectory
      yield* withCache({ dir }, (cache) =>
        Effect.andThen(
          cache.set(key("ever"), { body: bytes(10), ttl: Duration.zero }),
          cache.set(key("a"), { body: bytes(10), ttl: Duration.seconds(5) })
        ))
      yield* withCache({ dir }, (cache) =>
        Effect.gen(function*() {
          yield* TestClock.adjust("5 seconds")
          assert.isFalse(yield* cache.delete(key("a")))
          assert.deepInclude(yield* cache.stats, { items: 1, evictions: 1 })
          yield* TestClock.adjust("9000 hours")
          const entry = yield* cache.get(key("ever"))
          assert.deepStrictEqual([entry?.length, entry?.expiresAt, entry?.staleUntil], [10, undefined, undefined])
          // The life of the tier, which ends.
          yield* cache.refresh(key("ever"), {})
          yield* TestClock.adjust("1 hour")
          assert.isUndefined(yield* cache.get(key("ever")))
        }))
      assert.deepStrictEqual(filesOf(dir), [])
    }))

  it.effect("[S4-18] refuses an item that fits maxItemSize, but with its metadata not into the whole cache", () =>
    Effect.gen(function*() {
      const dir = yield* temporaryDirectory
      const cache = yield* NodeDiskCache.make({ dir, maxItemSize: 100, maxSize: 120 })
      yield* cache.set(key("a"), { body: bytes(50) })
      const before = filesOf(dir)
      assert.strictEqual(reasonOf(yield* Effect.exit(cache.set(key("a"), { body: bytes(100) }))), "ItemTooLarge")
      assert.deepStrictEqual(filesOf(dir), before)
      assert.lengthOf((yield* read(cache, key("a")))!, 50)
    }))

  it.effect("[S4-19] [R37] an index of any other form is an empty one, and a huge .meta file is no entry", () =>
    Effect.gen(function*() {
      const dir = yield* temporaryDirectory
      yield* withCache({ dir }, (cache) => cache.set(key("a"), { body: bytes(10) }))
      for (const index of ["null", "[]", "{}", "{\"accessed\":5}", "{\"accessed\":{\"x\":\"y\",\"z\":1e300}}"]) {
        writeFileSync(join(dir, "index.json"), index)
        yield* withCache(
          { dir },
          (cache) => Effect.map(cache.stats, ({ items }) => assert.strictEqual(items, 1, index))
        )
      }
      const meta = filesOf(dir).find((file) => file.endsWith(".meta"))!
      writeFileSync(join(dir, "entries", meta), Buffer.alloc(1_048_577, 32))
      yield* withCache({ dir }, (cache) => Effect.map(cache.stats, ({ items }) => assert.strictEqual(items, 0)))
      assert.deepStrictEqual(filesOf(dir), [])
    }))

  it.effect("[S4-19] a smaller bound, a damaged or missing index, and expired entries at the start", () =>
    Effect.gen(function*() {
      const dir = yield* temporaryDirectory
      const size = CacheEntry.sizeOf(key("a"), {}, 100)
      yield* withCache({ dir }, (cache) =>
        Effect.gen(function*() {
          for (const name of ["a", "b", "c"]) {
            yield* cache.set(key(name), { body: bytes(100), ttl: Duration.seconds(name === "a" ? 5 : 1000) })
            yield* TestClock.adjust("1 second")
          }
        }))
      yield* TestClock.adjust("5 seconds")
      writeFileSync(join(dir, "index.json"), "{\"accessed\":[1,")
      yield* withCache({ dir, maxSize: size, maxItemSize: size }, (cache) =>
        Effect.gen(function*() {
          assert.deepInclude(yield* cache.stats, { items: 1, bytes: size, evictions: 2 })
          assert.isDefined(yield* cache.get(key("c")))
        }))
      assert.lengthOf(filesOf(dir), 2)
      rmSync(join(dir, "index.json"))
      yield* withCache({ dir }, (cache) => Effect.map(cache.stats, ({ items }) => assert.strictEqual(items, 1)))
    }))

  it.effect("[S4-19] [R37] removes orphans, temporary and damaged files, and leaves foreign ones", () =>
    Effect.gen(function*() {
      const dir = yield* temporaryDirectory
      const entries = join(dir, "entries")
      yield* withCache(
        { dir },
        (cache) =>
          Effect.forEach(["a", "b", "c", "d", "e", "f", "g"], (name) => cache.set(key(name), { body: bytes(100) }))
      )
      const names = filesOf(dir).filter((file) => file.endsWith(".meta")).map((file) => file.slice(0, 64))
      const path = (index: number, kind: string) => join(entries, `${names[index]}.${kind}`)
      rmSync(path(0, "meta"))
      rmSync(path(1, "data"))
      writeFileSync(path(2, "data"), "short")
      writeFileSync(path(3, "meta"), readFileSync(path(3, "meta"), "utf8").replace("\"version\":1", "\"version\":2"))
      // The meta file of another entry under this name.
      writeFileSync(path(4, "meta"), readFileSync(path(5, "meta")))
      rmSync(path(6, "data"))
      symlinkSync(path(5, "data"), path(6, "data"))
      writeFileSync(join(entries, `${names[5]}.${crypto.randomUUID()}.tmp`), "x")
      writeFileSync(join(entries, "README"), "keep")
      yield* withCache({ dir }, (cache) =>
        Effect.gen(function*() {
          assert.deepInclude(yield* cache.stats, { items: 1 })
        }))
      assert.deepStrictEqual(filesOf(dir), [`${names[5]}.data`, `${names[5]}.meta`, "README"].toSorted())
    }))

  it.effect("[S4-18] [R33] a body that was changed on the disk is never returned, small or large", () =>
    Effect.gen(function*() {
      const dir = yield* temporaryDirectory
      for (const length of [100, 3_000_000]) {
        for (const change of ["same length", "shorter", "longer", "replaced by a link", "removed"]) {
          const cache = yield* NodeDiskCache.make({ dir })
          yield* cache.set(key("a"), { body: bytes(length) })
          const path = join(dir, "entries", filesOf(dir).find((file) => file.endsWith(".data"))!)
          const content = readFileSync(path)
          content[50] = 2
          if (change === "replaced by a link") {
            renameSync(path, join(dir, "other"))
            symlinkSync(join(dir, "other"), path)
          } else if (change === "removed") rmSync(path)
          else {writeFileSync(
              path,
              change === "shorter"
                ? content.subarray(1)
                : change === "longer"
                ? Buffer.concat([content, content])
                : content
            )}
          const exit = yield* Effect.exit(cache.get(key("a")))
          if (Exit.isSuccess(exit)) assert.isUndefined(exit.value)
          else assert.strictEqual(reasonOf(exit), "Serialization")
          assert.strictEqual(Exit.isFailure(exit), !change.startsWith("re"), `${length} ${change}`)
          assert.deepInclude(yield* cache.stats, { items: 0, hits: 0, misses: 1 })
          assert.isUndefined(yield* cache.get(key("a")))
          assert.deepStrictEqual(filesOf(dir), [])
          rmSync(join(dir, "other"), { force: true })
        }
      }
    }))

  it.effect("[S4-20] a large body is streamed, by several readers at once, also while it is replaced", () =>
    Effect.gen(function*() {
      const cache = yield* NodeDiskCache.make({ dir: yield* temporaryDirectory })
      yield* cache.set(key("a"), { body: bytes(3_000_000, 1) })
      const first = (yield* cache.get(key("a")))!
      assert.strictEqual(first.body._tag, "Stream")
      const sums = yield* Effect.forEach([1, 2, 3], () => CacheEntry.readBytes(first), { concurrency: 3 })
      for (const sum of sums) assert.deepStrictEqual([sum.length, new Set(sum)], [3_000_000, new Set([1])])
      // A reader that has begun gets the whole old body.
      const chunks = yield* Stream.runFoldEffect(
        CacheEntry.stream(first),
        () => ({ length: 0, values: new Set<number>() }),
        (seen, chunk) =>
          Effect.gen(function*() {
            if (seen.length === 0) yield* cache.set(key("a"), { body: bytes(2_000_000, 2) })
            return { length: seen.length + chunk.length, values: new Set([...seen.values, ...new Set(chunk)]) }
          })
      )
      assert.deepStrictEqual(chunks, { length: 3_000_000, values: new Set([1]) })
      // One that begins later is told.
      assert.strictEqual(reasonOf(yield* Effect.exit(CacheEntry.readBytes(first))), "NotFound")
      assert.deepStrictEqual(new Set(yield* read(cache, key("a"))), new Set([2]))
    }))

  it.effect("[S4-18] a failed write leaves no file and keeps the old entry", () =>
    Effect.gen(function*() {
      const dir = yield* temporaryDirectory
      const cache = yield* NodeDiskCache.make({ dir })
      yield* cache.set(key("a"), { body: bytes(3) })
      const before = filesOf(dir)
      const broken = Stream.concat(Stream.make(bytes(3, 9)), Stream.fail("reset" as const))
      yield* Effect.exit(cache.set(key("a"), { body: broken }))
      assert.deepStrictEqual(filesOf(dir), before)
      assert.deepStrictEqual(yield* read(cache, key("a")), Buffer.from([1, 1, 1]))
    }))

  it.effect("[S4-18] a directory that disappears while the process runs is made again", () =>
    Effect.gen(function*() {
      const dir = yield* temporaryDirectory
      const cache = yield* NodeDiskCache.make({ dir })
      yield* cache.set(key("a"), { body: bytes(3) })
      rmSync(dir, { recursive: true })
      assert.isUndefined(yield* cache.get(key("a")))
      yield* cache.set(key("b"), { body: bytes(3) })
      assert.deepStrictEqual(yield* read(cache, key("b")), Buffer.from([1, 1, 1]))
      assert.deepInclude(yield* cache.stats, { items: 1 })
    }))

  it.effect("[S4-20] evicts by last lookup, and removes both files", () =>
    Effect.gen(function*() {
      const dir = yield* temporaryDirectory
      const size = CacheEntry.sizeOf(key("a"), {}, 100)
      const cache = yield* NodeDiskCache.make({ dir, maxSize: 3 * size, maxItemSize: 3 * size - 67 })
      for (const name of ["a", "b", "c"]) yield* cache.set(key(name), { body: bytes(100) })
      yield* cache.get(key("a"))
      yield* cache.set(key("d"), { body: bytes(100) })
      assert.isUndefined(yield* cache.get(key("b")))
      assert.lengthOf(filesOf(dir), 6)
      yield* cache.set(key("a"), { body: bytes(3 * size - 67) })
      assert.deepInclude(yield* cache.stats, { items: 1, evictions: 3 })
      assert.lengthOf(filesOf(dir), 2)
    }))

  it.effect("[S4-14] exact counts under concurrent writers, readers and purges, with interruptions", () =>
    Effect.gen(function*() {
      const dir = yield* temporaryDirectory
      const size = CacheEntry.sizeOf(key("0"), {}, 100)
      const cache = yield* NodeDiskCache.make({ dir, maxSize: 6 * size, maxItemSize: 200 })
      const worker = (seed: number) =>
        Effect.gen(function*() {
          for (let step = 0; step < 12; step++) {
            const id = key(String((seed * 7 + step * 3) % 10))
            if ((seed + step) % 3 === 0) yield* cache.set(id, { body: bytes(100, seed) })
            else if ((seed + step) % 11 === 0) yield* cache.delete(id)
            else {
              const found = yield* read(cache, id)
              if (found !== undefined) assert.deepStrictEqual([found.length, new Set(found).size], [100, 1])
            }
          }
        })
      yield* Effect.forEach(
        Array.from({ length: 30 }, (_, seed) => seed),
        (seed) => seed % 5 === 0 ? Effect.timeoutOption(worker(seed), Duration.zero) : worker(seed),
        { concurrency: "unbounded" }
      )
      const { bytes: held, items } = yield* cache.stats
      assert.strictEqual(held, items * size)
      assert.isAtMost(items, 6)
      assert.lengthOf(filesOf(dir), 2 * items)
      yield* cache.clear()
      assert.deepStrictEqual(filesOf(dir), [])
    }))
})
