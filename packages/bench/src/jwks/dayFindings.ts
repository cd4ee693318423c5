/** The figures of the simulated day. */
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import type { Aim, Finding } from "../figures.ts"
import { type Day, simulate } from "./day.ts"

const group = "simulated day"
const day: Day = { providers: 50, hours: 24, lead: 30, seed: 1 }

const run = (of: Day) => simulate(of).pipe(Effect.scoped, Effect.provide(TestClock.layer()))

const finding = (what: string, value: number, unit: Finding["unit"], is?: Aim["is"], limit = 0): Finding => ({
  group,
  what,
  value,
  unit,
  ...(is === undefined ? undefined : { aim: { is, value: limit } })
})

/** Runs the day with keys published 30 minutes before they sign, and again with 5, the lifetime of a document. */
export const simulatedDay: Effect.Effect<ReadonlyArray<Finding>> = Effect.gen(function*() {
  const report = yield* run(day)
  const late = yield* run({ ...day, lead: 5 })
  const share = (part: number, of: number): number => 100 * part / of
  return [
    finding("lookups", report.lookups, ""),
    finding("failed lookups", report.failedLookups, "", "exactly", 0),
    finding(
      "lookups in an outage of their provider that failed",
      share(report.failedInOutages, report.lookupsInOutages),
      "%",
      "at most",
      0.1
    ),
    finding(
      "refreshes that began outside outages and succeeded",
      share(report.refreshes - report.failedRefreshes, report.refreshes),
      "%",
      "at least",
      99.5
    ),
    finding(
      "conditional share of requests made with a stored validator",
      share(report.conditional, report.withValidator),
      "%",
      "exactly",
      100
    ),
    finding(
      "successful refreshes answered with 304",
      share(report.notModified, report.succeeded),
      "%",
      "at least",
      80
    ),
    finding("hits served stale", share(report.stale, report.hits), "%", "at most", 5),
    finding("successful refreshes per provider", report.succeeded / day.providers, ""),
    finding("requests per provider", report.requests / day.providers, ""),
    finding("keys published 5 minutes ahead: failed lookups", share(late.failedLookups, late.lookups), "%")
  ]
})
