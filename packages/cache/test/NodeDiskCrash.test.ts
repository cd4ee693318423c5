import { assert, describe, it } from "@effect/vitest"
import { CacheEntry, CacheKey } from "@keelson/cache"
import * as NodeDiskCache from "@keelson/cache/NodeDiskCache"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"

const script = join(import.meta.dirname, "diskProcess.ts")

/** How often a writer is killed. 200 were run when this was written; each takes a second. */
const runs = Number(process.env["KEELSON_CRASHES"] ?? 8)

/** Runs a writer, and kills it at some moment after it has begun. */
const killed = async (dir: string, seed: number) => {
  const child = spawn(process.execPath, [script, dir, String(seed)])
  await once(child.stdout, "data")
  await setTimeout(seed % 40)
  child.kill("SIGKILL")
  await once(child, "exit")
}

/** Opens what a killed writer left, and reads all of it. Returns the number of entries. */
const readAll = (dir: string) =>
  Effect.scoped(Effect.gen(function*() {
    const cache = yield* NodeDiskCache.make({ dir, maxSize: "2 MiB", maxItemSize: "1500 KiB" })
    const { bytes, items } = yield* cache.stats
    assert.isAtMost(bytes, 2 * 1024 * 1024)
    assert.lengthOf(readdirSync(join(dir, "entries")), 2 * items)
    let found = 0
    for (let name = 0; name < 12; name++) {
      const key = CacheKey.makeUnsafe({ bucket: "b", key: String(name) })
      const entry = yield* Effect.orElseSucceed(cache.get(key), () => undefined)
      if (entry === undefined) continue
      found++
      const read = yield* CacheEntry.readBytes(entry)
      assert.isTrue(read.every((byte) => byte === read[0]))
      assert.include([20_000, 1_200_000], read.length)
    }
    return found
  }))

describe("NodeDiskCache", () => {
  it.live(
    "[S4-20] Law C3: after kill -9 at any point it opens, and what it returns is whole",
    () =>
      Effect.gen(function*() {
        const dir = yield* Effect.acquireRelease(
          Effect.sync(() => mkdtempSync(join(tmpdir(), "keelson-crash-"))),
          (made) => Effect.sync(() => rmSync(made, { recursive: true, force: true }))
        )
        let found = 0
        for (let run = 0; run < runs; run++) {
          yield* Effect.promise(() => killed(dir, run * 17))
          found += yield* readAll(dir)
        }
        assert.isAbove(found, runs)
      }),
    Math.max(600_000, runs * 60_000)
  )
})
