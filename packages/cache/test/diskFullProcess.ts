/** A process whose files may have at most 100 KB: prints what a larger item, as bytes and as a stream, leads to. */
import { CacheError, CacheKey } from "@keelson/cache"
import * as NodeDiskCache from "@keelson/cache/NodeDiskCache"
import { Effect, Stream } from "effect"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const dir = mkdtempSync(join(tmpdir(), "keelson-full-"))
const key = CacheKey.makeUnsafe({ bucket: "b", key: "a" })

const program = Effect.gen(function*() {
  const cache = yield* NodeDiskCache.make({ dir })
  yield* cache.set(key, { body: new Uint8Array(50_000) })
  const reasons = new Set<string>()
  for (const body of [new Uint8Array(500_000), Stream.make(new Uint8Array(90_000), new Uint8Array(400_000))]) {
    const error = yield* Effect.flip(cache.set(key, { body }))
    reasons.add(error instanceof CacheError.CacheError ? error.reason._tag : String(error))
  }
  const entry = yield* cache.get(key)
  return { reason: [...reasons].join(), files: readdirSync(join(dir, "entries")).length, length: entry?.length }
})

try {
  process.stdout.write(JSON.stringify(await Effect.runPromise(Effect.scoped(program))))
} finally {
  rmSync(dir, { recursive: true, force: true })
}
