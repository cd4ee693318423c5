/**
 * The reference pages under docs/reference, made from the catalogue, the metrics and the option schemas of the packages.
 *
 * `node scripts/reference.ts` writes them. With `--check` nothing is written: it fails when a page is not as it would be.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { configurationPage } from "./referenceConfiguration.ts"
import { errorCodesPage } from "./referenceErrorCodes.ts"
import { metricsPage } from "./referenceMetrics.ts"

const root = join(import.meta.dirname, "..")

/** Every page: its path in the repository, and its text. */
export const pages = (): ReadonlyMap<string, string> =>
  new Map([
    ["docs/reference/error-codes.md", errorCodesPage()],
    ["docs/reference/metrics.md", metricsPage()],
    ["docs/reference/configuration.md", configurationPage()]
  ])

/** The paths of pages that are missing or differ; `read` gives the text that is there. */
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

const main = (): void => {
  const made = pages()
  if (!process.argv.includes("--check")) {
    for (const [path, text] of made) write(path, text)
    return
  }
  const differing = stale(made, onDisk)
  for (const path of differing) console.error(`${path} is not as the sources have it: run \`pnpm run docs\``)
  if (differing.length > 0) process.exitCode = 1
}

if (import.meta.main) main()
