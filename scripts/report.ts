/** The results of a test run, which the reporter writes to reports/ and the acceptance table reads. */

export type TestState = "passed" | "failed" | "skipped" | "todo"

export interface TestRecord {
  /** Titles from the outermost `describe` to the test. */
  readonly path: ReadonlyArray<string>
  readonly state: TestState
  /** Row ids of the test in addition to those in its title. */
  readonly tags?: ReadonlyArray<string>
  /** Relative to the repository, with forward slashes. */
  readonly file: string
  readonly project: string
  /** The number of generated cases, for properties. */
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

/** With `noSkips`, a test that did not run counts as failed. Problems outside tests always count as failed. */
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

/** One line for each property, in numeric order: Property 2 before Property 10. */
export const propertyLines = (report: Report): ReadonlyArray<string> =>
  report.tests
    .filter((test) => test.project === "properties")
    .map(propertyLine)
    .toSorted((a, b) => a.localeCompare(b, "en", { numeric: true }))

/** The lines about tests that did not run, if that is a failure. */
export const leftOutLines = (report: Report): ReadonlyArray<string> =>
  report.tests.filter(isLeftOut).map((test) => `${test.state}: ${titleOf(test)} (${test.file})`)
