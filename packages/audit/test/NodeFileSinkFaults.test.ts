import { assert, describe, it } from "@effect/vitest"
import * as NodeFileSink from "@keelson/audit/NodeFileSink"
import { recording } from "@keelson/testing/observe"
import { Effect } from "effect"
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { setTimeout } from "node:timers/promises"
import { inspect } from "node:util"
import {
  failedAt,
  linesOf,
  namesOf,
  range,
  record,
  records,
  sequencesIn,
  sequencesOf,
  temporaryDirectory
} from "./sinkSupport.ts"

const script = (name: string): string => join(import.meta.dirname, name)

/** How often a writer is killed. 50 were run when this was written; starting a process takes a second, or four on a busy machine. */
const kills = Number(process.env["KEELSON_CRASHES"] ?? 8)

/** Writes with a process, and kills it at some moment. Returns the number of the last entry whose write returned. */
const killed = async (path: string, run: number): Promise<number> => {
  const child = spawn(process.execPath, [script("fileProcess.ts"), path, String(run * 1_000_000)], {
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

describe("NodeFileSink", () => {
  describe("files that it cannot write", () => {
    it.effect("[R37] refuses links, pipes and directories, and a name that is too long", () =>
      Effect.gen(function*() {
        const dir = yield* temporaryDirectory
        const path = (name: string) => join(dir, name)
        mkdirSync(path("target"))
        writeFileSync(path("target.jsonl"), "")
        symlinkSync(path("target.jsonl"), path("link.jsonl"))
        symlinkSync(path("nowhere"), path("dangling.jsonl"))
        symlinkSync(path("target"), path("linked"))
        spawnSync("mkfifo", [path("pipe")])
        const refused = [
          "link.jsonl",
          "dangling.jsonl",
          "linked/audit.jsonl",
          "pipe",
          "target",
          "target.jsonl/a",
          "x".repeat(300)
        ]
        for (const name of refused) {
          const error = yield* Effect.flip(NodeFileSink.make({ path: path(name) }))
          assert.strictEqual(error.code, "INVALID_CONFIG", name)
          assert.strictEqual(error.details["path"], "path")
        }
        assert.strictEqual(readFileSync(path("target.jsonl"), "utf8"), "")
        assert.notInclude(readdirSync(dir), "nowhere")
        assert.isEmpty(readdirSync(path("target")))
      }))

    it.effect("[S4-40] refuses options out of their bounds, and names them", () =>
      Effect.gen(function*() {
        const bad = [{ maxSize: "1 KiB" }, { keep: 0 }, { keep: 1.5 }] as const
        for (const options of bad) {
          const error = yield* Effect.flip(NodeFileSink.make({ path: "audit.jsonl", ...options }))
          assert.deepStrictEqual(error.details["path"], Object.keys(options)[0])
        }
      }))

    it.effect("[R37] a link in place of the file while it runs is refused, and what it points to stays as it is", () =>
      Effect.gen(function*() {
        const dir = yield* temporaryDirectory
        const path = join(dir, "audit.jsonl")
        const sink = yield* NodeFileSink.make({ path })
        rmSync(path)
        writeFileSync(join(dir, "passwd"), "root")
        symlinkSync(join(dir, "passwd"), path)
        assert.strictEqual(yield* failedAt(sink.write([record(1)])), "File open")
        assert.strictEqual(readFileSync(join(dir, "passwd"), "utf8"), "root")
        rmSync(path)
        yield* sink.write([record(1)])
        assert.deepStrictEqual(sequencesIn(linesOf(path)), [1])
      }))

    it.effect("[S4-43] fails with AUDIT_FILE_FAILED while the directory cannot be used, and writes the entries later", () =>
      Effect.gen(function*() {
        const dir = join(yield* temporaryDirectory, "a")
        const sink = yield* NodeFileSink.make({ path: join(dir, "audit.jsonl") })
        const entries = records(1, 3, { secret: "hunter2" })
        yield* sink.write(entries)
        rmSync(dir, { recursive: true })
        writeFileSync(dir, "")
        const error = yield* Effect.flip(sink.write(records(4, 3, { secret: "hunter2" })))
        assert.strictEqual(error.code, "AUDIT_FILE_FAILED")
        assert.deepStrictEqual(error.reason, { _tag: "File", operation: "open" })
        assert.notInclude(inspect(error, { depth: 20 }), "hunter2")
        rmSync(dir)
        yield* sink.write(records(4, 3))
        assert.deepStrictEqual(sequencesOf(dir), [4, 5, 6])
      }))

    it.effect("[S4-43] writes to a file that cannot be rotated beyond its size, and warns once", () =>
      Effect.gen(function*() {
        const { lines, record: recorded } = recording()
        const dir = yield* temporaryDirectory
        // With a time in it, the name is longer than file systems take.
        const path = join(dir, `${"a".repeat(240)}.jsonl`)
        const sink = yield* NodeFileSink.make({ path, maxSize: "64 KiB" })
        for (let batch = 0; batch < 3; batch++) {
          yield* recorded(sink.write(records(batch * 100, 100, { text: "x".repeat(1000) })))
        }
        assert.deepStrictEqual(namesOf(dir).length, 1)
        assert.deepStrictEqual(sequencesIn(linesOf(path)), range(0, 300))
        assert.lengthOf(lines, 1)
        assert.include(lines[0], "\"operation\":\"rename\"")
      }))

    it.effect("[S4-43] goes on when an old file cannot be removed, and warns again after it could", () =>
      Effect.gen(function*() {
        const { lines, record: recorded } = recording()
        const dir = yield* temporaryDirectory
        const sink = yield* NodeFileSink.make({ path: join(dir, "audit.jsonl"), maxSize: "64 KiB", keep: 1 })
        const old = join(dir, "audit-1960-01-01-00-00-00-000-0000.jsonl")
        const write = (from: number) => recorded(sink.write(records(from, 100, { text: "x".repeat(1000) })))
        // A directory is no file that can be removed.
        mkdirSync(old)
        yield* write(0)
        yield* write(100)
        assert.lengthOf(lines, 1)
        assert.include(lines[0], "\"operation\":\"unlink\"")
        rmSync(old, { recursive: true })
        yield* write(200)
        assert.lengthOf(lines, 1)
        mkdirSync(old)
        yield* write(300)
        assert.lengthOf(lines, 2)
      }))
  })

  describe("processes", () => {
    it.live("[S4-43] a full disk leaves whole lines and a typed error, and nothing is written twice", () =>
      Effect.gen(function*() {
        const dir = yield* temporaryDirectory
        // Files of this shell's children may have 100 blocks of 1,024 bytes.
        const { status, stderr, stdout } = spawnSync("bash", [
          "-c",
          "ulimit -f 100; exec \"$@\"",
          "bash",
          process.execPath,
          script("fileFullProcess.ts"),
          join(dir, "audit.jsonl")
        ], { encoding: "utf8" })
        assert.strictEqual(status, 0, stderr)
        assert.deepStrictEqual(JSON.parse(stdout), {
          failures: ["File write", "File write"],
          code: "AUDIT_FILE_FAILED"
        })
        assert.deepStrictEqual(sequencesOf(dir), [...range(0, 90), ...range(100, 3), ...range(104, 3)])
      }))

    it.live(
      "[S4-43] [R38] after kill -9 at any point every line is whole, and no entry is lost whose write returned",
      () =>
        Effect.gen(function*() {
          const dir = yield* temporaryDirectory
          const path = join(dir, "audit.jsonl")
          let torn = 0
          for (let run = 0; run < kills; run++) {
            const last = yield* Effect.promise(() => killed(path, run))
            const found = new Set(sequencesOf(dir))
            const first = run * 1_000_000
            // The process keeps 1,000 files, so that nothing is removed.
            for (const sequence of range(first, last - first + 1)) assert.isTrue(found.has(sequence), `${sequence}`)
          }
          const all = namesOf(dir).flatMap((name) => {
            const text = readFileSync(join(dir, name), "utf8")
            torn += text.endsWith("\n") || text === "" ? 0 : 1
            return text.split("\n").slice(0, -1)
          })
          // Half lines stand alone: at most one for each killed process. No entry is there twice.
          const sequences = sequencesIn(all)
          const whole = sequences.filter((sequence) => sequence !== undefined)
          assert.isAtMost(sequences.length - whole.length + torn, kills)
          assert.strictEqual(new Set(whole).size, whole.length)
          assert.isAtLeast(whole.length, kills)
        }),
      Math.max(600_000, kills * 60_000)
    )

    it.live("[S4-43] [S4-46] 30,000 of 30,000 entries over rotations, while another program moves the file", () =>
      Effect.gen(function*() {
        const dir = yield* temporaryDirectory
        const path = join(dir, "audit.jsonl")
        const moved = yield* temporaryDirectory
        const child = spawn(process.execPath, [script("fileProcess.ts"), path, "0", "30000"], {
          stdio: ["ignore", "pipe", "inherit"]
        })
        let moves = 0
        const lines = createInterface(child.stdout).on("line", () => {
          try {
            if (moves < 20) renameSync(path, join(moved, `${String(moves).padStart(2, "0")}.jsonl`))
            moves++
          } catch {
            // The file is being rotated.
          }
        })
        yield* Effect.promise(() => once(lines, "close"))
        const found = sequencesIn(
          [dir, moved].flatMap((one) => namesOf(one).flatMap((name) => linesOf(join(one, name))))
        )
        assert.deepStrictEqual(found.toSorted((a, b) => a! - b!), range(0, 30_000))
        assert.isAbove(namesOf(dir).length, 50)
        assert.isAbove(moves, 5)
      }))
  })
})
