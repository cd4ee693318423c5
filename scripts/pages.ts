/** Writes generated pages, or compares them with the existing files. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"

const root = join(import.meta.dirname, "..")

/** The paths of missing or different pages. `read` returns the existing text. */
export const stale = (
  made: ReadonlyMap<string, string>,
  read: (path: string) => string | undefined
): ReadonlyArray<string> => Array.from(made).flatMap(([path, text]) => read(path) === text ? [] : [path])

const onDisk = (path: string): string | undefined =>
  existsSync(join(root, path)) ? readFileSync(join(root, path), "utf8").replaceAll("\r\n", "\n") : undefined

const write = (path: string, text: string): void => {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
  console.log(`${path}: ${text.split("\n").length - 1} lines`)
}

/** Writes the pages. With `--check` fails if a page is outdated, and names the command that writes it. */
export const writeOrCheck = (made: ReadonlyMap<string, string>, command: string): void => {
  if (!process.argv.includes("--check")) {
    for (const [path, text] of made) write(path, text)
    return
  }
  const differing = stale(made, onDisk)
  for (const path of differing) console.error(`${path} differs from the sources: run \`${command}\` and commit it`)
  if (differing.length > 0) process.exitCode = 1
}
