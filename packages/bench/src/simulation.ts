/**
 * Times simulations of 200 processes for ten simulated minutes, which a user runs as a test. It measures processor time: what a
 * simulation takes on an idle machine.
 */
import type { Resilience } from "@keelson/core"
import { Simulate } from "@keelson/core/testing"
import { Effect } from "effect"
import type { Figures, Finding } from "./figures.ts"
import { step } from "./progress.ts"

const group = "200 simulated processes for 10 minutes"

/** A fleet at 80 % of the server's capacity, and an outage of two minutes. */
const scenario = {
  processes: 200,
  duration: "10 minutes",
  load: { perSecond: 1 },
  server: { concurrency: 25, queue: 1000, serviceTime: "100 millis" },
  outage: { begin: "2 minutes", end: "4 minutes", mode: "hang" }
} satisfies Simulate.Options

const attemptTimeout = "1 second"
const retry = { maxAttempts: 3, initialDelay: "100 millis" } as const

const policies: Readonly<Record<string, { readonly policy: Resilience.Options; readonly isMetastable: boolean }>> = {
  "retries with a budget, and a breaker": {
    policy: { attemptTimeout, retry: { ...retry, budget: { ratio: 0.1 } }, breaker: {} },
    isMetastable: false
  },
  "a retry storm that never ends": { policy: { attemptTimeout, retry }, isMetastable: true }
}

/** The time of a simulation. Fails if its outcome is not the one that the policy has. */
const timeOf = Effect.fnUntraced(function*(name: string): Effect.fn.Return<Finding, string> {
  const { isMetastable, policy } = policies[name]!
  const start = process.cpuUsage()
  const report = yield* Effect.mapError(Simulate.fleet({ ...scenario, policy }), (error) => error.message)
  const { system, user } = process.cpuUsage(start)
  const value = Math.round((system + user) / 1000)
  if (report.metastable !== isMetastable) {
    return yield* Effect.fail(`${group}: ${name}: ${Simulate.render(report)}`)
  }
  return { group, what: name, value, unit: "ms", aim: { is: "at most", value: 20_000 } }
})

export const simulations: Effect.Effect<Figures, string> = Effect.map(
  Effect.forEach(Object.keys(policies), (name) => step(`simulation: ${name}`, timeOf(name))),
  (findings) => ({ comparisons: [], nanoseconds: [], findings })
)
