/**
 * A server that stays down after its outage, because of the retries of its callers: `node examples/src/retry-storm.ts`.
 *
 * The fleet is simulated three times in virtual time, with the same calls: without a budget, with one, and with a budget and a
 * breaker. Copy `scenario` into a test, put your own numbers into it, and assert what the report says.
 */
import type { Resilience } from "@keelson/core"
import { Simulate } from "@keelson/core/testing"
import { Console, Effect } from "effect"

/** 160 calls per second at a server that can do 200. It hangs for half a minute. */
const scenario = {
  processes: 40,
  duration: "3 minutes",
  load: { perSecond: 4 },
  // A full queue takes four seconds: longer than a caller waits. Then all work is done for callers that have gone.
  server: { concurrency: 10, queue: 800, serviceTime: "50 millis" },
  outage: { begin: "30 seconds", end: "60 seconds", mode: "hang" },
  seed: 1
} satisfies Simulate.Options

const attemptTimeout = "1 second"
const retry = { maxAttempts: 3, initialDelay: "100 millis" } as const
const budget = { ratio: 0.1, minPerSecond: 0 } as const

const policies: Readonly<Record<string, Resilience.Options>> = {
  "three attempts": { attemptTimeout, retry },
  "three attempts within a budget of 10 %": { attemptTimeout, retry: { ...retry, budget } },
  "and a breaker": { attemptTimeout, retry: { ...retry, budget }, breaker: { openDuration: "5 seconds" } }
}

await Effect.runPromise(
  Effect.forEach(Object.entries(policies), ([name, policy]) =>
    Effect.flatMap(
      Simulate.fleet({ ...scenario, policy }),
      (report) => Console.log(`== ${name}\n${Simulate.render(report, 18)}`)
    ))
)
