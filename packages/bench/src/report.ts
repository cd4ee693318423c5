/** The figures as text. */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Comparison, Figures } from "./suite.ts"

const resultsFile = join(import.meta.dirname, "../results.json")
const page = join(import.meta.dirname, "../../../docs/benchmarks.md")
const begin = "<!-- figures: written by `pnpm bench --json` -->"
const end = "<!-- end of figures -->"

const show = (ratio: number): string => Math.abs(ratio) >= 10 ? ratio.toFixed(0) : ratio.toPrecision(2)

const row = ({ group, measure, other, ratio, target, workload }: Comparison): ReadonlyArray<string> => [
  workload === "failing" ? group : `${group}, ${workload}`,
  measure === "added" ? "added cost" : "time",
  other,
  show(ratio.median),
  `${show(ratio.low)} to ${show(ratio.high)}`,
  target === undefined ? "" : `at most ${target}`,
  target === undefined ? "" : ratio.median <= target ? "met" : "missed"
]

/** A Markdown table, in columns of even width as the formatter makes them. */
const markdown = ([head = [], ...rows]: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = head.map((_, column) => Math.max(3, ...[head, ...rows].map((cells) => cells[column]?.length ?? 0)))
  const line = (cells: ReadonlyArray<string>): string =>
    `| ${widths.map((width, column) => (cells[column] ?? "").padEnd(width)).join(" | ")} |`
  return [head, widths.map((width) => "-".repeat(width)), ...rows].map(line).join("\n")
}

export const table = (comparisons: ReadonlyArray<Comparison>): string =>
  markdown([
    ["what is called", "compared", "beside", "Keelson's share", "half of the rounds", "target", "result"],
    ...comparisons.map(row)
  ])

export const nanosecondsTable = (nanoseconds: Figures["nanoseconds"]): string =>
  Array.from(
    Map.groupBy(nanoseconds, ({ what }) => what),
    ([what, all]) => `${what}: ${all.map(({ contestant, median }) => `${contestant} ${median}`).join(", ")}`
  ).join("\n")

/** Writes the figures to `results.json`, and their table to `docs/benchmarks.md`. */
export const write = (figures: Figures): void => {
  writeFileSync(resultsFile, `${JSON.stringify(figures, null, 2)}\n`)
  const text = readFileSync(page, "utf8")
  const head = text.slice(0, text.indexOf(begin) + begin.length)
  writeFileSync(page, `${head}\n\n${table(figures.comparisons)}\n\n${text.slice(text.indexOf(end))}`)
}
