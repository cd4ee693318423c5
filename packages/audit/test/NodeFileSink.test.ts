import { assert, describe, it } from "@effect/vitest"
import * as NodeFileSink from "@keelson/audit/NodeFileSink"
import { eventually } from "@keelson/testing/eventually"
import { Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs"
import { open } from "node:fs/promises"
import { join } from "node:path"
import {
  linesOf,
  namesOf,
  range,
  record,
  records,
  sequencesIn,
  sequencesOf,
  temporaryDirectory
} from "./sinkSupport.ts"

const modeOf = (path: string): number => statSync(path).mode & 0o777

/** A line of 1,000 bytes with its end. */
const kilobyte = (sequence: number) => {
  const { line } = record(sequence, { text: "" })
  return record(sequence, { text: "x".repeat(999 - line.length) })
}

/** Counts the syncs of all files from now on. */
const countSyncs = Effect.map(
  Effect.acquireRelease(
    Effect.promise(async () => {
      const handle = await open("/dev/null")
      const prototype: { datasync: () => Promise<void> } = Object.getPrototypeOf(handle)
      await handle.close()
      const { datasync } = prototype
      const counter = { count: 0, restore: () => Object.assign(prototype, { datasync }) }
      prototype.datasync = function() {
        counter.count++
        return datasync.call(this)
      }
      return counter
    }),
    ({ restore }) => Effect.sync(restore)
  ),
  (counter) => () => counter.count
)

const at = (iso: string) => TestClock.setTime(Date.parse(iso))

describe("NodeFileSink", () => {
  describe("write", () => {
    it.effect("[S4-43] [R37] appends a line for each entry to a file that only this user can read", () =>
      Effect.gen(function*() {
        const dir = join(yield* temporaryDirectory, "a", "b")
        const path = join(dir, "audit.jsonl")
        const sink = yield* NodeFileSink.make({ path })
        yield* sink.write([record(1), record(2)])
        yield* sink.write([])
        yield* sink.write([record(3)])
        assert.strictEqual(readFileSync(path, "utf8"), "{\"sequence\":1}\n{\"sequence\":2}\n{\"sequence\":3}\n")
        assert.strictEqual(sink.name, "file")
        assert.deepStrictEqual([modeOf(dir), modeOf(path)], [0o700, 0o600])
      }))

    it.effect("[S4-43] keeps the modes of a directory and a file that exist, and what is in the file", () =>
      Effect.gen(function*() {
        const dir = join(yield* temporaryDirectory, "a")
        mkdirSync(dir, { mode: 0o755 })
        const path = join(dir, "audit.jsonl")
        writeFileSync(path, "{\"sequence\":0}\n", { mode: 0o640 })
        const sink = yield* NodeFileSink.make({ path })
        yield* sink.write([record(1)])
        assert.deepStrictEqual([modeOf(dir), modeOf(path)], [0o755, 0o640])
        assert.deepStrictEqual(sequencesOf(dir), [0, 1])
      }))

    it.effect("[S4-43] [R38] one entry is one line, whatever it holds", () =>
      Effect.gen(function*() {
        const dir = yield* temporaryDirectory
        const sink = yield* NodeFileSink.make({ path: join(dir, "audit.jsonl") })
        const breaks = ["\n", "\r", "\r\n", "\u0000", "\u001b[2K", "\u0085", "\u2028", "\u2029", "\u007f", "\v", "\f"]
        const forged = breaks.map((text, sequence) => ({
          ...record(sequence),
          line: `{"sequence":${sequence},"key":"a${text}{\\"sequence\\":9}"}`
        }))
        yield* sink.write(forged)
        const text = readFileSync(join(dir, "audit.jsonl"), "utf8")
        // oxlint-disable-next-line no-control-regex -- everything that a reader might take for a line break
        assert.lengthOf(text.split(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/), breaks.length + 1)
        assert.deepStrictEqual(sequencesOf(dir), range(0, breaks.length))
        assert.strictEqual(JSON.parse(linesOf(join(dir, "audit.jsonl"))[6]!).key, "a\u2028{\"sequence\":9}")
      }))

    it.effect("[S4-43] ends a line that a killed process left half, before the next entry", () =>
      Effect.gen(function*() {
        const dir = yield* temporaryDirectory
        const path = join(dir, "audit.jsonl")
        writeFileSync(path, "{\"sequence\":1}\n{\"sequ")
        const sink = yield* NodeFileSink.make({ path })
        yield* sink.write([record(2)])
        assert.deepStrictEqual(linesOf(path), ["{\"sequence\":1}", "{\"sequ", "{\"sequence\":2}"])
      }))

    it.effect("[S4-43] [R38] opens the file again when another program moved, removed or emptied it", () =>
      Effect.gen(function*() {
        const dir = join(yield* temporaryDirectory, "a")
        const path = join(dir, "audit.jsonl")
        const sink = yield* NodeFileSink.make({ path })
        yield* sink.write(records(1, 2))
        renameSync(path, `${path}.1`)
        yield* sink.write([record(3)])
        assert.deepStrictEqual([linesOf(`${path}.1`).length, linesOf(path).length], [2, 1])
        // A file of the same name that is another one, as logrotate makes it with `create`.
        renameSync(path, `${path}.2`)
        writeFileSync(path, "")
        yield* sink.write([record(4)])
        assert.deepStrictEqual(sequencesIn(linesOf(path)), [4])
        truncateSync(path)
        yield* sink.write([record(5)])
        assert.deepStrictEqual(sequencesIn(linesOf(path)), [5])
        rmSync(path)
        yield* sink.write([record(6)])
        rmSync(dir, { recursive: true })
        yield* sink.write([record(7)])
        assert.deepStrictEqual(sequencesOf(dir), [7])
        assert.deepStrictEqual([modeOf(dir), modeOf(path)], [0o700, 0o600])
      }))

    it.live("[S4-43] two calls at once, and an interrupted one, leave whole lines in order", () =>
      Effect.gen(function*() {
        const dir = yield* temporaryDirectory
        const sink = yield* NodeFileSink.make({ path: join(dir, "audit.jsonl"), maxSize: "64 KiB", keep: 1000 })
        const fibers: Array<Fiber.Fiber<void, unknown>> = []
        for (let batch = 0; batch < 50; batch++) {
          const fiber = yield* Effect.forkChild(sink.write(records(batch * 100, 100)), { startImmediately: true })
          fibers.push(fiber)
          if (batch % 3 === 0) yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
        }
        const exits = yield* Effect.forEach(fibers, (fiber) => Fiber.await(fiber))
        // A call whose turn had not come when it was interrupted wrote nothing; any other one wrote all of it.
        const found = sequencesOf(dir)
        const expected = range(0, 50).filter((batch) => found.includes(batch * 100))
        assert.deepStrictEqual(found, expected.flatMap((batch) => range(batch * 100, 100)))
        const succeeded = range(0, 50).filter((batch) => Exit.isSuccess(exits[batch]!))
        assert.isTrue(succeeded.every((batch) => expected.includes(batch)))
        assert.isAtLeast(succeeded.length, 33)
      }))
  })

  describe("flush", () => {
    it.effect("[S4-43] syncs what was written at once, and then once a second", () =>
      Effect.gen(function*() {
        const dir = yield* temporaryDirectory
        const sink = yield* NodeFileSink.make({ path: join(dir, "audit.jsonl") })
        const syncs = yield* countSyncs
        yield* sink.flush
        assert.strictEqual(syncs(), 0)
        for (let second = 0; second < 3; second++) {
          yield* Effect.forEach(range(0, 5), (sequence) => Effect.andThen(sink.write([record(sequence)]), sink.flush))
          assert.strictEqual(syncs(), 2 * second + 1)
          yield* TestClock.adjust("999 millis")
          assert.strictEqual(syncs(), 2 * second + 1)
          yield* TestClock.adjust("1 millis")
          // The file system is not on the clock of the test.
          yield* eventually(() => syncs() === 2 * second + 2)
          yield* TestClock.adjust("1 second")
        }
      }))
  })

  describe("rotation", () => {
    it.effect("[S4-40] [S4-43] rotates by size, and never splits an entry over two files", () =>
      Effect.gen(function*() {
        yield* at("2026-11-30T21:05:59.123Z")
        const dir = yield* temporaryDirectory
        const path = join(dir, "audit.jsonl")
        const sink = yield* NodeFileSink.make({ path, maxSize: "64 KiB", keep: 10 })
        yield* sink.write(range(0, 200).map(kilobyte))
        yield* sink.write(range(200, 2).map(kilobyte))
        assert.deepStrictEqual(namesOf(dir), [
          "audit-2026-11-30-21-05-59-123-0000.jsonl",
          "audit-2026-11-30-21-05-59-123-0001.jsonl",
          "audit-2026-11-30-21-05-59-123-0002.jsonl",
          "audit.jsonl"
        ])
        assert.deepStrictEqual(namesOf(dir).map((name) => statSync(join(dir, name)).size), [
          65_000,
          65_000,
          65_000,
          7000
        ])
        assert.deepStrictEqual(sequencesOf(dir), range(0, 202))
        assert.isTrue(namesOf(dir).every((name) => modeOf(join(dir, name)) === 0o600))
      }))

    it.effect("[S4-43] a file may have exactly its largest size, and an entry above it has a file for itself", () =>
      Effect.gen(function*() {
        const dir = yield* temporaryDirectory
        const sink = yield* NodeFileSink.make({ path: join(dir, "audit.jsonl"), maxSize: 65_536, keep: 10 })
        const large = record(2, { text: "x".repeat(100_000) })
        const last = record(1, { text: "" }).line.length + 1
        yield* sink.write([...range(100, 65).map(kilobyte), record(1, { text: "x".repeat(536 - last) })])
        assert.deepStrictEqual(namesOf(dir), ["audit.jsonl"])
        assert.strictEqual(statSync(join(dir, "audit.jsonl")).size, 65_536)
        yield* sink.write([large, record(3)])
        assert.deepStrictEqual(namesOf(dir).map((name) => linesOf(join(dir, name)).length), [66, 1, 1])
      }))

    it.effect("[S4-40] [S4-43] keeps the newest files, removes the oldest, and leaves others alone", () =>
      Effect.gen(function*() {
        yield* at("2026-11-30T21:05:59.123Z")
        const dir = yield* temporaryDirectory
        const foreign = [
          "audit-2020-01-01.jsonl",
          "audit-notes.jsonl",
          "other.jsonl",
          "audit-2020-01-01-00-00-00-000-0000.txt"
        ]
        for (const name of foreign) writeFileSync(join(dir, name), "")
        writeFileSync(join(dir, "audit-2020-01-01-00-00-00-000-0000.jsonl"), "")
        const options = { path: join(dir, "audit.jsonl"), maxSize: "64 KiB", keep: 2 } as const
        const sink = yield* NodeFileSink.make(options)
        yield* sink.write(range(0, 500).map(kilobyte))
        assert.deepStrictEqual(
          namesOf(dir),
          [
            "audit-2026-11-30-21-05-59-123-0005.jsonl",
            "audit-2026-11-30-21-05-59-123-0006.jsonl",
            "audit.jsonl",
            ...foreign
          ]
            .toSorted()
        )
        assert.deepStrictEqual(sequencesOf(dir).filter(Number.isInteger), range(325, 175))
        // A smaller number takes effect at the next start.
        yield* NodeFileSink.make({ ...options, keep: 1 })
        assert.isFalse(existsSync(join(dir, "audit-2026-11-30-21-05-59-123-0005.jsonl")))
      }))

    it.effect("[S4-43] names sort by age when the clock is set back, and over restarts", () =>
      Effect.gen(function*() {
        const dir = yield* temporaryDirectory
        const write = (from: number) =>
          Effect.scoped(Effect.flatMap(
            NodeFileSink.make({ path: join(dir, "audit.jsonl"), maxSize: "64 KiB", keep: 10 }),
            (sink) => sink.write(range(from, 66).map(kilobyte))
          ))
        yield* at("2026-11-30T21:05:59.123Z")
        yield* write(0)
        yield* at("2026-11-30T20:00:00Z")
        yield* write(66)
        yield* at("2026-11-30T22:00:00Z")
        yield* write(132)
        assert.deepStrictEqual(namesOf(dir).slice(0, 3), [
          "audit-2026-11-30-21-05-59-123-0000.jsonl",
          "audit-2026-11-30-21-05-59-123-0001.jsonl",
          "audit-2026-11-30-22-00-00-000-0000.jsonl"
        ])
        assert.deepStrictEqual(sequencesOf(dir), range(0, 198))
      }))

    it.effect("[S4-43] the number after a time goes on with the next millisecond", () =>
      Effect.gen(function*() {
        yield* at("2026-11-30T21:05:59.999Z")
        const dir = yield* temporaryDirectory
        writeFileSync(join(dir, "audit-2026-11-30-21-05-59-999-9999.jsonl"), "")
        const sink = yield* NodeFileSink.make({ path: join(dir, "audit.jsonl"), maxSize: "64 KiB" })
        yield* sink.write(range(0, 66).map(kilobyte))
        assert.include(namesOf(dir), "audit-2026-11-30-21-06-00-000-0000.jsonl")
      }))

    it.effect("[S4-40] [S4-43] rotates daily at the first entry after midnight (UTC), and after a restart", () =>
      Effect.gen(function*() {
        const dir = yield* temporaryDirectory
        const path = join(dir, "audit.jsonl")
        yield* at("2126-11-30T23:59:59.900Z")
        const scope = yield* Scope.make()
        const sink = yield* Scope.provide(NodeFileSink.make({ path, rotation: "daily" }), scope)
        yield* sink.write([record(1)])
        yield* TestClock.adjust("99 millis")
        yield* sink.write([record(2)])
        assert.deepStrictEqual(namesOf(dir), ["audit.jsonl"])
        yield* TestClock.adjust("1 millis")
        yield* sink.write([record(3)])
        assert.deepStrictEqual(namesOf(dir), ["audit-2126-12-01-00-00-00-000-0000.jsonl", "audit.jsonl"])
        assert.deepStrictEqual(sequencesIn(linesOf(path)), [3])
        yield* TestClock.adjust("3 days")
        yield* sink.write([record(4)])
        assert.deepStrictEqual(namesOf(dir).slice(1), ["audit-2126-12-04-00-00-00-000-0000.jsonl", "audit.jsonl"])
        yield* Scope.close(scope, Exit.void)
        // The file system has another clock than the test: the file counts as one of an earlier day.
        yield* TestClock.adjust("1 day")
        const next = yield* NodeFileSink.make({ path, rotation: "daily" })
        yield* next.write([record(5)])
        assert.deepStrictEqual(sequencesIn(linesOf(path)), [5])
        assert.deepStrictEqual(sequencesOf(dir), [1, 2, 3, 4, 5])
      }))

    it.effect("[S4-40] does not rotate at midnight without `daily`", () =>
      Effect.gen(function*() {
        const dir = yield* temporaryDirectory
        yield* at("2126-11-30T23:59:59.900Z")
        const sink = yield* NodeFileSink.make({ path: join(dir, "audit.jsonl") })
        yield* sink.write([record(1)])
        yield* TestClock.adjust("2 days")
        yield* sink.write([record(2)])
        yield* sink.flush
        assert.deepStrictEqual(namesOf(dir), ["audit.jsonl"])
      }))
  })
})
