/** Makes the acceptance table from rows and a test run, and reads back what a committed table claims. Pure. */
import { type Report, type TestRecord, titleOf } from "./report.ts"

export interface Row {
  readonly id: string
  readonly text: string
  /** The packages that must have a test of the row. Empty: a test anywhere is enough. */
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
  /** Packages of the row without a test. */
  readonly missing: ReadonlyArray<string>
  readonly passed: boolean
}

/** Rows, rules, laws, and cases (`A1` to `J22`). */
const idPattern = /^(?:S\d-\d{2}|K-\d{2}|[RA-J]\d{1,2}|L\d|T\d)$/

/** Parts without their own tests; tests elsewhere cover them. */
const withoutTests = new Set(["bench", "repo"])

/** The ids in brackets, `[S1-07]`, `[S0-03, S0-04]` or `[K-28 A1]`, anywhere in a title or in the titles around it. */
export const idsIn = (title: string): ReadonlyArray<string> =>
  [...title.matchAll(/\[([^\]]+)\]/g)]
    .flatMap((match) => (match[1] ?? "").split(/[\s,;]+/))
    .filter((part) => idPattern.test(part))

/** The ids of a test: its tags, and those in its title. */
export const idsOf = (test: TestRecord): ReadonlyArray<string> => [...test.tags ?? [], ...idsIn(titleOf(test))]

const packageOf = (test: TestRecord): string | undefined => /^packages\/([^/]+)\//.exec(test.file)?.[1]

/** A row passes when it has tests, all of them passed, and each package it names has at least one of them. */
export const evaluate = (row: Row, report: Report): RowResult => {
  const tests = report.tests.filter((test) => idsOf(test).includes(row.id))
  const missing = row.packages.filter((name) =>
    !withoutTests.has(name) && !tests.some((test) => packageOf(test) === name)
  )
  const passed = tests.length > 0 && missing.length === 0 && tests.every((test) => test.state === "passed")
  return { row, tests, missing, passed }
}

/** Ids in tests that no row has, which are typing errors. */
export const unknownIds = (sections: ReadonlyArray<Section>, report: Report): ReadonlyArray<string> => {
  const known = new Set(sections.flatMap((section) => section.rows.map((row) => row.id)))
  return [...new Set(report.tests.flatMap(idsOf))].filter((id) => !known.has(id)).toSorted()
}

const stateOf = ({ passed }: RowResult): string => passed ? "passed" : "not yet"

/** `core/Retry` for `packages/core/test/Retry.test.ts`. */
const shortName = (file: string): string =>
  file.replace(/^packages\//, "").replace("/test/", "/").replace(/\.test\.ts$/, "")

/** The test files of a row, and the packages that lack one. */
const filesOf = ({ missing, tests }: RowResult): string => {
  const files = [...new Set(tests.map(({ file }) => shortName(file)))].toSorted()
  return [...files, ...tests.length > 0 ? missing.map((name) => `(none in ${name})`) : []].join(", ")
}

const tableRow = (result: RowResult): string => `| ${result.row.id} | ${stateOf(result)} | ${filesOf(result)} |`

const passedOf = (results: ReadonlyArray<RowResult>): string =>
  `${results.filter((result) => result.passed).length} of ${results.length} passed`

const resultsOf = (sections: ReadonlyArray<Section>, report: Report) =>
  sections.map((section) => ({ section, results: section.rows.map((row) => evaluate(row, report)) }))

/** The committed page: ids, states and files, without the tests' titles. */
export const render = (sections: ReadonlyArray<Section>, report: Report): string => {
  const parts = resultsOf(sections, report)
  return [
    "# Acceptance",
    "",
    "Written by `pnpm acceptance` from a test run; not edited by hand. A row passes when every test that carries its id passed",
    "and each package that must show it has such a test. A skipped test shows nothing. `core/Retry` stands for",
    "`packages/core/test/Retry.test.ts`. The texts of the rows are in [acceptance-rows.json](acceptance-rows.json); a run writes",
    "the titles of the tests to `reports/acceptance.md`.",
    "",
    `**${passedOf(parts.flatMap((part) => part.results))}**`,
    ...parts.flatMap(({ section, results }) => [
      "",
      `## ${section.id}: ${section.title} (${passedOf(results)})`,
      "",
      "| Id | State | Test files |",
      "|---|---|---|",
      ...results.map(tableRow)
    ]),
    ""
  ].join("\n")
}

const testLine = (test: TestRecord): string =>
  `  - ${titleOf(test).replaceAll(/\s+/g, " ")} (${test.state}, ${shortName(test.file)})`

/** The page of a run, which is not committed: each row's requirement and the titles of its tests. */
export const renderTitles = (sections: ReadonlyArray<Section>, report: Report): string =>
  resultsOf(sections, report).flatMap(({ section, results }) => [
    `# ${section.id}: ${section.title}`,
    ...results.flatMap((result) => [
      `- ${result.row.id} (${stateOf(result)}): ${result.row.text}`,
      ...result.tests.map(testLine)
    ]),
    ""
  ]).join("\n")

/** The rows that a committed table lists as passed, with their files. */
export const claimsIn = (markdown: string): ReadonlyMap<string, string> =>
  new Map(
    [...markdown.matchAll(/^\| ([A-Z0-9-]+) \| passed \| (.*) \|$/gm)].map(([, id = "", files = ""]) => [id, files])
  )

const shownBy = (result: RowResult | undefined, files: string): boolean =>
  result?.passed === true && files.split(", ").every((file) => filesOf(result).split(", ").includes(file))

/** Claims of a committed table that the run does not support: states, test files, or the number of passed rows. */
export const overclaims = (
  markdown: string,
  sections: ReadonlyArray<Section>,
  report: Report
): ReadonlyArray<string> => {
  const results = new Map(resultsOf(sections, report).flatMap((part) => part.results).map((one) => [one.row.id, one]))
  const claims = claimsIn(markdown)
  const summary = Number(/^\*\*(\d+) of \d+ passed\*\*$/m.exec(markdown)?.[1] ?? 0)
  return [
    ...[...claims].flatMap(([id, files]) =>
      shownBy(results.get(id), files) ? [] : [`${id} is called passed by ${files}, and the run does not show it`]
    ),
    ...(summary > claims.size ? [`the summary says ${summary} passed, and the rows ${claims.size}`] : [])
  ]
}
