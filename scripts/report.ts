/** What a test run showed, as data: written by the reporter to reports/, read by the acceptance table. */

export type TestState = "passed" | "failed" | "skipped" | "todo"

export interface TestRecord {
  /** Titles from the outermost `describe` to the test. */
  readonly path: ReadonlyArray<string>
  readonly state: TestState
  /** Ids of rows that the test carries beside those in its title. */
  readonly tags?: ReadonlyArray<string>
  /** Relative to the repository, with forward slashes. */
  readonly file: string
  readonly project: string
  /** Generated cases, for properties. */
  readonly cases?: number
}

export interface Report {
  readonly tests: ReadonlyArray<TestRecord>
  /** Failures outside of tests: a file that does not load, a hook that fails, an unhandled rejection. */
  readonly problems: ReadonlyArray<string>
}

export interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

export const titleOf = (test: TestRecord): string => test.path.join(" > ")

export const isLeftOut = (test: TestRecord): boolean => test.state === "skipped" || test.state === "todo"

/** Where skips are not allowed, a test that did not run counts as failed; problems outside of tests always do. */
export const count = (report: Report, options: { readonly noSkips: boolean }): Counts => {
  const number = (state: TestState) => report.tests.filter((test) => test.state === state).length
  const leftOut = report.tests.filter(isLeftOut).length
  return {
    passed: number("passed"),
    failed: number("failed") + report.problems.length + (options.noSkips ? leftOut : 0),
    skipped: options.noSkips ? 0 : leftOut
  }
}

export const countLine = ({ passed, failed, skipped }: Counts): string =>
  `${passed} passed, ${failed} failed${skipped === 0 ? "" : `, ${skipped} skipped`}`

const propertyLine = (test: TestRecord): string => {
  const title = test.path.at(-1) ?? test.file
  if (test.state !== "passed") return `${title} — ${test.state}`
  return test.cases === undefined ? `${title} — number of cases not recorded` : `${title} — ${test.cases} cases`
}

/** One line for each property, ordered as a reader counts: Property 2 before Property 10. */
export const propertyLines = (report: Report): ReadonlyArray<string> =>
  report.tests
    .filter((test) => test.project === "properties")
    .map(propertyLine)
    .toSorted((a, b) => a.localeCompare(b, "en", { numeric: true }))

/** What is said about tests that did not run where that is a failure. */
export const leftOutLines = (report: Report): ReadonlyArray<string> =>
  report.tests.filter(isLeftOut).map((test) => `${test.state}: ${titleOf(test)} (${test.file})`)
