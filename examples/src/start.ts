/**
 * The demo: a real server on 127.0.0.1 that fails in five ways one after another, and callers that reach it through one
 * `Resilience`. `npx -y pnpm@12 start` runs it for about ten seconds. It ends by itself, with exit code 0 where all that
 * Keelson promises was kept.
 */
import { NodeHttpClient, NodeRuntime } from "@effect/platform-node"
import { Metrics, Resilience } from "@keelson/core"
import { Console, Effect, Metric, Random, Result } from "effect"
import { type Log, policyFor, runCallers } from "./demo/callers.ts"
import { type DemoOptions, parseOptions, usage } from "./demo/options.ts"
import { makeOrigin, type Origin } from "./demo/origin.ts"
import { format, script } from "./demo/report.ts"
import { summarize } from "./demo/summary.ts"
import { makeTimeline, type Timeline } from "./demo/timeline.ts"
import { makeWitness } from "./demo/witness.ts"

const counted = Effect.map(
  Metric.snapshot,
  (metrics) =>
    metrics.reduce(
      (sum, { id, state }) =>
        id === "keelson_retry_attempts_total" && "count" in state ? sum + Number(state.count) : sum,
      0
    )
)

/** One line for each second that passes. */
const progress = Effect.fnUntraced(function*(
  origin: Origin,
  timeline: Timeline,
  resilience: Resilience.Resilience,
  { calls }: Log
) {
  let before = { calls: 0, failed: 0, arrivals: 0 }
  for (let second = 1; second <= timeline.seconds; second++) {
    yield* Effect.sleep(Math.max(0, second * 1000 - timeline.now()))
    const now = {
      calls: calls.length,
      failed: calls.filter(({ failed }) => failed !== undefined).length,
      arrivals: origin.arrivals.length
    }
    const state = resilience.breaker === undefined ? "none" : yield* resilience.breaker.state
    const { name } = timeline.at(timeline.now() - 1).phase
    yield* Console.log(
      `${String(second).padStart(3)} s  ${name.padEnd(8)}  ` +
        `${String(now.calls - before.calls).padStart(3)} calls ended, ${
          String(now.failed - before.failed).padStart(3)
        } failed; ` +
        `${String(now.arrivals - before.arrivals).padStart(3)} requests reached the server; circuit ${state}`
    )
    before = now
  }
})

const demo = Effect.fnUntraced(function*({ json, seconds }: DemoOptions) {
  const policy = policyFor(seconds)
  const timeline = yield* makeTimeline(seconds)
  const witness = makeWitness(timeline)
  const origin = yield* makeOrigin(timeline)
  const log: Log = { calls: [], refusals: [] }
  if (!json) yield* Console.log(`Keelson demo: ${seconds} s on ${origin.url}\n${script()}\n`)
  yield* Effect.gen(function*() {
    const resilience = yield* Resilience.make("orders", policy)
    const lines = json ? Effect.void : progress(origin, timeline, resilience, log)
    yield* Effect.all([runCallers(origin, timeline, resilience, log), lines], { concurrency: 2 })
  }).pipe(Effect.provide([witness.layer, NodeHttpClient.layerUndici]))
  const retries = yield* counted
  return summarize({ log, arrivals: origin.arrivals, witness, retries, maxAttempts: policy.retry?.maxAttempts ?? 1 })
})

const main = Effect.fnUntraced(function*(options: DemoOptions) {
  const summary = yield* Effect.scoped(demo(options)).pipe(
    Random.withSeed(options.seed),
    Effect.provide(Metrics.layerIsolated)
  )
  yield* Console.log(options.json ? JSON.stringify({ ...options, ...summary }, undefined, 2) : `\n${format(summary)}`)
  if (summary.promises.some(({ kept }) => !kept)) process.exitCode = 1
})

const options = Result.try({ try: () => parseOptions(process.argv.slice(2)), catch: (cause) => cause })
if (Result.isSuccess(options)) NodeRuntime.runMain(main(options.success))
else {
  console.error(`${options.failure instanceof Error ? options.failure.message : ""}\n${usage}`)
  process.exitCode = 2
}
