/** What the doc comments of the option schemas say: the one place where an option is described. */
import { readFileSync } from "node:fs"
import { join } from "node:path"

const packages = join(import.meta.dirname, "..", "packages")

/** The doc comment of each option in a source text, on one line. */
export const commentsIn = (source: string): ReadonlyMap<string, string> =>
  new Map(
    [...source.matchAll(/\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*(\w+): [\w.]+\(/g)].map((
      [, comment = "", name = ""]
    ) => [name, comment.replaceAll(/\s*\n\s*\*\s?/g, " ").trim()])
  )

/** The file of a module by package and name, as in `core/RetryPolicy`. */
const fileOf = (module: string): string => {
  const [folder = "", name = ""] = module.split("/")
  return join(packages, folder, "src", `${name}.ts`)
}

/** The comments of several modules, the later ones over the earlier. */
export const commentsOf = (modules: ReadonlyArray<string>): ReadonlyMap<string, string> =>
  new Map(modules.flatMap((module) => [...commentsIn(readFileSync(fileOf(module), "utf8"))]))
