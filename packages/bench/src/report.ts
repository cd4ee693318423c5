/** Renders the figures as text. */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type Comparison, type Figures, type Finding, isMet, type Measure } from "./figures.ts"

const resultsFile = join(import.meta.dirname, "../results.json")
const page = join(import.meta.dirname, "../../../docs/benchmarks.md")
const begin = "<!-- figures: written by `pnpm bench --json` -->"
const end = "<!-- end of figures -->"

const show = (ratio: number): string => Math.abs(ratio) >= 10 ? ratio.toFixed(0) : ratio.toPrecision(2)

const measures: Readonly<Record<Measure, string>> = {
  time: "time",
  added: "added cost",
  processor: "processor time",
  mainThread: "main thread"
}

const row = ({ group, measure, other, ratio, target, workload }: Comparison): ReadonlyArray<string> => [
  workload === undefined || workload === "failing" ? group : `${group}, ${workload}`,
  measures[measure],
  other,
  show(ratio.median),
  `${show(ratio.low)} to ${show(ratio.high)}`,
  target === undefined ? "" : `at most ${target}`,
  target === undefined ? "" : ratio.median <= target ? "met" : "missed"
]

/** A Markdown table with padded columns, as the formatter writes it. */
const markdown = ([head = [], ...rows]: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = head.map((_, column) => Math.max(3, ...[head, ...rows].map((cells) => cells[column]?.length ?? 0)))
  const line = (cells: ReadonlyArray<string>): string =>
    `| ${widths.map((width, column) => (cells[column] ?? "").padEnd(width)).join(" | ")} |`
  return [head, widths.map((width) => "-".repeat(width)), ...rows].map(line).join("\n")
}

export const comparisonTable = (comparisons: ReadonlyArray<Comparison>): string =>
  markdown([
    ["call", "measure", "compared with", "Keelson's share", "half of the rounds", "target", "result"],
    ...comparisons.map(row)
  ])

const number = (value: number): string => {
  if (Number.isInteger(value)) return value.toLocaleString("en-US")
  // Four digits, so that 99.99 is not rounded to 100.
  return value >= 1000 ? Math.round(value).toLocaleString("en-US") : value.toPrecision(value >= 99 ? 4 : 3)
}

const findingRow = ({ aim, group, unit, value, what }: Finding): ReadonlyArray<string> => [
  group,
  what,
  `${number(value)} ${unit}`.trim(),
  aim === undefined ? "" : `${aim.is} ${aim.value} ${unit}`.trim(),
  aim === undefined ? "" : isMet(value, aim) ? "met" : "missed"
]

export const findingsTable = (findings: ReadonlyArray<Finding>): string =>
  markdown([["group", "figure", "value", "target", "result"], ...findings.map(findingRow)])

export const nanosecondsTable = (nanoseconds: Figures["nanoseconds"]): string =>
  Array.from(
    Map.groupBy(nanoseconds, ({ what }) => what),
    ([what, all]) => `${what}: ${all.map(({ contestant, median }) => `${contestant} ${median}`).join(", ")}`
  ).join("\n")

/** Writes the figures to `results.json`, and their tables to `docs/benchmarks.md`. */
export const write = (figures: Figures): void => {
  writeFileSync(resultsFile, `${JSON.stringify(figures, null, 2)}\n`)
  const tables = `${comparisonTable(figures.comparisons)}\n\n${findingsTable(figures.findings)}`
  const text = readFileSync(page, "utf8")
  const head = text.slice(0, text.indexOf(begin) + begin.length)
  writeFileSync(page, `${head}\n\n${tables}\n\n${text.slice(text.indexOf(end))}`)
}
