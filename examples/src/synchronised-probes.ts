/**
 * Circuits that open together probe together: `node examples/src/synchronised-probes.ts`.
 *
 * Every process loses its server at the same moment. With equal open durations, all of them send their probes at the same
 * moments for as long as the outage lasts; with different ones, the probes spread out.
 */
import type { Resilience } from "@keelson/core"
import { Simulate } from "@keelson/core/testing"
import { Console, Effect } from "effect"

/** 100 processes with 10 calls per second each. The server refuses connections for three minutes. */
const scenario = {
  processes: 100,
  duration: "4 minutes",
  load: { perSecond: 10 },
  server: { concurrency: 200, serviceTime: "20 millis" },
  outage: { begin: "30 seconds", end: "210 seconds", mode: "refuse" },
  seed: 1
} satisfies Simulate.Options

const breakerOf = (openSeconds: number): Resilience.Options => ({
  breaker: { failureThreshold: 3, openDuration: `${openSeconds} seconds` }
})

/** The jitter of the open duration, by hand: each process draws its own one between 15 and 25 seconds. */
const spread = (process: number): Resilience.Options => breakerOf(15 + 10 * (process * 0.618 % 1))

/** The most probes in one second, after the first failures have opened all circuits. */
const mostProbes = ({ timeline }: Simulate.Report): number =>
  Math.max(...timeline.slice(40, 205).map(({ requests }) => requests))

const show = (name: string, policy: Simulate.Options["policy"]) =>
  Effect.flatMap(
    Simulate.fleet({ ...scenario, policy }),
    (report) =>
      Console.log(`== ${name}\nmost probes in one second: ${mostProbes(report)}\n${Simulate.render(report, 48)}`)
  )

await Effect.runPromise(
  Effect.andThen(show("all open for 20 seconds", breakerOf(20)), show("each open for 15 to 25 seconds", spread))
)
