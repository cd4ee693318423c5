/**
 * See it survive: a real OpenID provider, an API that is protected with its tokens, and a client that calls the API, all on
 * 127.0.0.1. `npx -y pnpm@12 start` plays a script of 45 seconds in which keys are rotated and withdrawn, hundreds of bad tokens
 * arrive, the provider goes down and the API fails. The exit code is 0 if every promise of Keelson was kept, and 1 otherwise.
 *
 * docs/demo.md explains the output. Read on with survival/script.ts, survival/server.ts and survival/client.ts.
 */
import { NodeHttpClient, NodeRuntime } from "@effect/platform-node"
import { KeelsonError, Metrics } from "@keelson/core"
import { Console, Effect, Layer, Random, References, Result } from "effect"
import { runCallers } from "./survival/client.ts"
import { makeDemo } from "./survival/demo.ts"
import { serveMetrics } from "./survival/metricsPage.ts"
import { parseOptions, type SurvivalOptions, usage } from "./survival/options.ts"
import { runPhases } from "./survival/phases.ts"
import { format } from "./survival/report.ts"
import { schedulePhases } from "./survival/script.ts"
import { summarize } from "./survival/summary.ts"
import { announce, watch } from "./survival/view.ts"
import * as Telemetry from "./telemetry.ts"

const refuse = (message: string): void => {
  console.error(`${message}\n${usage}`)
  process.exitCode = 2
}

const survive = Effect.fnUntraced(function*({ config, json, phase, seconds, serve }: SurvivalOptions) {
  const demo = yield* makeDemo(config)
  const { clock, guard, observations } = demo
  const page = serve ? yield* serveMetrics : undefined
  const schedule = schedulePhases(phase, seconds)
  const end = schedule.at(-1)?.until ?? 0
  clock.start()
  yield* Effect.all([
    runPhases(demo, schedule, json ? () => Effect.void : announce),
    runCallers(guard, clock, end, (call) => observations.calls.push(call)),
    json ? Effect.void : watch(demo, end)
  ], { concurrency: "unbounded" })
  const summary = yield* summarize(demo, schedule)
  yield* Console.log(json ? JSON.stringify(summary, undefined, 2) : `\n${format(summary)}`)
  if (summary.promises.some(({ kept }) => !kept)) process.exitCode = 1
  if (page === undefined) return
  yield* (json ? Console.error : Console.log)(`\nCalls continue until you stop the demo. Metrics: ${page}`)
  yield* runCallers(guard, clock, Infinity, () => {})
})

const main = (options: SurvivalOptions) =>
  survive(options).pipe(
    Effect.scoped,
    Random.withSeed(options.seed),
    // Hides the warnings about each outage, which would disturb the output.
    Effect.provideService(References.MinimumLogLevel, "None"),
    Effect.catchIf(
      (error) => error instanceof KeelsonError.ConfigurationError,
      ({ message }) => Effect.sync(() => refuse(message))
    ),
    Effect.provide(
      Layer.merge(NodeHttpClient.layerUndici, Telemetry.layer("keelson-survival")).pipe(
        Layer.provideMerge(Metrics.layerIsolated)
      )
    )
  )

const options = Result.try({ try: () => parseOptions(process.argv.slice(2)), catch: (cause) => cause })
if (Result.isFailure(options)) refuse(options.failure instanceof Error ? options.failure.message : "")
else if (options.success.help) console.log(usage)
else NodeRuntime.runMain(main(options.success))
