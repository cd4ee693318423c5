import { assert, describe, it } from "@effect/vitest"
import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import { Duration, Schema } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { parse } from "yaml"
import { parsePromql } from "./promql.ts"

const root = join(import.meta.dirname, "..", "..")
const folder = "docs/observability"
const read = (path: string) => readFileSync(join(root, path), "utf8")
const decode = <S extends Schema.ConstraintDecoder<unknown>>(schema: S, value: unknown): S["Type"] =>
  Schema.decodeUnknownSync(schema)(value)

const Rule = Schema.Struct({
  alert: Schema.String,
  expr: Schema.String,
  for: Schema.optionalKey(Schema.String),
  labels: Schema.Struct({ severity: Schema.Literals(["critical", "warning"]) }),
  annotations: Schema.Struct({
    summary: Schema.NonEmptyString,
    description: Schema.NonEmptyString,
    runbook_url: Schema.NonEmptyString
  })
})
const Groups = Schema.Struct({
  groups: Schema.Array(Schema.Struct({ name: Schema.String, rules: Schema.Array(Rule) }))
})
const Cases = Schema.Struct({
  rule_files: Schema.Array(Schema.String),
  tests: Schema.Array(Schema.Struct({
    input_series: Schema.Array(Schema.Struct({ series: Schema.String })),
    promql_expr_test: Schema.Array(
      Schema.Struct({ exp_samples: Schema.Array(Schema.Struct({ labels: Schema.String })) })
    )
  }))
})
const Dashboard = Schema.fromJsonString(Schema.Struct({
  panels: Schema.Array(Schema.Struct({
    id: Schema.Number,
    type: Schema.String,
    title: Schema.NonEmptyString,
    description: Schema.optionalKey(Schema.NonEmptyString),
    targets: Schema.optionalKey(Schema.Array(Schema.Struct({ expr: Schema.String, legendFormat: Schema.String })))
  })),
  templating: Schema.Struct({
    list: Schema.Array(
      Schema.Struct({ name: Schema.String, type: Schema.String, definition: Schema.optionalKey(Schema.String) })
    )
  })
}))

const rules = decode(Groups, parse(read(`${folder}/alerts.yaml`))).groups.flatMap((group) => group.rules)
const dashboard = decode(Dashboard, read(`${folder}/dashboard.json`))
const targets = dashboard.panels.flatMap(({ targets = [] }) => targets)
const runbook = read(`${folder}/runbook.md`)
const guide = read("docs/guides/observability.md")
const queries = [...guide.matchAll(/```promql\n([\s\S]*?)```/g)].map(([, query = ""]) => query)

const labelsOf = (metric: string): ReadonlyArray<string> | undefined => {
  const named = Object.values(MetricSeries.definitions).filter(({ name }) => `keelson_${name}` === metric)
  // Series of one name may have different labels, such as those of caches of tokens and of objects.
  if (named.length > 0) {
    return named.some(({ kind }) => kind === "histogram") ? undefined : named.flatMap(({ labels }) => labels)
  }
  const base = metric.replace(/_(?:bucket|sum|count)$/, "")
  const histogram = Object.values(MetricSeries.definitions).find(({ name }) => `keelson_${name}` === base)
  return histogram?.kind === "histogram" ? [...histogram.labels, "le"] : undefined
}

/** What an expression says that no metric has. */
const unknownIn = (expression: string): ReadonlyArray<string> => {
  const { errors, grouping, selectors } = parsePromql(expression)
  const known = new Set(selectors.flatMap(({ metric }) => labelsOf(metric) ?? []))
  return [
    ...errors,
    ...(selectors.length === 0 ? [`${expression} names no metric`] : []),
    ...selectors.filter(({ metric }) => labelsOf(metric) === undefined).map(({ metric }) => metric),
    ...selectors.flatMap(({ labels, metric }) =>
      labels.filter((label) => labelsOf(metric)?.includes(label) === false).map((label) => `${metric}{${label}}`)
    ),
    ...grouping.filter((label) => !known.has(label)).map((label) => `${label} of ${expression}`)
  ]
}

const templateLabels = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/\$labels\.(\w+)/g)].map(([, label = ""]) => label)

describe("alerts and dashboard", () => {
  it("the check itself tells what is wrong", () => {
    assert.deepStrictEqual(unknownIn("sum(rate(keelson_retry_attempts_total[5m]))"), [])
    assert.deepStrictEqual(unknownIn("sum(rate(keelson_retries_total[5m]))"), ["keelson_retries_total"])
    assert.deepStrictEqual(unknownIn(`keelson_retry_attempts_total{kid="a"}`), ["keelson_retry_attempts_total{kid}"])
    assert.deepStrictEqual(unknownIn("sum by (kid) (keelson_retry_attempts_total)"), [
      "kid of sum by (kid) (keelson_retry_attempts_total)"
    ])
    assert.deepStrictEqual(unknownIn("rate(keelson_http_request_duration_seconds[5m])"), [
      "keelson_http_request_duration_seconds"
    ])
    assert.isNotEmpty(unknownIn("sum(rate(keelson_retry_attempts_total[5m])"))
  })

  it("alerts, panels and queries of the guide are PromQL, of metrics and labels that there are", () => {
    assert.isAtLeast(rules.length, 18)
    assert.isAtLeast(targets.length, 30)
    for (const { expr } of [...rules, ...targets]) assert.deepStrictEqual(unknownIn(expr), [], expr)
    for (const query of queries) assert.deepStrictEqual(unknownIn(query), [], query)
  })

  it("texts of alerts and legends of panels name labels that their expression keeps", () => {
    for (const { alert, annotations, expr } of rules) {
      const { grouping } = parsePromql(expr)
      for (const label of templateLabels(annotations.summary + annotations.description)) {
        assert.include(grouping, label, alert)
      }
    }
    for (const { expr, legendFormat } of targets) {
      const { grouping } = parsePromql(expr)
      for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) assert.include(grouping, label, expr)
    }
  })

  it("each alert links its own section of the runbook, and each section has an alert", () => {
    const { homepage } = decode(Schema.fromJsonString(Schema.Struct({ homepage: Schema.String })), read("package.json"))
    const sections = [...runbook.matchAll(/^## (Keelson\w+)$/gm)].map(([, name = ""]) => name)
    assert.deepStrictEqual(sections, rules.map(({ alert }) => alert))
    for (const { alert, annotations } of rules) {
      assert.strictEqual(
        annotations.runbook_url,
        `${homepage}/blob/main/${folder}/runbook.md#${alert.toLowerCase()}`
      )
    }
  })

  it("[S1-38] what is critical fires within two minutes, with time for two scrapes and an evaluation", () => {
    const critical = rules.filter(({ labels }) => labels.severity === "critical")
    assert.isAtLeast(critical.length, 5)
    for (const { alert, for: held = "0s" } of critical) {
      const [, amount = "0", unit] = /^(\d+)([sm])$/.exec(held) ?? []
      const wait = Duration.seconds(Number(amount) * (unit === "m" ? 60 : 1))
      assert.isAtMost(Duration.toSeconds(wait) + 2 * 30 + 30, 120, alert)
    }
  })

  it("each alert fires in a case of promtool's, whose series are those of the metrics", () => {
    const { rule_files, tests } = decode(Cases, parse(read(`${folder}/alerts.test.yaml`)))
    assert.deepStrictEqual(rule_files, ["alerts.yaml"])
    const expected = tests.flatMap(({ promql_expr_test }) =>
      promql_expr_test.flatMap(({ exp_samples }) => exp_samples.map(({ labels }) => labels))
    )
    const fired = new Set(
      expected.flatMap((labels) => [...labels.matchAll(/alertname="(\w+)"/g)].map(([, name = ""]) => name))
    )
    assert.deepStrictEqual([...fired].toSorted(), rules.map(({ alert }) => alert).toSorted())
    for (const { series } of tests.flatMap(({ input_series }) => input_series)) {
      // Prometheus puts `instance` on what it scrapes.
      assert.deepStrictEqual(unknownIn(series).filter((problem) => !problem.endsWith("{instance}")), [], series)
    }
  })

  it("panels have ids of their own, a description, and variables that there are", () => {
    const ids = dashboard.panels.map(({ id }) => id)
    assert.strictEqual(new Set(ids).size, ids.length)
    for (const { description, title, type } of dashboard.panels) {
      if (type !== "row") assert.isDefined(description, title)
    }
    const variables = dashboard.templating.list.map(({ name }) => name)
    for (const [, name] of read(`${folder}/dashboard.json`).matchAll(/\$\{?([a-z]\w*)/g)) {
      assert.include(variables, name)
    }
    for (const { definition, name } of dashboard.templating.list) {
      const [, metric = "", label = ""] = /^label_values\((\w+), (\w+)\)$/.exec(definition ?? "") ?? []
      if (definition !== undefined) assert.include(labelsOf(metric) ?? [], label, name)
    }
  })

  it("every metric is on the dashboard", () => {
    const shown = new Set(targets.flatMap(({ expr }) => parsePromql(expr).selectors.map(({ metric }) => metric)))
    for (const { kind, name } of Object.values(MetricSeries.definitions)) {
      assert.isTrue(shown.has(kind === "histogram" ? `keelson_${name}_bucket` : `keelson_${name}`), name)
    }
  })
})
