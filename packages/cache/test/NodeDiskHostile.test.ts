import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { CacheEntry, CacheKey } from "@keelson/cache"
import * as NodeDiskCache from "@keelson/cache/NodeDiskCache"
import { Effect, Exit, Fiber, FileSystem, Stream } from "effect"
import { spawnSync } from "node:child_process"
import { mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { bytes, key, reasonOf } from "./CacheSuite.ts"

const temporaryDirectory = Effect.flatMap(
  FileSystem.FileSystem,
  (files) => files.makeTempDirectoryScoped({ prefix: "keelson-cache-" })
).pipe(Effect.provide(NodeFileSystem.layer))

const filesOf = (dir: string) => readdirSync(join(dir, "entries")).toSorted()

/** The same numbers in each run. */
const numbers = (seed: number) => () => {
  seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
  return seed
}

const mutations: ReadonlyArray<(content: Buffer, next: () => number) => Buffer> = [
  (content, next) => {
    const copy = Buffer.from(content)
    const at = next() % copy.length
    copy[at] = copy[at]! ^ (1 << (next() % 8))
    return copy
  },
  (content, next) => content.subarray(0, next() % content.length),
  (content, next) => Buffer.concat([content, content.subarray(0, 1 + next() % content.length)]),
  (content, next) => {
    const digits = [...content.toString("latin1").matchAll(/\d+/g)]
    const { 0: found, index } = digits[next() % Math.max(1, digits.length)] ?? { 0: "", index: 0 }
    const value = ["0", "-1", "1e300", "8700000000000000", "null", "\"x\"", "{}", String(next())][next() % 8]!
    const text = content.toString("latin1")
    return Buffer.from(text.slice(0, index) + value + text.slice(index + found.length), "latin1")
  }
]

describe("NodeDiskCache", () => {
  it.live(
    "[S4-19] [R33] Law C2: of 10,000 mutations of its files none is returned, and nothing dies",
    () =>
      Effect.gen(function*() {
        const dir = yield* temporaryDirectory
        const next = numbers(1)
        const metadata = { contentType: "text/plain", etag: "\"1\"", headers: { a: "1" } }
        let count = 0
        let kept = 0
        while (count < 10_000) {
          rmSync(dir, { recursive: true, force: true })
          yield* Effect.scoped(Effect.flatMap(NodeDiskCache.make({ dir }), (cache) =>
            Effect.forEach(
              Array.from({ length: 100 }, (_, name) => name),
              (name) => cache.set(key(String(name)), { body: bytes(50, name), metadata })
            )))
          const index = join(dir, "index.json")
          const names = [...new Set(filesOf(dir).map((file) => file.slice(0, 64)))]
          // One file of each entry: the other one does not give the change away.
          for (const name of names) {
            const file = `${name}.${next() % 4 === 0 ? "data" : "meta"}`
            const path = join(dir, "entries", file)
            const content = readFileSync(path)
            const changed = mutations[next() % mutations.length]!(content, next)
            if (changed.equals(content)) {
              rmSync(path)
              continue
            }
            writeFileSync(path, changed)
            count++
          }
          writeFileSync(index, mutations[next() % mutations.length]!(readFileSync(index), next))
          count++
          yield* Effect.scoped(Effect.flatMap(NodeDiskCache.make({ dir }), (cache) =>
            Effect.gen(function*() {
              for (let name = 0; name < 100; name++) {
                const exit = yield* Effect.exit(cache.get(key(String(name)), { peek: name % 2 === 0 }))
                if (Exit.isFailure(exit)) assert.strictEqual(reasonOf(exit), "Serialization")
                else if (exit.value !== undefined) kept++
              }
            })))
        }
        assert.strictEqual(kept, 0)
      }),
    600_000
  )

  it.effect("[S4-19] times of an index that no date can have are not used", () =>
    Effect.gen(function*() {
      const dir = yield* temporaryDirectory
      yield* Effect.scoped(
        Effect.flatMap(NodeDiskCache.make({ dir }), (cache) => cache.set(key("a"), { body: bytes(3) }))
      )
      const name = filesOf(dir)[0]!.slice(0, 64)
      for (const time of ["1e300", "8700000000000000", "-9e15", "0.5", "\"1\"", "null"]) {
        writeFileSync(join(dir, "index.json"), `{"version":1,"accessed":{"${name}":${time}}}`)
        yield* Effect.scoped(Effect.flatMap(NodeDiskCache.make({ dir }), (cache) =>
          Effect.gen(function*() {
            assert.strictEqual((yield* cache.get(key("a"), { peek: true }))?.accessedAt.epochMilliseconds, 0)
          })))
      }
    }))

  it.live("[S4-14] a lookup beside a write of the same key returns one of both, or nothing, and never an error", () =>
    Effect.gen(function*() {
      const cache = yield* NodeDiskCache.make({ dir: yield* temporaryDirectory })
      yield* cache.set(key("a"), { body: bytes(10) })
      const state = { isDone: false }
      const writer = yield* Effect.forkChild(
        Effect.ensuring(
          Effect.forEach(
            Array.from({ length: 300 }, (_, index) => index),
            (index) => cache.set(key("a"), { body: bytes(10 + index, index) }),
            { discard: true }
          ),
          Effect.sync(() => {
            state.isDone = true
          })
        )
      )
      while (!state.isDone) {
        const found = yield* Effect.forEach([1, 2, 3, 4], () => cache.get(key("a")), { concurrency: 4 })
        for (const entry of found) {
          if (entry === undefined) continue
          const read = yield* CacheEntry.readBytes(entry)
          assert.strictEqual(new Set(read).size, 1)
          assert.strictEqual(read.length, entry.length)
        }
      }
      yield* Fiber.join(writer)
      assert.deepInclude(yield* cache.stats, { items: 1, evictions: 0 })
    }))

  it.live("[S4-18] [R33] a write that is interrupted at any moment leaves no temporary file", () =>
    Effect.gen(function*() {
      const dir = yield* temporaryDirectory
      const cache = yield* NodeDiskCache.make({ dir })
      const descriptors = () => readdirSync("/proc/self/fd").length
      const before = descriptors()
      for (let run = 0; run < 300; run++) {
        const body = run % 2 === 0 ? bytes(5000) : Stream.make(bytes(2500), bytes(2500))
        const fiber = yield* Effect.forkChild(cache.set(key(String(run % 5)), { body }), { startImmediately: true })
        // Each turn of the event loop ends at most a few operations of the file system.
        for (let turn = 0; turn < run % 40; turn++) yield* Effect.promise(() => new Promise(setImmediate))
        yield* Fiber.interrupt(fiber)
      }
      const { items } = yield* cache.stats
      assert.lengthOf(filesOf(dir), 2 * items)
      assert.isEmpty(filesOf(dir).filter((file) => file.endsWith(".tmp")))
      assert.isAtMost(descriptors(), before + 2)
    }))

  it.effect("[S4-18] an entry whose second file cannot get its name leaves none of its files", () =>
    Effect.gen(function*() {
      const dir = yield* temporaryDirectory
      const cache = yield* NodeDiskCache.make({ dir })
      yield* cache.set(key("a"), { body: bytes(3) })
      const meta = filesOf(dir).find((file) => file.endsWith(".meta"))!
      yield* cache.delete(key("a"))
      mkdirSync(join(dir, "entries", meta))
      assert.strictEqual(reasonOf(yield* Effect.exit(cache.set(key("a"), { body: bytes(3) }))), "Io")
      assert.deepStrictEqual(filesOf(dir), [meta])
      assert.deepInclude(yield* cache.stats, { items: 0, bytes: 0 })
      assert.isUndefined(yield* cache.get(key("a")))
    }))

  it.effect("[R33] a large body that becomes shorter while it is read is broken off", () =>
    Effect.gen(function*() {
      const dir = yield* temporaryDirectory
      const cache = yield* NodeDiskCache.make({ dir })
      yield* cache.set(key("a"), { body: bytes(3_000_000) })
      const path = join(dir, "entries", filesOf(dir).find((file) => file.endsWith(".data"))!)
      const entry = (yield* cache.get(key("a")))!
      const exit = yield* Effect.exit(
        Stream.runForEach(CacheEntry.stream(entry), () => Effect.sync(() => truncateSync(path, 1_000_000)))
      )
      assert.strictEqual(reasonOf(exit), "Serialization")
    }))

  it.live("[S4-14] two caches on one directory return nothing wrong", () =>
    Effect.gen(function*() {
      const dir = yield* temporaryDirectory
      const caches = [yield* NodeDiskCache.make({ dir }), yield* NodeDiskCache.make({ dir })]
      const worker = (seed: number) =>
        Effect.gen(function*() {
          const cache = caches[seed % 2]!
          for (let step = 0; step < 40; step++) {
            const name = String((seed + step) % 5)
            yield* Effect.ignore(
              step % 3 === 0
                ? cache.set(key(name), { body: bytes(100 + seed, Number(name)), metadata: { etag: name } })
                : step % 7 === 0
                ? cache.delete(key(name))
                : Effect.gen(function*() {
                  const entry = yield* cache.get(key(name))
                  if (entry === undefined) return
                  assert.strictEqual(entry.metadata.etag, name)
                  assert.deepStrictEqual(new Set(yield* CacheEntry.readBytes(entry)), new Set([Number(name)]))
                })
            )
          }
        })
      yield* Effect.forEach([0, 1, 2, 3, 4, 5], worker, { concurrency: 6, discard: true })
      yield* Effect.scoped(Effect.flatMap(NodeDiskCache.make({ dir }), (cache) =>
        Effect.forEach([0, 1, 2, 3, 4], (name) =>
          Effect.gen(function*() {
            const entry = yield* Effect.orElseSucceed(cache.get(key(String(name))), () =>
              undefined)
            if (entry === undefined) {
              return
            }
            assert.deepStrictEqual(new Set(yield* CacheEntry.readBytes(entry)), new Set([name]))
          }))))
    }))

  it("[S4-18] a disk that takes no more is StorageFull, and keeps what it has", () => {
    // The limit of the size of files gives a real error of the file system.
    const script = join(import.meta.dirname, "diskFullProcess.ts")
    const { status, stderr, stdout } = spawnSync(
      "sh",
      ["-c", `ulimit -f 200; trap '' XFSZ; exec "${process.execPath}" "${script}"`],
      { encoding: "utf8" }
    )
    assert.deepStrictEqual([status, stderr], [0, ""])
    assert.deepStrictEqual(JSON.parse(stdout), { reason: "StorageFull", files: 2, length: 50_000 })
  })

  it.effect("[S4-06] a file whose key no `make` allows is removed", () =>
    Effect.gen(function*() {
      const dir = yield* temporaryDirectory
      const cache = yield* NodeDiskCache.make({ dir })
      // Not made by `make`, which refuses it.
      yield* cache.set(new CacheKey.CacheKey({ bucket: "a\0b", key: "c" }), { body: bytes(3) })
      yield* Effect.scoped(Effect.flatMap(NodeDiskCache.make({ dir }), (opened) =>
        Effect.gen(function*() {
          assert.deepInclude(yield* opened.stats, { items: 0 })
        })))
    }))
})
