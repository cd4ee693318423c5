/**
 * What the presets will do, before they do it, and what jitter does at a cap: `node examples/src/retry-schedules.ts`.
 *
 * Nothing is called and nothing waits.
 */
import { Jitter, RetryDescription, RetryPolicy } from "@keelson/core"
import { Console, Duration, Effect, Random, Schedule } from "effect"
import { bandChart, histogram } from "./schedules/chart.ts"
import { delaysAtCap } from "./schedules/delaysAtCap.ts"

const presets = {
  standard: RetryPolicy.standard,
  jwks: RetryPolicy.jwks,
  tokenGuard: RetryPolicy.tokenGuard,
  objectStore: RetryPolicy.objectStore
}

const showPresets = Effect.forEach(
  Object.entries(presets),
  ([name, policy]) =>
    Effect.flatMap(
      RetryDescription.describe(policy),
      (description) =>
        Console.log(`${name}\n${RetryDescription.format(description)}\n${bandChart(description.delays)}\n`)
    )
)

const cap = Duration.seconds(1)
const growing = Schedule.exponential("100 millis")
const capped = Schedule.min([growing, Schedule.spaced(cap)])

const contenders: ReadonlyArray<readonly [name: string, schedule: Schedule.Schedule<unknown>]> = [
  ["Schedule.jittered after a cap of 1 s: goes over it", Schedule.jittered(capped)],
  [
    "a cap of 1 s after Schedule.jittered: all delays are equal",
    Schedule.min([Schedule.jittered(growing), Schedule.spaced(cap)])
  ],
  ["Jitter.full with a cap of 1 s", growing.pipe(Jitter.full({ cap }))],
  ["Jitter.equal with a cap of 1 s", growing.pipe(Jitter.equal({ cap }))]
]

const showCaps = Effect.forEach(
  contenders,
  ([name, schedule]) =>
    Effect.flatMap(delaysAtCap(schedule, 5000), (delays) => Console.log(`${name}\n${histogram(delays)}\n`))
)

Effect.runSync(Random.withSeed(Effect.andThen(showPresets, showCaps), 1))
