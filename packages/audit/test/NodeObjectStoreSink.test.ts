import { assert, describe, it } from "@effect/vitest"
import { AuditError, type AuditOptions, ObjectStore } from "@keelson/audit"
import * as NodeObjectStoreSink from "@keelson/audit/NodeObjectStoreSink"
import { eventually } from "@keelson/testing/eventually"
import { recording } from "@keelson/testing/observe"
import { scriptedS3 } from "@keelson/testing/scriptedS3"
import { Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { setTimeout } from "node:timers/promises"
import { bucket, objectStore } from "./objectStore.ts"
import { failedAt, namesOf, range, record, records, sequencesIn, temporaryDirectory } from "./sinkSupport.ts"

/** How often a process is killed. 50 were run when this was written. */
const kills = Number(process.env["KEELSON_CRASHES"] ?? 6)

/** A store in memory, with a failure for each put while `isDown`. */
const memoryStore = () => {
  const puts: Array<{ readonly key: string; readonly text: string; readonly contentType: string }> = []
  const state = { isDown: false, attempts: 0, hang: undefined as Effect.Effect<void> | undefined }
  const service: ObjectStore.ObjectStore["Service"] = {
    put: ({ body, contentType, key }) =>
      Effect.suspend(() => {
        state.attempts++
        if (state.hang !== undefined) return state.hang
        if (state.isDown) return Effect.fail(new AuditError.AuditError({ _tag: "ObjectStore", operation: "put" }))
        puts.push({ key, text: new TextDecoder().decode(body), contentType })
        return Effect.void
      })
  }
  return { puts, state, service, sequences: () => puts.map(({ text }) => sequencesIn(text.split("\n").slice(0, -1))) }
}

/** A sink over a store in memory, in a scope of its own. */
const setUp = Effect.fnUntraced(function*(options: Partial<AuditOptions.BatchOptions> = {}) {
  const spoolDir = options.spoolDir ?? join(yield* temporaryDirectory, "spool")
  const store = memoryStore()
  const scope = yield* Scope.make()
  const sink = yield* NodeObjectStoreSink.make({ spoolDir, interval: "5 minutes", ...options }).pipe(
    Effect.provideService(ObjectStore.ObjectStore, store.service),
    Scope.provide(scope)
  )
  yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
  return { spoolDir, store, sink, close: Scope.close(scope, Exit.void) }
})

/** Moves the clock until a condition holds: the file system is not on it. */
const adjustUntil = (holds: () => boolean) =>
  Effect.repeat(
    Effect.andThen(TestClock.adjust("1 second"), Effect.promise(() => setTimeout(1))),
    { until: holds }
  )

describe("NodeObjectStoreSink", () => {
  describe("batches", () => {
    it.effect("[S4-40] [S4-44] stores a batch after each interval, named by the time of its first entry", () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(Date.parse("2026-11-30T21:05:59.123Z"))
        const { sink, spoolDir, store } = yield* setUp({ prefix: "audit/" })
        yield* sink.write(records(1, 2))
        yield* TestClock.adjust("1 minute")
        yield* sink.write(records(3, 1))
        yield* sink.flush
        yield* TestClock.adjust("239 seconds")
        assert.lengthOf(store.puts, 0)
        assert.lengthOf(namesOf(spoolDir), 1)
        yield* TestClock.adjust("1 second")
        yield* eventually(() => namesOf(spoolDir).length === 0)
        assert.deepStrictEqual(store.sequences(), [[1, 2, 3]])
        assert.match(store.puts[0]!.key, /^audit\/keelson-audit-2026-11-30-21-05-59-[0-9a-f]{8}\.jsonl$/)
        assert.strictEqual(store.puts[0]!.contentType, "application/x-ndjson")
        // Nothing is stored where nothing was written.
        yield* TestClock.adjust("1 hour")
        assert.lengthOf(store.puts, 1)
        assert.strictEqual(sink.name, "s3")
      }))

    it.effect("[S4-44] stores a batch that is full at once; batches of one second have different names and all entries", () =>
      Effect.gen(function*() {
        const { sink, spoolDir, store } = yield* setUp({ maxBatchSize: "64 KiB" })
        yield* sink.write(records(0, 200, { text: "x".repeat(1000) }))
        yield* eventually(() => store.puts.length === 3 && namesOf(spoolDir).length === 1)
        assert.deepStrictEqual(store.sequences().flat(), range(0, store.sequences().flat().length))
        assert.isTrue(store.puts.every(({ text }) => text.length <= 65_536 && text.endsWith("\n")))
        assert.strictEqual(new Set(store.puts.map(({ key }) => key)).size, 3)
        assert.strictEqual(new Set(store.puts.map(({ key }) => key.slice(0, -14))).size, 1)
      }))

    it.effect("[S4-44] [R37] files are readable by this user alone, and foreign files and links are left alone", () =>
      Effect.gen(function*() {
        const { sink, spoolDir } = yield* setUp()
        yield* sink.write([record(1)])
        assert.strictEqual(statSync(spoolDir).mode & 0o777, 0o700)
        assert.strictEqual(statSync(join(spoolDir, namesOf(spoolDir)[0]!)).mode & 0o777, 0o600)
        const other = join(yield* temporaryDirectory, "spool")
        mkdirSync(other)
        writeFileSync(join(other, "notes.jsonl"), "{}\n")
        symlinkSync(join(other, "notes.jsonl"), join(other, "keelson-audit-2026-11-30-21-05-59-00000000.jsonl"))
        const { close, store } = yield* setUp({ spoolDir: other })
        yield* close
        assert.lengthOf(store.puts, 0)
        assert.lengthOf(namesOf(other), 2)
      }))

    it.effect("[S4-44] stores what it has when its scope closes", () =>
      Effect.gen(function*() {
        const { close, sink, spoolDir, store } = yield* setUp()
        yield* sink.write(records(1, 3))
        yield* close
        assert.deepStrictEqual(store.sequences(), [[1, 2, 3]])
        assert.lengthOf(namesOf(spoolDir), 0)
      }))
  })

  describe("a store that is down", () => {
    it.effect("[S4-44] keeps batches on disk with one warning, tries again with growing delays, and stores all in order", () =>
      Effect.gen(function*() {
        const { lines, record: recorded } = recording()
        yield* recorded(Effect.gen(function*() {
          const { sink, spoolDir, store } = yield* setUp()
          store.state.isDown = true
          for (const batch of range(0, 3)) {
            yield* sink.write(records(batch * 10, 10))
            yield* TestClock.adjust("5 minutes")
          }
          yield* adjustUntil(() => store.state.attempts > 6)
          assert.isAtMost(store.state.attempts, 200)
          assert.strictEqual(lines.filter((line) => line.includes("cannot be stored")).length, 1)
          store.state.isDown = false
          yield* adjustUntil(() => namesOf(spoolDir).length === 0)
          assert.deepStrictEqual(store.sequences().flat(), range(0, 30))
          assert.strictEqual(lines.filter((line) => line.includes("stored again")).length, 1)
        }))
      }))

    it.effect("[S4-44] writes do not wait for a store that hangs, and it counts as failed after its timeout", () =>
      Effect.gen(function*() {
        const { sink, spoolDir, store } = yield* setUp({ timeout: "10 seconds" })
        store.state.hang = Effect.never
        yield* sink.write([record(1)])
        yield* TestClock.adjust("5 minutes")
        yield* eventually(() => store.state.attempts === 1)
        yield* sink.write([record(2)])
        yield* adjustUntil(() => store.state.attempts > 1)
        store.state.hang = undefined
        yield* adjustUntil(() => store.puts.length >= 1)
        yield* TestClock.adjust("5 minutes")
        yield* eventually(() => namesOf(spoolDir).length === 0)
        assert.deepStrictEqual(store.sequences(), [[1], [2]])
      }))

    it.effect("[S4-44] [R38] fails with AUDIT_STORE_FAILED at the bound of the spool, until the store takes batches again", () =>
      Effect.gen(function*() {
        const { sink, spoolDir, store } = yield* setUp({ maxSpoolSize: "1 MiB", maxBatchSize: "256 KiB" })
        store.state.isDown = true
        const text = "x".repeat(100_000)
        const written: Array<number> = []
        let failed = 0
        for (const sequence of range(0, 12)) {
          const failure = yield* failedAt(sink.write([record(sequence, { text })]))
          if (failure === "none") written.push(sequence)
          else {
            assert.strictEqual(failure, "ObjectStore spool full")
            failed++
          }
        }
        assert.deepStrictEqual([written.length, failed], [10, 2])
        assert.isAtMost(
          namesOf(spoolDir).reduce((sum, name) => sum + statSync(join(spoolDir, name)).size, 0),
          1_048_576
        )
        store.state.isDown = false
        yield* adjustUntil(() => store.puts.length >= 4)
        yield* sink.write([record(12, { text })])
        yield* adjustUntil(() => namesOf(spoolDir).length === 0)
        assert.deepStrictEqual(store.sequences().flat(), [...written, 12])
      }))

    it.effect("[S4-44] closes within 5 seconds of its clock, and the next start stores what is left", () =>
      Effect.gen(function*() {
        const { close, sink, spoolDir, store } = yield* setUp()
        store.state.hang = Effect.never
        yield* sink.write(records(1, 3))
        const closing = yield* Effect.forkChild(close, { startImmediately: true })
        yield* eventually(() => store.state.attempts === 1)
        yield* TestClock.adjust("4999 millis")
        assert.isUndefined(closing.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        yield* Fiber.join(closing)
        assert.lengthOf(namesOf(spoolDir), 1)
        const next = yield* setUp({ spoolDir })
        yield* eventually(() => namesOf(spoolDir).length === 0)
        assert.deepStrictEqual(next.store.sequences(), [[1, 2, 3]])
      }))
  })

  describe("what is found at start", () => {
    it.effect("[S4-44] [R38] stores batches of an earlier run, oldest first, without a half line at their end", () =>
      Effect.gen(function*() {
        const spoolDir = yield* temporaryDirectory
        const file = (time: string, text: string) =>
          writeFileSync(join(spoolDir, `keelson-audit-2026-11-30-21-05-${time}-00000000.jsonl`), text)
        file("02", "{\"sequence\":3}\n{\"seq")
        file("01", "{\"sequence\":1}\n{\"sequence\":2}\n")
        file("03", "{\"sequence\":4}")
        file("04", "")
        file("05", "{\"se")
        const { store } = yield* setUp({ spoolDir })
        yield* eventually(() => namesOf(spoolDir).length === 0)
        assert.deepStrictEqual(store.sequences(), [[1, 2], [3], [4]])
      }))

    it.effect("[S4-44] a batch that cannot be read is left on disk, and holds up no other one", () =>
      Effect.gen(function*() {
        const { lines, record: recorded } = recording()
        const spoolDir = yield* temporaryDirectory
        const { close, sink, store } = yield* recorded(setUp({ spoolDir, maxBatchSize: "64 KiB" }))
        store.state.isDown = true
        yield* sink.write(records(0, 200, { text: "x".repeat(1000) }))
        yield* eventually(() => store.state.attempts > 0)
        const sizes = namesOf(spoolDir).length
        // Not the oldest, which has been read.
        const second = namesOf(spoolDir).find((name) => readFileSync(join(spoolDir, name), "utf8").includes(":70,"))!
        rmSync(join(spoolDir, second))
        mkdirSync(join(spoolDir, second))
        store.state.isDown = false
        yield* adjustUntil(() => namesOf(spoolDir).length <= 2)
        yield* recorded(close)
        assert.deepStrictEqual(namesOf(spoolDir), [second])
        assert.lengthOf(store.puts, sizes - 1)
        assert.lengthOf(lines.filter((line) => line.includes("cannot be read")), 1)
      }))

    it.effect("[R37] refuses a directory that is a link or a file, and options out of their bounds", () =>
      Effect.gen(function*() {
        const dir = yield* temporaryDirectory
        writeFileSync(join(dir, "file"), "")
        mkdirSync(join(dir, "target"))
        symlinkSync(join(dir, "target"), join(dir, "link"))
        for (const name of ["file", "link", "file/below"]) {
          const error = yield* Effect.flip(setUp({ spoolDir: join(dir, name) }))
          assert.deepStrictEqual([error.code, error.details["path"]], ["INVALID_CONFIG", "spoolDir"])
        }
        const bad = yield* Effect.flip(setUp({ interval: "10 millis" }))
        assert.strictEqual(bad.details["path"], "interval")
      }))
  })

  describe("scripted S3", () => {
    it.live("[S4-44] stores batches over faults of the store, each once under its key", () =>
      Effect.gen(function*() {
        const s3 = yield* scriptedS3({ buckets: [bucket], signatures: false })
        const spoolDir = yield* temporaryDirectory
        s3.fault(bucket, { status: 503, times: 2 })
        yield* Effect.scoped(
          NodeObjectStoreSink.make({ spoolDir, maxBatchSize: "64 KiB" }).pipe(
            Effect.flatMap((sink) => sink.write(records(0, 500, { text: "x".repeat(500) }))),
            Effect.provideService(ObjectStore.ObjectStore, objectStore(s3.url))
          )
        )
        assert.lengthOf(namesOf(spoolDir), 0)
        const stored = s3.requests.filter((request) => request.status() === 200)
        const keys = stored.map(({ url }) => url.slice(`/${bucket}/`.length))
        assert.strictEqual(new Set(keys).size, keys.length)
        const lines = keys.flatMap((key) => Buffer.from(s3.get(bucket, key)!.body!).toString().split("\n").slice(0, -1))
        assert.deepStrictEqual(sequencesIn(lines), range(0, 500))
        assert.strictEqual(s3.requests.filter((request) => request.status() === 503).length, 2)
      }))

    it.live(
      "[S4-44] [R38] after kill -9 at any point, with faults of the store, the next run stores every entry whose write returned",
      () =>
        Effect.gen(function*() {
          const s3 = yield* scriptedS3({ buckets: [bucket], signatures: false })
          const spoolDir = yield* temporaryDirectory
          const expected: Array<number> = []
          for (let run = 0; run < kills; run++) {
            s3.fault(bucket, run % 3 === 0 ? undefined : { reset: true, every: 2 })
            const first = run * 1_000_000
            const last = yield* Effect.promise(() => killed(s3.url, spoolDir, first, run))
            expected.push(...range(first, last - first + 1))
          }
          s3.fault(bucket, undefined)
          yield* Effect.scoped(
            NodeObjectStoreSink.make({ spoolDir }).pipe(
              Effect.flatMap(() => eventually(() => namesOf(spoolDir).length === 0)),
              Effect.provideService(ObjectStore.ObjectStore, objectStore(s3.url))
            )
          )
          const keys = new Set(s3.requests.map(({ url }) => url.slice(`/${bucket}/`.length)))
          const found = [...keys].flatMap((key) => {
            const object = s3.get(bucket, key)
            return object === undefined
              ? []
              : sequencesIn(Buffer.from(object.body!).toString().split("\n").slice(0, -1))
          })
          assert.isFalse(found.includes(undefined))
          // No entry is in two objects.
          assert.strictEqual(new Set(found).size, found.length)
          const stored = new Set(found)
          assert.deepStrictEqual(expected.filter((sequence) => !stored.has(sequence)), [])
          assert.isAtLeast(expected.length, kills)
        }),
      Math.max(600_000, kills * 60_000)
    )
  })
})

/** Runs a writer, and kills it at some moment. Returns the number of the last entry whose write returned. */
const killed = async (url: string, spoolDir: string, first: number, run: number): Promise<number> => {
  const child = spawn(process.execPath, [join(import.meta.dirname, "spoolProcess.ts"), url, spoolDir, String(first)], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  const reported: Array<number> = []
  const lines = createInterface(child.stdout).on("line", (line) => reported.push(Number(line)))
  // oxlint-disable-next-line no-await-in-loop -- one line after the other
  while (reported.length <= (run * 37) % 100) await once(lines, "line")
  await setTimeout(run % 4)
  child.kill("SIGKILL")
  await Promise.all([once(child, "close"), once(lines, "close")])
  return reported.at(-1)!
}
