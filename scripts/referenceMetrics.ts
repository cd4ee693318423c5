/** docs/reference/metrics.md, from the definitions of the metrics. */
import { Metrics } from "@keelson/core"
import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import { code, page, table } from "./referenceMarkdown.ts"

/** The default prefix of every metric's name; `Metrics.Prefix` changes it. */
export const defaultPrefix = Metrics.Prefix.defaultValue()

const row = ({ description, kind, labels, name, unit }: MetricSeries.Definition): ReadonlyArray<string> => [
  code(defaultPrefix + name),
  kind,
  unit,
  labels.length === 0 ? "none" : labels.map(code).join(", "),
  description
]

const intro = [
  `Names begin with \`${defaultPrefix}\`; \`Metrics.Prefix\` changes that for a whole program. Labels have few values: never a`,
  "URL, a key id, a token or a subject. The guide is [observability.md](../guides/observability.md)."
].join("\n")

const head = ["Name", "Kind", "Unit", "Labels", "Meaning"]

export const metricsPage = (): string =>
  page("Metrics", [intro, table(head, Object.values(MetricSeries.definitions).map(row))])
