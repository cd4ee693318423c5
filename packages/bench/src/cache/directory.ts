/** Directories for caches on disk. */
import { CacheKey } from "@keelson/cache"
import { Effect, type Scope } from "effect"
import { lstat, mkdtemp, readdir, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** A directory that is removed at the end of the scope. */
export const temporaryDirectory: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "keelson-bench-"))),
  (dir) => Effect.promise(() => rm(dir, { recursive: true, force: true }))
)

/** The bytes of all files below a directory. */
export const bytesIn = async (dir: string): Promise<number> => {
  const entries = await readdir(dir, { withFileTypes: true, recursive: true })
  const files = entries.filter((entry) => entry.isFile())
  const sizes = await Promise.all(files.map(async ({ name, parentPath }) => (await lstat(join(parentPath, name))).size))
  return sizes.reduce((sum, size) => sum + size, 0)
}

export const keyOf = (index: number): CacheKey.CacheKey =>
  CacheKey.makeUnsafe({ bucket: "bench", key: `objects/2026/11/${index}.json` })

/** The share of values that are at most the result. */
export const percentile = (values: ReadonlyArray<number>, share: number): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN
}
