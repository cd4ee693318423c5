/** What an editor shows where a user hovers over an option: each is written once in a file in memory, and asked for. */
import { join } from "node:path"
import ts from "typescript-api"
import { takersOf } from "./options.ts"
import { type Module, open } from "./program.ts"

type Taker = ReturnType<typeof takersOf>[number]
type Option = Taker["options"][number]

export interface Hover extends Option {
  /** The call, as in `@keelson/core/RetryPolicy m.make(`. */
  readonly call: string
}

interface Written {
  readonly text: string
  /** Where each option's name begins. */
  readonly offsets: ReadonlyMap<Option, number>
}

/** One call for each option, so that options that exclude one another do not meet. */
const write = (takers: ReadonlyArray<Taker>): Written => {
  const offsets = new Map<Option, number>()
  let text = "declare const u: any\n"
  for (const [index, { module }] of takers.entries()) text += `import * as m${index} from "${module.name}"\n`
  for (const [index, { before, options }] of takers.entries()) {
    for (const option of options) {
      const outer = option.path.slice(0, -1)
      const opened = outer.map((name) => name.endsWith("[]") ? `{ ${name.slice(0, -2)}: [` : `{ ${name}: `)
      const closed = outer.toReversed().map((name) => name.endsWith("[]") ? "] }" : " }")
      text += `${before.replace(/\bm\./, `m${index}.`)}${opened.join("")}{ `
      offsets.set(option, text.length)
      text += `${option.path.at(-1)}: u }${closed.join("")})\n`
    }
  }
  return { text, offsets }
}

/** The documentation on hover of every option, with the packages as they are found from a folder. */
export const hoversOf = (
  modules: ReadonlyArray<Module>,
  folder: string,
  files: ReadonlyMap<string, string> = new Map()
): ReadonlyArray<Hover> => {
  const inMemory = new Map(files)
  const types = open(modules, folder, inMemory)
  const takers = takersOf(types, modules)
  const { offsets, text } = write(takers)
  const file = join(folder, "hover.ts")
  inMemory.set(file, text)
  return takers.flatMap(({ before, module, options }) =>
    options.map((option) => {
      const info = types.service.getQuickInfoAtPosition(file, offsets.get(option) ?? 0)
      const documentation = ts.displayPartsToString(info?.documentation).replaceAll(/\s+/g, " ").trim()
      return { ...option, documentation, call: `${module.name} ${before}` }
    })
  )
}

/** One line for each call that has options without documentation. */
export const undocumented = (hovers: ReadonlyArray<Hover>): ReadonlyArray<string> => {
  const missing = Map.groupBy(hovers.filter(({ documentation }) => documentation === ""), ({ call }) => call)
  return [...missing].map(([call, options]) =>
    `${call}{ ${options.map(({ path }) => path.join(".")).join(", ")} }) shows no documentation`
  )
}

/** How many options have some. */
export const documentedCount = (hovers: ReadonlyArray<Hover>): string =>
  `${hovers.filter(({ documentation }) => documentation !== "").length} of ${hovers.length} options documented`
