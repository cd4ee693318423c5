/** From rows and a test run to the acceptance table, and back from a table to what it claims. Pure. */
import { type Report, type TestRecord, titleOf } from "./report.ts"

export interface Row {
  readonly id: string
  readonly text: string
  /** The packages that must show the row. Empty: any test shows it. */
  readonly packages: ReadonlyArray<string>
}

export interface Section {
  readonly id: string
  readonly title: string
  readonly rows: ReadonlyArray<Row>
}

export interface RowResult {
  readonly row: Row
  readonly tests: ReadonlyArray<TestRecord>
  /** Packages of the row without a test of it. */
  readonly missing: ReadonlyArray<string>
  readonly passed: boolean
}

const idPattern = /^(?:S\d-\d{2}|K-\d{2}|R\d{1,2}|L\d|T\d)$/

/** Parts that tests do not live in: what they measure or arrange is shown by tests elsewhere. */
const withoutTests = new Set(["bench", "repo"])

/** The ids in brackets, `[S1-07]` or `[S0-03, S0-04]`, anywhere in a title or in the titles around it. */
export const idsIn = (title: string): ReadonlyArray<string> =>
  [...title.matchAll(/\[([^\]]+)\]/g)]
    .flatMap((match) => (match[1] ?? "").split(/[\s,;]+/))
    .filter((part) => idPattern.test(part))

const packageOf = (test: TestRecord): string | undefined => /^packages\/([^/]+)\//.exec(test.file)?.[1]

/** A row passes when it has tests, all of them passed, and each package it names has at least one of them. */
export const evaluate = (row: Row, report: Report): RowResult => {
  const tests = report.tests.filter((test) => idsIn(titleOf(test)).includes(row.id))
  const missing = row.packages.filter((name) =>
    !withoutTests.has(name) && !tests.some((test) => packageOf(test) === name)
  )
  const passed = tests.length > 0 && missing.length === 0 && tests.every((test) => test.state === "passed")
  return { row, tests, missing, passed }
}

/** Ids that titles carry and the rows do not know: a slip of the pen would otherwise go unseen. */
export const unknownIds = (sections: ReadonlyArray<Section>, report: Report): ReadonlyArray<string> => {
  const known = new Set(sections.flatMap((section) => section.rows.map((row) => row.id)))
  return [...new Set(report.tests.flatMap((test) => idsIn(titleOf(test))))].filter((id) => !known.has(id)).toSorted()
}

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll(/\s+/g, " ").trim()

const testLine = (test: TestRecord): string => {
  const title = cell(titleOf(test)).replaceAll("<", "&lt;")
  return test.state === "passed" ? title : `${title} (${test.state})`
}

const tableRow = ({ row, tests, missing, passed }: RowResult): string => {
  const lacking = tests.length > 0 && missing.length > 0 ? [`(no test of it in: ${missing.join(", ")})`] : []
  const shown = [...tests.map(testLine), ...lacking].join("<br>")
  return `| ${row.id} | ${cell(row.text)} | ${shown} | ${passed ? "passed" : "not yet"} |`
}

const passedOf = (results: ReadonlyArray<RowResult>): string =>
  `${results.filter((result) => result.passed).length} of ${results.length} passed`

export const render = (sections: ReadonlyArray<Section>, report: Report): string => {
  const parts = sections.map((section) => ({ section, results: section.rows.map((row) => evaluate(row, report)) }))
  return [
    "# Acceptance",
    "",
    "Written by `pnpm acceptance` from a run of the tests; not edited by hand. A row passes when every test whose title",
    "carries its id passed, and each package that must show it has such a test. A skipped test shows nothing.",
    "",
    `**${passedOf(parts.flatMap((part) => part.results))}**`,
    "",
    ...parts.map(({ section, results }) => `- ${section.id}: ${section.title}: ${passedOf(results)}`),
    ...parts.flatMap(({ section, results }) => [
      "",
      `## ${section.id}: ${section.title}`,
      "",
      "| Id | Asks | Tests | State |",
      "|---|---|---|---|",
      ...results.map(tableRow)
    ]),
    ""
  ].join("\n")
}

/** The ids a written table says have passed. */
export const claimsIn = (markdown: string): ReadonlyArray<string> =>
  markdown.split("\n").flatMap((line) => {
    const id = /^\|\s*([A-Z0-9-]+)\s*\|.*\|\s*passed\s*\|\s*$/.exec(line)?.[1]
    return id === undefined ? [] : [id]
  })

/** What a written table claims and the run does not show. */
export const overclaims = (
  markdown: string,
  sections: ReadonlyArray<Section>,
  report: Report
): ReadonlyArray<string> => {
  const rows = sections.flatMap((section) => section.rows)
  const shown = new Set(rows.filter((row) => evaluate(row, report).passed).map((row) => row.id))
  const claims = claimsIn(markdown)
  const summary = Number(/^\*\*(\d+) of \d+ passed\*\*$/m.exec(markdown)?.[1] ?? 0)
  return [
    ...claims.filter((id) => !shown.has(id)).map((id) => `${id} is called passed, and the run does not show it`),
    ...(summary > claims.length ? [`the summary says ${summary} passed, and the rows ${claims.length}`] : [])
  ]
}
