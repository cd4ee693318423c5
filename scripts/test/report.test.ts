import { assert, describe, it } from "@effect/vitest"
import { count, countLine, leftOutLines, propertyLines, type Report, type TestRecord } from "../report.ts"

const record = (fields: Partial<TestRecord>): TestRecord => ({
  path: ["a suite", "a test"],
  state: "passed",
  file: "packages/core/test/Retry.test.ts",
  project: "unit",
  ...fields
})

const mixed: Report = {
  tests: [record({}), record({}), record({ state: "failed" }), record({ state: "skipped" }), record({ state: "todo" })],
  problems: []
}

describe("report", () => {
  it("counts skipped and todo tests as skipped where skips are allowed", () => {
    assert.deepStrictEqual(count(mixed, { noSkips: false }), { passed: 2, failed: 1, skipped: 2 })
  })

  it("counts them as failed where skips are not allowed", () => {
    assert.deepStrictEqual(count(mixed, { noSkips: true }), { passed: 2, failed: 3, skipped: 0 })
  })

  it("counts a failure outside of any test as failed", () => {
    const report = { tests: [record({})], problems: ["Retry.test.ts: does not load"] }
    assert.deepStrictEqual(count(report, { noSkips: false }), { passed: 1, failed: 1, skipped: 0 })
  })

  it("names skipped tests in the last line only when there are some", () => {
    assert.strictEqual(countLine({ passed: 3, failed: 0, skipped: 0 }), "3 passed, 0 failed")
    assert.strictEqual(countLine({ passed: 3, failed: 1, skipped: 2 }), "3 passed, 1 failed, 2 skipped")
  })

  it("lists each property with its cases, in the order of their numbers, and leaves other tests out", () => {
    const property = (title: string, fields: Partial<TestRecord> = {}) =>
      record({ path: ["retry", title], project: "properties", cases: 200, ...fields })
    const { cases: _, ...unrecorded } = property("Property 12: c")
    const report = {
      tests: [property("Property 10: a"), property("Property 9: b", { state: "failed" }), unrecorded, record({})],
      problems: []
    }
    assert.deepStrictEqual(propertyLines(report), [
      "Property 9: b — failed",
      "Property 10: a — 200 cases",
      "Property 12: c — number of cases not recorded"
    ])
  })

  it("says which tests did not run, and where they are", () => {
    assert.deepStrictEqual(leftOutLines(mixed), [
      "skipped: a suite > a test (packages/core/test/Retry.test.ts)",
      "todo: a suite > a test (packages/core/test/Retry.test.ts)"
    ])
  })
})
