/** The summary as text that reads well in a plain log. */
import { columns } from "../text.ts"
import type { Summary } from "./summary.ts"
import { phases } from "./timeline.ts"

const seconds = (millis: number): string => `${(millis / 1000).toFixed(2)} s`

const failures = (failed: Readonly<{ [code: string]: number }>): string =>
  Object.entries(failed).map(([code, count]) => `${count} ${code}`).join(", ") || "none"

export const script = (): string =>
  ["The server will, one after another:", ...phases.map(({ name, says }) => `  ${name.padEnd(9)} ${says}`)].join("\n")

const phaseTable = (summary: Summary): string =>
  columns(
    ["phase", "requests", "reached server", "p50", "p95", "failed, as callers saw it"],
    summary.phases.map(({ failed, p50, p95, phase, reachedServer, requests }) => [
      phase,
      String(requests),
      String(reachedServer),
      `${p50} ms`,
      `${p95} ms`,
      failures(failed)
    ])
  )

const totals = (s: Summary): string =>
  `${s.requests} requests, ${s.failed} failed (${s.rejected} of them rejected by the circuit); ` +
  `${s.reachedServer} reached the server, ${s.retries} retries, ${s.probes} probes`

export const format = (summary: Summary): string =>
  [
    phaseTable(summary),
    totals(summary),
    [
      "circuit",
      ...summary.transitions.map(({ at, from, to }) => `  ${seconds(at).padStart(8)}  ${from} > ${to}`)
    ].join("\n"),
    ["promises", ...summary.promises.map(({ kept, text }) => `  ${kept ? "kept  " : "BROKEN"}  ${text}`)].join("\n")
  ].join("\n\n")
