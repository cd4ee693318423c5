import { assert, describe, it } from "@effect/vitest"
import {
  claimsIn,
  evaluate,
  idsIn,
  idsOf,
  overclaims,
  render,
  renderTitles,
  type Row,
  type Section,
  unknownIds
} from "../acceptanceTable.ts"
import type { Report, TestRecord, TestState } from "../report.ts"

const test = (title: string, state: TestState = "passed", file = "packages/core/test/A.test.ts"): TestRecord => ({
  path: title.split(" > "),
  state,
  file,
  project: "unit"
})
const run = (...tests: ReadonlyArray<TestRecord>): Report => ({ tests, problems: [] })
const row = (id: string, ...packages: ReadonlyArray<string>): Row => ({ id, text: `asks | ${id}`, packages })
const sections: ReadonlyArray<Section> = [{ id: "S0", title: "retry", rows: [row("S0-01"), row("S0-02")] }]
const passes = (report: Report, ...packages: ReadonlyArray<string>) =>
  evaluate(row("S0-01", ...packages), report).passed

describe("ids in a title", () => {
  it("reads several ids, in one pair of brackets or in several, and none outside of brackets", () => {
    assert.deepStrictEqual(idsIn("Property 10: S1-01 [S0-03] and [K-12, R4] [L3][T6]"), [
      "S0-03",
      "K-12",
      "R4",
      "L3",
      "T6"
    ])
  })

  it("reads the id of a case beside the row of cases", () => {
    assert.deepStrictEqual(idsIn("[K-28 A1] works > [K-28 J22]"), ["K-28", "A1", "K-28", "J22"])
  })

  it("are those of its tags too", () => {
    assert.deepStrictEqual(idsOf({ ...test("[S0-01] works"), tags: ["K-28", "H1"] }), ["K-28", "H1", "S0-01"])
    assert.isTrue(passes(run({ ...test("works"), tags: ["S0-01"] })))
  })

  it("ignores brackets that hold something else", () => {
    assert.deepStrictEqual(idsIn("cuts to [base, max], [S0-1], [R1x]"), [])
  })
})

describe("a row", () => {
  it("passes with one passed test, also by the title of its suite", () => {
    assert.isTrue(passes(run(test("[S0-01] works"))))
    assert.isTrue(passes(run(test("Retry [S0-01] > works"))))
  })

  it("is not yet without a test, and with a test of another id only", () => {
    assert.isFalse(passes(run()))
    assert.isFalse(passes(run(test("[S0-02] works"))))
  })

  it.each<TestState>(["skipped", "todo", "failed"])("is not yet with a %s test", (state) => {
    assert.isFalse(passes(run(test("[S0-01] works", state))))
  })

  it.each<TestState>(["skipped", "todo", "failed"])("is not yet with a passed and a %s test", (state) => {
    assert.isFalse(passes(run(test("[S0-01] works"), test("[S0-01] works in the dark", state))))
  })

  it("shares a title with other rows", () => {
    const report = run(test("[S0-01] [S0-02] works"))
    assert.isTrue(evaluate(row("S0-01"), report).passed)
    assert.isTrue(evaluate(row("S0-02"), report).passed)
  })

  it("needs a test in each package that it names, but for bench and repo", () => {
    const core = test("[S0-01] works")
    const jwks = test("[S0-01] works", "passed", "packages/jwks/test/B.test.ts")
    assert.isFalse(passes(run(core), "core", "jwks", "bench"))
    assert.isTrue(passes(run(core, jwks), "core", "jwks", "bench"))
    assert.isTrue(passes(run(test("[S0-01] works", "passed", "scripts/test/a.test.ts")), "repo"))
  })
})

describe("the table", () => {
  const other = test("[S0-01] works elsewhere", "passed", "scripts/test/a.test.ts")
  const good = run(test("[S0-01] works"), other, test("[S0-02] a | b", "skipped"))

  it("lists every row with its state and test files, and counts what passed", () => {
    const lines = render(sections, good).split("\n")
    assert.include(lines, "**1 of 2 passed**")
    assert.include(lines, "## S0: retry (1 of 2 passed)")
    assert.include(lines, "| S0-01 | passed | core/A, scripts/a |")
    assert.include(lines, "| S0-02 | not yet | core/A |")
  })

  it("stays the same where only a title changes", () => {
    const renamed = run(test("[S0-01] still works"), other, test("[S0-02] b", "skipped"))
    assert.strictEqual(render(sections, renamed), render(sections, good))
  })

  it("leaves texts and titles to the page of the run", () => {
    const lines = renderTitles(sections, good).split("\n")
    assert.include(lines, "- S0-02 (not yet): asks | S0-02")
    assert.include(lines, "  - [S0-02] a | b (skipped, core/A)")
  })

  it("names the package that has no test of a row yet", () => {
    const section = [{ id: "S0", title: "retry", rows: [row("S0-01", "core", "jwks")] }]
    assert.include(render(section, good), "| S0-01 | not yet | core/A, scripts/a, (none in jwks) |")
  })

  it("is read back as what it claims", () => {
    assert.deepStrictEqual([...claimsIn(render(sections, good))], [["S0-01", "core/A, scripts/a"]])
  })

  it("passes the check against the run it was made from, and against a run that shows more", () => {
    assert.deepStrictEqual(overclaims(render(sections, good), sections, good), [])
    assert.deepStrictEqual(overclaims(render(sections, run()), sections, good), [])
    assert.deepStrictEqual(overclaims(render(sections, run(other)), sections, good), [])
  })

  it.each<TestState>(["skipped", "todo", "failed"])("fails the check when a claimed row has a %s test now", (state) => {
    const problems = overclaims(render(sections, good), sections, run(test("[S0-01] works", state), other))
    assert.deepStrictEqual(problems, ["S0-01 is called passed by core/A, scripts/a, and the run does not show it"])
  })

  it("fails the check when a claimed file has no test of the row any more", () => {
    assert.lengthOf(overclaims(render(sections, good), sections, run(other)), 1)
  })

  it("fails the check when edited by hand: a state, a row of its own, a better summary", () => {
    const table = render(sections, good)
    assert.lengthOf(overclaims(table.replaceAll("not yet |", "passed |"), sections, good), 1)
    assert.lengthOf(overclaims(`${table}| S9-99 | passed | core/A |\n`, sections, good), 1)
    assert.lengthOf(overclaims(table.replace("**1 of 2", "**2 of 2"), sections, good), 1)
  })

  it("knows ids that no row has", () => {
    assert.deepStrictEqual(unknownIds(sections, run(test("[S0-99] works"), test("[S0-01] works"))), ["S0-99"])
  })
})
