/**
 * See it survive: a real OpenID provider, an API that is protected with its tokens, and a client that calls the API, all on
 * 127.0.0.1. `npx -y pnpm@12 start` plays a script of 45 seconds in which keys are rotated and withdrawn, bad tokens come in by
 * the hundred, the provider goes down and the API fails. It ends by itself, with exit code 0 where all that Keelson promises
 * was kept, and 1 where it was not.
 *
 * What one sees, and why: docs/demo.md. Read on with survival/script.ts, survival/server.ts and survival/client.ts.
 */
import { NodeHttpClient, NodeRuntime } from "@effect/platform-node"
import { KeelsonError, Metrics } from "@keelson/core"
import { Console, Effect, Layer, Random, References, Result } from "effect"
import { makeCast } from "./survival/cast.ts"
import { runCallers } from "./survival/client.ts"
import { play } from "./survival/director.ts"
import { serveMetrics } from "./survival/metricsPage.ts"
import { parseOptions, type SurvivalOptions, usage } from "./survival/options.ts"
import { format } from "./survival/report.ts"
import { actsOf } from "./survival/script.ts"
import { summarize } from "./survival/summary.ts"
import { announce, watch } from "./survival/view.ts"
import * as Telemetry from "./telemetry.ts"

const refuse = (message: string): void => {
  console.error(`${message}\n${usage}`)
  process.exitCode = 2
}

const survive = Effect.fnUntraced(function*({ config, json, phase, seconds, serve }: SurvivalOptions) {
  const cast = yield* makeCast(config)
  const { guard, notes, stage } = cast
  const page = serve ? yield* serveMetrics : undefined
  const acts = actsOf(phase, seconds)
  const end = acts.at(-1)?.until ?? 0
  stage.begin()
  yield* Effect.all([
    play(cast, acts, json ? () => Effect.void : announce),
    runCallers(guard, stage, end, (call) => notes.calls.push(call)),
    json ? Effect.void : watch(cast, end)
  ], { concurrency: "unbounded" })
  const summary = yield* summarize(cast, acts)
  yield* Console.log(json ? JSON.stringify(summary, undefined, 2) : `\n${format(summary)}`)
  if (summary.promises.some(({ kept }) => !kept)) process.exitCode = 1
  if (page === undefined) return
  yield* (json ? Console.error : Console.log)(`\nCalls go on until you stop them. Metrics: ${page}`)
  yield* runCallers(guard, stage, Infinity, () => {})
})

const main = (options: SurvivalOptions) =>
  survive(options).pipe(
    Effect.scoped,
    Random.withSeed(options.seed),
    // The warnings about each outage, with their stacks, would tear the view apart.
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
if (Result.isSuccess(options)) NodeRuntime.runMain(main(options.success))
else refuse(options.failure instanceof Error ? options.failure.message : "")
