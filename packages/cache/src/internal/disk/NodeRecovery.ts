import * as Effect from "effect/Effect"
import { lstatSync, readdirSync, readFileSync, unlinkSync } from "node:fs"
import { join } from "node:path"
import type { CacheError } from "../../CacheError.ts"
import { isTime } from "../tier/rules.ts"
import { toCacheError } from "./NodeFileIo.ts"
import { type Files, nameOf } from "./NodeFiles.ts"
import { type Meta, readMeta } from "./NodeMeta.ts"

/** An entry that was found on the disk. Its body has the right length; it is compared with its hash when it is read. */
interface Recovered {
  readonly name: string
  readonly meta: Meta
  /** The time of the last lookup, in milliseconds since 1970. */
  readonly accessed: number
}

/** What was found on the disk, least recently used first. */
export interface Recovery {
  readonly entries: ReadonlyArray<Recovered>
  /** Files that belong to no entry, or are damaged, and were removed. */
  readonly removed: number
  /** Files that are not the cache's, and were left. */
  readonly foreign: number
}

/** The files of one slice: reading them takes a few milliseconds, then other work gets its turn. */
const slice = 100

/** The entries of one slice where nothing is read. */
export const namesAtOnce = 1000

/** Does not follow links: what is no plain file is no entry. */
const fileSize = (path: string): number | undefined => {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  return stats?.isFile() === true ? stats.size : undefined
}

const maxMetaSize = 1_048_576

/** The times of the last lookups, by name. A missing or damaged index is an empty one. */
const readIndex = (path: string): ReadonlyMap<string, number> => {
  try {
    const parsed: unknown = JSON.parse(readFileSync(path, "utf8"))
    const accessed = typeof parsed === "object" && parsed !== null && "accessed" in parsed ? parsed.accessed : undefined
    return new Map(
      typeof accessed === "object" && accessed !== null
        ? Object.entries(accessed).filter((pair): pair is [string, number] =>
          typeof pair[1] === "number" && isTime(pair[1])
        )
        : []
    )
  } catch {
    return new Map()
  }
}

/** The entry of a `.meta` file, if it and its body are whole. */
const readEntry = ({ entries }: Files, name: string): Meta | undefined => {
  const path = join(entries, `${name}.meta`)
  const metaSize = fileSize(path)
  if (metaSize === undefined || metaSize > maxMetaSize) return undefined
  try {
    const meta = readMeta(readFileSync(path, "utf8"))
    return meta !== undefined && nameOf(meta.key) === name && fileSize(join(entries, `${name}.data`)) === meta.length
      ? meta
      : undefined
  } catch {
    return undefined
  }
}

const ownFile = /^([0-9a-f]{64})\.(data|meta)$/
const temporary = /^(?:[0-9a-f]{64}|index)\.[0-9a-f-]{36}\.tmp$/

/** Uses items one after the other, and lets other work have its turn after each slice of them. */
export const inSlices = Effect.fnUntraced(function*<A>(items: Iterable<A>, size: number, use: (item: A) => void) {
  let count = 0
  for (const item of items) {
    use(item)
    if (++count % size === 0) yield* Effect.yieldNow
  }
})

/** The names of the files in a directory, by what they are. */
const listed = Effect.fnUntraced(function*(files: Files) {
  const metas = new Set<string>()
  const datas = new Set<string>()
  const temporaries: Array<string> = []
  let foreign = 0
  const names = yield* Effect.try({ try: () => readdirSync(files.entries), catch: toCacheError("readdir") })
  yield* inSlices(names, namesAtOnce, (file) => {
    const [, name, kind] = ownFile.exec(file) ?? []
    if (name !== undefined) (kind === "meta" ? metas : datas).add(name)
    else if (temporary.test(file)) temporaries.push(file)
    else foreign++
  })
  return { metas, datas, temporaries, foreign }
})

/**
 * Reads what is on the disk, and removes what is no whole entry: temporary files, a body or `.meta` file without the other, and
 * files that cannot be read.
 *
 * It reads synchronously, since ten thousand small files take four times as long otherwise, but in slices of a few milliseconds.
 */
export const recover = (files: Files): Effect.Effect<Recovery, CacheError> =>
  Effect.gen(function*() {
    const { datas, foreign, metas, temporaries } = yield* listed(files)
    const accessed = readIndex(files.index)
    const entries: Array<Recovered> = []
    let removed = 0
    const remove = (file: string) => {
      try {
        unlinkSync(join(files.entries, file))
        removed++
      } catch {
        // The next start tries again.
      }
    }
    yield* inSlices(temporaries, slice, remove)
    yield* inSlices(metas, slice, (name) => {
      const meta = readEntry(files, name)
      if (meta === undefined) {
        remove(`${name}.meta`)
        if (datas.has(name)) remove(`${name}.data`)
        return
      }
      entries.push({ name, meta, accessed: accessed.get(name) ?? meta.createdAt })
    })
    yield* inSlices(datas, slice, (name) => {
      if (!metas.has(name)) remove(`${name}.data`)
    })
    entries.sort((a, b) => a.accessed - b.accessed)
    return { entries, removed, foreign }
  })
