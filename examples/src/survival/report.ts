/** The summary as plain text. */
import { columns } from "../text.ts"
import type { Lookups, Tally } from "./figures.ts"
import type { Summary } from "./summary.ts"
import { bold, green, red } from "./view.ts"

const counted = (tally: Tally): string =>
  Object.entries(tally).map(([name, count]) => `${count} x ${name}`).join(", ") || "none"

const phaseTable = ({ phases }: Summary): string =>
  columns(
    ["phase", "requests", "failed for callers", "metadata", "keys", "tokens", "p50", "p95", "p99"],
    phases.map(({ failed, p50, p95, p99, phase, requests, upstream }) => [
      phase,
      String(requests),
      counted(failed),
      String(upstream.metadata),
      String(upstream.keys),
      String(upstream.token),
      `${p50} ms`,
      `${p95} ms`,
      `${p99} ms`
    ])
  )

const forgedTable = ({ forged }: Summary): string =>
  columns(
    ["bad tokens", "sent", "accepted", "responses"],
    forged.kinds.map(({ accepted, answers, kind, sent }) => [kind, String(sent), String(accepted), counted(answers)])
  )

const share = ({ hits, misses, ratio }: Lookups): string =>
  `${hits} of ${hits + misses} lookups found in memory (${(100 * ratio).toFixed(1)} %)`

const totals = ({ api, failed, forged, keys, requests, tokens, unseenTokens, withdrawnKey }: Summary): string =>
  columns(["", ""], [
    ["calls", `${requests}, ${failed} failed`],
    ["bad tokens", `${forged.sent} sent, ${forged.accepted} accepted`],
    ["keys", `${share(keys)}, ${keys.stale} of them past their lifetime`],
    ["", `${keys.heldBack} lookups of unknown keys caused no request`],
    ["", `${keys.refreshes} refreshes succeeded, ${keys.refreshFailures} failed`],
    ["client tokens", share(tokens)],
    ["", `${tokens.refreshes} refreshes succeeded, ${tokens.refreshFailures} failed`],
    ["API failures", `${api.limited} x 429, ${api.tooSoon} retried too soon; ${api.unavailable} x 503`],
    ["unseen tokens", `responses while the provider was down: ${counted(unseenTokens)}`],
    ["withdrawn key", `responses to its token: ${counted(withdrawnKey)}`]
  ]).split("\n").slice(2).join("\n")

const time = (millis: number | undefined): string =>
  millis === undefined ? "still open" : `${(millis / 1000).toFixed(1)} s`

/** One line for each time that a circuit opened, until a probe closed it. */
const circuits = ({ transitions }: Summary): string => {
  const rows = transitions.flatMap((opened, index) => {
    if (opened.from !== "CLOSED") return []
    const after = transitions.slice(index).filter(({ circuit }) => circuit === opened.circuit)
    const closed = after.find(({ to }) => to === "CLOSED")
    const probes = after.filter(({ at, to }) => to === "HALF_OPEN" && at <= (closed?.at ?? Infinity))
    return [[opened.circuit, time(opened.at), time(closed?.at), String(probes.length)]]
  })
  return rows.length === 0 ? "none opened" : columns(["circuit", "opened", "closed", "probes"], rows)
}

const promiseLines = ({ promises }: Summary): string =>
  promises.map(({ kept, text }) => `${kept ? green("kept  ") : red("BROKEN")}  ${text}`).join("\n")

const section = (title: string, text: string): string => `${bold(title)}\n\n${text}`

export const format = (summary: Summary): string =>
  [
    section("Phases, with the requests that the provider received", phaseTable(summary)),
    ...(summary.forged.sent === 0 ? [] : [section("The flood", forgedTable(summary))]),
    section("Totals", totals(summary)),
    section("Circuits", circuits(summary)),
    section("Promises", promiseLines(summary))
  ].join("\n\n")
