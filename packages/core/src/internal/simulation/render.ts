import type { Phase, Report } from "../../testing/Simulate.ts"

const seconds = (millis: number): string => `${Math.round(millis / 100) / 10} s`

/** A table with columns of equal width; numbers are on the right. */
const table = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows
    .map((row) =>
      row.map((cell, column) => column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))
        .join("  ").trimEnd()
    )
    .join("\n")
}

const percent = (share: number): string => `${Math.round(share * 1000) / 10} %`

const phaseRow = (name: string, phase: Phase): ReadonlyArray<string> => [
  name,
  `${seconds(phase.beginMillis)} to ${seconds(phase.endMillis)}`,
  String(phase.calls),
  percent(phase.goodShare),
  String(phase.goodPerSecond),
  String(phase.requestsPerCall),
  String(phase.peakRequestsPerCall),
  String(phase.wasted),
  `${phase.p50Millis} ms`,
  `${phase.p99Millis} ms`,
  String(phase.peakOpenCircuits)
]

const phaseHead = [
  "phase",
  "time",
  "calls",
  "good",
  "good/s",
  "requests/call",
  "peak",
  "wasted",
  "P50",
  "P99",
  "open circuits"
]

const bar = (value: number, highest: number, width: number): string =>
  "#".repeat(highest === 0 ? 0 : Math.round(value / highest * width))

interface Row {
  readonly at: number
  readonly calls: number
  readonly good: number
  readonly requests: number
  readonly load: number
  readonly open: number
}

/** The timeline in at most `rows` rows of equal length. */
const rowsOf = ({ resolutionMillis, timeline }: Report, rows: number): ReadonlyArray<Row> => {
  const size = Math.max(1, Math.ceil(timeline.length / rows))
  return Array.from({ length: Math.ceil(timeline.length / size) }, (_, index) => {
    const own = timeline.slice(index * size, (index + 1) * size)
    const length = own.length * resolutionMillis / 1000
    const rate = (field: "calls" | "good" | "requests"): number =>
      Math.round(own.reduce((total, moment) => total + moment[field], 0) / length * 10) / 10
    const most = (field: "load" | "openCircuits"): number =>
      own.reduce((highest, moment) => Math.max(highest, moment[field]), 0)
    return {
      at: own[0]!.atMillis,
      calls: rate("calls"),
      good: rate("good"),
      requests: rate("requests"),
      load: most("load"),
      open: most("openCircuits")
    }
  })
}

const mark = ({ after, during }: Report, at: number): string =>
  at >= during.beginMillis && at < after.beginMillis ? "!" : ""

const verdict = ({ during, metastable, recoveryMillis }: Report): string => {
  if (during.endMillis === during.beginMillis) return "no outage"
  if (recoveryMillis !== null) return `recovered ${seconds(recoveryMillis)} after the cause was gone`
  return metastable
    ? "stayed down after the cause was gone (metastable)"
    : "the simulation ended before the cause was gone"
}

/** A report as text. Rates are per second; `!` marks the outage or surge. */
export const renderReport = (report: Report, rows = 24): string => {
  const { after, before, during, processes, seed, total } = report
  const chart = rowsOf(report, Math.max(1, rows))
  const highest = Math.max(...chart.map(({ requests }) => requests))
  const phases = during.endMillis === during.beginMillis
    ? [phaseRow("all", total)]
    : [phaseRow("before", before), phaseRow("during", during), phaseRow("after", after)]
  return [
    `${processes} processes, ${seconds(report.durationMillis)}, seed ${seed}: ${verdict(report)}`,
    "",
    table([phaseHead, ...phases]),
    "",
    table([
      ["time", "", "calls/s", "good/s", "requests/s", "at server", "open", " "],
      ...chart.map((row) => [
        seconds(row.at),
        mark(report, row.at),
        String(row.calls),
        String(row.good),
        String(row.requests),
        String(row.load),
        String(row.open),
        bar(row.requests, highest, 30).padEnd(30)
      ])
    ]),
    ""
  ].join("\n")
}
