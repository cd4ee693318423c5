/** What the doc comments of the option schemas say: the one place where an option is described. */
import { readFileSync } from "node:fs"
import { join } from "node:path"

const root = join(import.meta.dirname, "..", "packages/core/src")

/** The doc comment of each option in a source text, on one line. */
export const commentsIn = (source: string): ReadonlyMap<string, string> =>
  new Map(
    [...source.matchAll(/\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*(\w+): (?:Field\.defaulted|Schema\.optionalKey)\(/g)].map((
      [, comment = "", name = ""]
    ) => [name, comment.replaceAll(/\s*\n\s*\*\s?/g, " ").trim()])
  )

/** The comments of several modules, the later ones over the earlier. */
export const commentsOf = (modules: ReadonlyArray<string>): ReadonlyMap<string, string> =>
  new Map(modules.flatMap((module) => [...commentsIn(readFileSync(join(root, `${module}.ts`), "utf8"))]))
