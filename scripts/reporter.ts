/**
 * A reporter used with Vitest's default one. Writes the run to reports/, lists the number of cases of each property, and
 * prints the counts as the last line of the process.
 *
 * With `KEELSON_NO_SKIPS=1` or `CI=true` a skipped or `todo` test fails the run.
 */
import { mkdirSync, writeFileSync } from "node:fs"
import { join, relative, sep } from "node:path"
import type { Reporter, TestCase, TestModule, TestSuite, Vitest } from "vitest/node"
import {
  count,
  countLine,
  leftOutLines,
  propertyLines,
  type Report,
  type TestRecord,
  type TestState
} from "./report.ts"

const root = join(import.meta.dirname, "..")
const isSet = (name: string): boolean => ["1", "true"].includes(process.env[name] ?? "")

const fileOf = (module: TestModule): string => relative(root, module.moduleId).split(sep).join("/")

const pathOf = (test: TestCase | TestSuite): ReadonlyArray<string> =>
  test.parent.type === "module" ? [test.name] : [...pathOf(test.parent), test.name]

const stateOf = (test: TestCase): TestState => {
  const state = test.result().state
  if (state === "failed") return "failed"
  // A test marked as expected to fail shows missing behaviour, so it counts as `todo`.
  if (test.options.mode === "todo" || test.options.fails === true) return "todo"
  return state === "passed" ? "passed" : "skipped"
}

const recordOf = (test: TestCase): TestRecord => {
  const { cases } = test.meta()
  const tags = test.tags
  return {
    path: pathOf(test),
    state: stateOf(test),
    file: fileOf(test.module),
    project: test.project.name,
    ...(tags.length === 0 ? {} : { tags }),
    ...(cases === undefined ? {} : { cases })
  }
}

const problemsOf = (module: TestModule): ReadonlyArray<string> => [
  ...module.errors().map((error) => `${fileOf(module)}: ${error.message}`),
  ...[...module.children.allSuites()].flatMap((suite) =>
    suite.errors().map((error) => `${fileOf(module)} > ${suite.fullName}: ${error.message}`)
  )
]

/** The file names from the command line, which Vitest's types omit. */
type Filtered = Vitest & { readonly filenamePattern?: ReadonlyArray<string> }

export class KeelsonReporter implements Reporter {
  #vitest: Vitest | undefined
  #lastLine: string | undefined

  onInit(vitest: Vitest): void {
    this.#vitest = vitest
    // Prints at exit, since coverage and Vitest's warnings come after `onTestRunEnd`.
    process.once("exit", () => {
      if (this.#lastLine !== undefined) console.log(this.#lastLine)
    })
  }

  onTestRunEnd(modules: ReadonlyArray<TestModule>, unhandled: ReadonlyArray<{ readonly message: string }>): void {
    const report: Report = {
      tests: modules.flatMap((module) => [...module.children.allTests()].map(recordOf)),
      problems: [...modules.flatMap(problemsOf), ...unhandled.map((error) => `Unhandled: ${error.message}`)]
    }
    const noSkips = isSet("KEELSON_NO_SKIPS") || isSet("CI")
    const leftOut = noSkips ? leftOutLines(report) : []
    if (leftOut.length > 0) {
      process.exitCode = 1
      console.log(`A test that does not run is a failure here:\n${leftOut.map((line) => `  ${line}`).join("\n")}\n`)
    }
    this.#write(report)
    if (this.#isPropertiesRun(report)) console.log(propertyLines(report).join("\n"))
    const counts = count(report, { noSkips })
    if (counts.failed > 0) process.exitCode = 1
    this.#lastLine = countLine(counts)
  }

  /** Writes the report. Only a full run is evidence for the acceptance table, so a partial run goes to a separate file. */
  #write(report: Report): void {
    const folder = join(root, "reports")
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, this.#isWhole() ? "tests.json" : "partial.json"), JSON.stringify(report, null, 2))
  }

  #isWhole(): boolean {
    const vitest = this.#vitest
    if (vitest === undefined) return false
    const { changed, project, related, shard, testNamePattern } = vitest.config
    const { filenamePattern = [] }: Filtered = vitest
    return filenamePattern.length === 0 && project.length === 0 && testNamePattern === undefined &&
      related === undefined && shard === undefined && (changed === undefined || changed === false)
  }

  #isPropertiesRun(report: Report): boolean {
    return isSet("KEELSON_PROPERTIES") ||
      (report.tests.length > 0 && report.tests.every((test) => test.project === "properties"))
  }
}
