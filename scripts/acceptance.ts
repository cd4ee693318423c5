/**
 * `node scripts/acceptance.ts` writes docs/acceptance.md from the last full test run, and the titles of the tests to
 * reports/acceptance.md. With `--check` it does not write the first page, and fails if the page claims more than the run shows.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { overclaims, render, renderTitles, type Section, unknownIds } from "./acceptanceTable.ts"
import type { Report } from "./report.ts"

const root = join(import.meta.dirname, "..")
const paths = {
  rows: join(root, "docs/acceptance-rows.json"),
  report: join(root, "reports/tests.json"),
  table: join(root, "docs/acceptance.md"),
  titles: join(root, "reports/acceptance.md")
}

const fail = (lines: ReadonlyArray<string>): void => {
  for (const line of lines) console.error(`acceptance: ${line}`)
  process.exitCode = 1
}

const check = (sections: ReadonlyArray<Section>, report: Report): void => {
  const committed = existsSync(paths.table) ? readFileSync(paths.table, "utf8") : ""
  const problems = overclaims(committed, sections, report)
  if (problems.length > 0) return fail(problems)
  const isCurrent = committed === render(sections, report)
  console.log(
    isCurrent ? "acceptance: as the run shows" : "acceptance: claims nothing wrong; `pnpm acceptance` updates it"
  )
}

const write = (sections: ReadonlyArray<Section>, report: Report): void => {
  const table = render(sections, report)
  writeFileSync(paths.table, table)
  console.log(`docs/acceptance.md: ${/^\*\*(.*)\*\*$/m.exec(table)?.[1] ?? ""}`)
}

const main = (): void => {
  if (!existsSync(paths.report)) return fail(["no reports/tests.json: run the tests first"])
  const sections: ReadonlyArray<Section> = JSON.parse(readFileSync(paths.rows, "utf8"))
  const report: Report = JSON.parse(readFileSync(paths.report, "utf8"))
  const unknown = unknownIds(sections, report)
  if (unknown.length > 0) fail([`no row has this id, and a test carries it: ${unknown.join(", ")}`])
  writeFileSync(paths.titles, renderTitles(sections, report))
  if (process.argv.includes("--check")) check(sections, report)
  else write(sections, report)
}

main()
