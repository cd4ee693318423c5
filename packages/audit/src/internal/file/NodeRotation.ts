/* oxlint-disable no-await-in-loop -- files change one step after the other */
import { readdir, rename, unlink } from "node:fs/promises"
import { join, parse } from "node:path"
import { io } from "./NodeAppendFile.ts"
import { stampOf, timeOfStamp } from "./stamp.ts"

/** `2026-11-30-21-05-59-123-0000`: a time, and a number for rotations within one millisecond. */
const pattern = /^(\d{4}(?:-\d\d){5}-\d{3})-(\d{4})$/

/** The part of a rotated file's name that sorts by age, for a file that is rotated now. It comes after `newest`. */
export const nextStamp = (now: number, newest: string | undefined): string => {
  const [, stamp = "", count = ""] = pattern.exec(newest ?? "") ?? []
  const time = timeOfStamp(stamp)
  // The clock may have been set back, and two files may be rotated within one millisecond.
  if (time === undefined || time < now) return `${stampOf(now)}-0000`
  return count === "9999" ? `${stampOf(time + 1)}-0000` : `${stamp}-${String(Number(count) + 1).padStart(4, "0")}`
}

/** Renames a file when it is full, and removes the oldest of those that were renamed. Other files are left alone. */
export class Rotation {
  readonly #path: string
  readonly #keep: number
  readonly #directory: string
  readonly #prefix: string
  readonly #suffix: string

  constructor(path: string, keep: number) {
    const { dir, ext, name } = parse(path)
    this.#path = path
    this.#keep = keep
    this.#directory = dir
    this.#prefix = `${name}-`
    this.#suffix = ext
  }
  /** The stamps of the rotated files, oldest first. */
  async #stamps(): Promise<ReadonlyArray<string>> {
    const names = await io("readdir", () => readdir(this.#directory))
    return names
      .filter((name) => name.startsWith(this.#prefix) && name.endsWith(this.#suffix))
      .map((name) => name.slice(this.#prefix.length, name.length - this.#suffix.length))
      .filter((stamp) => pattern.test(stamp))
      .toSorted()
  }
  #pathOf(stamp: string): string {
    return join(this.#directory, `${this.#prefix}${stamp}${this.#suffix}`)
  }
  /** Renames the file, which must not be open. */
  async rotate(now: number): Promise<void> {
    const stamp = nextStamp(now, (await this.#stamps()).at(-1))
    await io("rename", () => rename(this.#path, this.#pathOf(stamp)))
  }
  /** Removes the oldest rotated files beyond those that are kept. */
  async prune(): Promise<void> {
    const stamps = await this.#stamps()
    for (const stamp of stamps.slice(0, Math.max(0, stamps.length - this.#keep))) {
      await io("unlink", () => unlink(this.#pathOf(stamp)))
    }
  }
}
