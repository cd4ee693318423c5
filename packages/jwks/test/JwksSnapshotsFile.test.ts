import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@keelson/testing/eventually"
import { Clock, Effect, Fiber, FileSystem, Layer, Option, PlatformError, Stream } from "effect"
import { TestClock } from "effect/testing"
import { execFileSync } from "node:child_process"
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as JwksSnapshots from "../src/JwksSnapshots.ts"
import { identity, key, load, now, refusal, remove, save, snapshot } from "./JwksSnapshotsSuite.ts"

/** A directory that is not there yet. */
const directory = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "keelson-snapshots-"))),
    (parent) => Effect.sync(() => rmSync(parent, { recursive: true, force: true }))
  ),
  (parent) => join(parent, "a", "b")
)

/** Runs an effect over files, in a separate layer; operations of the file system may be replaced. */
const over = (
  options: JwksSnapshots.FileOptions,
  replaced: (real: FileSystem.FileSystem) => Partial<FileSystem.FileSystem> = () => ({})
) => {
  const fs = Layer.effect(
    FileSystem.FileSystem,
    Effect.map(FileSystem.FileSystem, (real) => ({ ...real, ...replaced(real) }))
  )
  return Effect.provide(
    Layer.fresh(Layer.provide(JwksSnapshots.layerFile(options), Layer.provideMerge(fs, NodeServices.layer)))
  )
}

const full = PlatformError.systemError({ _tag: "WriteZero", module: "FileSystem", method: "sync" })

/** Files whose `sync` has this result, after half of the text was written. */
const cutBy = (end: Effect.Effect<never, PlatformError.PlatformError>) => (real: FileSystem.FileSystem) => ({
  open: (path: string, options?: Parameters<typeof real.open>[1]) =>
    Effect.map(real.open(path, options), (file): FileSystem.File => ({
      ...file,
      writeAll: (bytes) => Effect.andThen(file.writeAll(bytes.subarray(0, bytes.length / 2)), end)
    }))
})

const other = { ...snapshot, body: "{}" }

describe("JwksSnapshots.layerFile", () => {
  it.effect("[S1-35] [R18] makes its directory, and files that only their owner reads", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now)
      const path = yield* directory
      yield* over({ directory: path })(save({ ...snapshot, tenantId: "../../x", providerId: "/etc" }))
      const [name = "", ...rest] = readdirSync(path)
      assert.match(name, /^[0-9a-f]{64}\.jwks$/)
      assert.deepStrictEqual(rest, [])
      assert.strictEqual(statSync(join(path, name)).mode & 0o777, 0o600)
      assert.strictEqual(statSync(path).mode & 0o777, 0o700)
    }))

  const planted: ReadonlyArray<readonly [reason: "symbolicLink" | "worldWritable", plant: (file: string) => void]> = [
    ["symbolicLink", (file) => {
      renameSync(file, `${file}.elsewhere`)
      symlinkSync(`${file}.elsewhere`, file)
    }],
    ["worldWritable", (file) => chmodSync(file, 0o666)],
    ["worldWritable", (file) => chmodSync(file, 0o602)]
  ]
  for (const [reason, plant] of planted) {
    for (const signed of [false, true]) {
      it.effect(`[K-28 G10] refuses a ${signed ? "signed " : ""}file that others can change, and says why: ${reason}`, () =>
        Effect.gen(function*() {
          yield* TestClock.setTime(now)
          const options = { directory: yield* directory, ...(signed ? { key } : undefined) }
          yield* over(options)(save(snapshot))
          const [name = ""] = readdirSync(options.directory)
          plant(join(options.directory, name))
          const error = yield* Effect.flip(over(options)(load()))
          assert.deepInclude(error, { _tag: "SnapshotRefused", code: "SNAPSHOT_REFUSED", reason })
          // The next save replaces it by a file of our own.
          yield* over(options)(save(snapshot))
          assert.isTrue(Option.isSome(yield* over(options)(load())))
        }))
    }
  }

  it.effect("[S1-35] a save, a load and a removal fail with a typed error if the directory cannot exist", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const file = join(path, "..", "..", "file")
      writeFileSync(file, "")
      const calls = [save(snapshot), load(), remove(identity)]
      for (const call of calls) {
        const error = yield* Effect.flip(over({ directory: join(file, "x") })(call))
        assert(error._tag === "SnapshotUnavailable")
        assert.strictEqual(error.code, "STORE_UNAVAILABLE")
        assert.notInclude(JSON.stringify(error), file)
      }
    }))

  it.effect("[S1-35] [K-06] a failing write or renaming keeps the old file, and leaves no other", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now)
      const path = yield* directory
      yield* over({ directory: path })(save(snapshot))
      const failing = [cutBy(Effect.fail(full)), cutBy(Effect.die(full)), () => ({ rename: () => Effect.fail(full) })]
      for (const replaced of failing) {
        const error = yield* Effect.flip(over({ directory: path }, replaced)(save(other)))
        assert(error._tag === "SnapshotUnavailable")
        assert.include(["WriteZero", "failed"], error.reason)
        assert.strictEqual(readdirSync(path).length, 1)
        assert.deepStrictEqual(
          yield* over({ directory: path })(load()),
          Option.some({ ...snapshot, persistedAt: now })
        )
      }
    }))

  it.effect("[K-06] a crash during a write keeps the old file, and a later start removes the temporary file", () =>
    Effect.gen(function*() {
      // Files are as old as the real clock says.
      yield* TestClock.setTime(yield* TestClock.withLive(Clock.currentTimeMillis))
      const path = yield* directory
      const lasting = { ...snapshot, receivedAt: 0 }
      yield* over({ directory: path })(save(lasting))
      let isCut = false
      const hang = Effect.andThen(Effect.sync(() => isCut = true), Effect.never)
      // A process that is gone writes no further, and removes nothing.
      const crashed = (real: FileSystem.FileSystem) => ({ ...cutBy(hang)(real), remove: () => Effect.void })
      const timeout = "50 millis"
      const saving = yield* Effect.forkChild(Effect.flip(over({ directory: path, timeout }, crashed)(save(other))))
      yield* eventually(() => isCut)
      yield* TestClock.adjust(timeout)
      const error = yield* Fiber.join(saving)
      assert(error._tag === "SnapshotUnavailable")
      assert.strictEqual(error.reason, "timeout")
      assert.strictEqual(readdirSync(path).length, 2)
      const body = Effect.map(over({ directory: path })(load()), (all) => Option.getOrThrow(all).body)
      assert.strictEqual(yield* body, snapshot.body)
      assert.strictEqual(readdirSync(path).length, 2, "it may be another process's that is writing")
      for (const name of ["mine.tmp", "x.jwks"]) writeFileSync(join(path, name), "")
      for (const name of readdirSync(path)) utimesSync(join(path, name), 1, 1)
      assert.strictEqual(yield* body, snapshot.body)
      assert.strictEqual(readdirSync(path).length, 3)
      assert.includeMembers(readdirSync(path), ["mine.tmp", "x.jwks"])
    }))

  it.effect("[K-06] of saves at the same time one is kept whole, and no other file", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now)
      const path = yield* directory
      const bodies = Array.from({ length: 20 }, (_, n) => String(n).repeat(500))
      const saves = Effect.forEach(bodies, (body) => save({ ...snapshot, body }), { concurrency: "unbounded" })
      yield* Effect.all([over({ directory: path })(saves), over({ directory: path })(saves)], { concurrency: 2 })
      assert.strictEqual(readdirSync(path).length, 1)
      const all = yield* over({ directory: path })(load())
      assert.include(bodies, Option.getOrThrow(all).body)
    }))

  it.live("[S1-35] fails within the limit, also at start, if the file system never responds", () =>
    Effect.gen(function*() {
      const hung = () => ({
        open: () => Effect.uninterruptible(Effect.never),
        stream: () => Stream.never,
        lstat: () => Effect.uninterruptible(Effect.never),
        readDirectory: () => Effect.uninterruptible(Effect.never)
      })
      const call = over({ directory: yield* directory, timeout: "20 millis" }, hung)
      for (const one of [save(snapshot), load()]) {
        const error = yield* Effect.flip(call(one))
        assert(error._tag === "SnapshotUnavailable")
        assert.strictEqual(error.reason, "timeout")
      }
    }))

  it.effect("[K-06] reads no more of a file than it may use", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now)
      const path = yield* directory
      yield* over({ directory: path })(save(snapshot))
      for (const name of readdirSync(path)) writeFileSync(join(path, name), "x".repeat(1_000_000))
      let bytes = 0
      const counted = (real: FileSystem.FileSystem) => ({
        stream: (...args: Parameters<typeof real.stream>) =>
          Stream.tap(real.stream(...args), (chunk) => Effect.sync(() => bytes += chunk.length))
      })
      assert.strictEqual(yield* over({ directory: path }, counted)(refusal()), "tooLarge")
      assert.isBelow(bytes, 100_000)
    }))

  it.live("[R18] [S1-35] refuses a named pipe or a directory in a file's place without opening it", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const timeout = "10 seconds"
      yield* over({ directory: path, timeout })(save(snapshot))
      const [name = ""] = readdirSync(path)
      const opened: Array<string> = []
      const watched = (real: FileSystem.FileSystem) => ({
        // A real pipe would hold a thread of this process for ever.
        stream: (...args: Parameters<typeof real.stream>) => {
          opened.push(args[0])
          return Stream.fail(full)
        }
      })
      const places = [() => execFileSync("mkfifo", [join(path, name)]), () => mkdirSync(join(path, name))]
      for (const place of places) {
        rmSync(join(path, name), { recursive: true })
        place()
        const error = yield* Effect.flip(over({ directory: path, timeout }, watched)(load()))
        assert(error._tag === "SnapshotUnavailable")
        assert.deepStrictEqual([error.reason, opened], ["BadResource", []])
      }
    }))

  it.effect("[R18] believes unsigned files without a key only, and signed ones also after the key is gone", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now)
      const path = yield* directory
      yield* over({ directory: path })(save(snapshot))
      assert.strictEqual(yield* over({ directory: path, key })(refusal()), "unsigned")
      yield* over({ directory: path, key })(save(snapshot))
      assert.strictEqual(yield* over({ directory: path })(refusal()), "given")
      const [name = ""] = readdirSync(path)
      const text = readFileSync(join(path, name), "utf8")
      writeFileSync(join(path, name), text.slice(0, -1))
      assert.strictEqual(yield* over({ directory: path })(refusal()), "malformed")
      assert.strictEqual(yield* over({ directory: path, key })(refusal()), "tampered")
    }))
})
