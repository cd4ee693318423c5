/**
 * Runs in a network namespace in which this program is the name server. Measures the application's own `dns.lookup` in turns: while nothing else
 * runs, and while 100 providers wait for a name server that does not answer. Prints the times as JSON.
 */
import { JwksRegistry } from "@keelson/jwks"
import * as NodeEgress from "@keelson/jwks/NodeEgress"
import { Context, Effect, Layer, References } from "effect"
import { lookup } from "node:dns/promises"
import { Worker } from "node:worker_threads"

/** The times of the lookups in milliseconds, and how many fetches were running after each turn with hanging ones. */
export interface Times {
  readonly idle: ReadonlyArray<number>
  readonly hanging: ReadonlyArray<number>
  readonly pending: ReadonlyArray<number>
}

const providers = 100
const turn = 3_000

const server = Effect.acquireRelease(
  Effect.callback<Worker>((resume) => {
    const worker = new Worker(new URL("server.ts", import.meta.url))
    worker.once("message", () => resume(Effect.succeed(worker)))
  }),
  (worker) => Effect.promise(() => worker.terminate())
)

let serial = 0

/** Looks up names for some milliseconds, one every 5. */
const lookups = Effect.fnUntraced(function*(millis: number) {
  const times: Array<number> = []
  const end = performance.now() + millis
  while (performance.now() < end) {
    const began = performance.now()
    yield* Effect.promise(() => lookup(`app${++serial}.example`))
    times.push(performance.now() - began)
    yield* Effect.sleep("5 millis")
  }
  return times
})

/** Lookups while every provider has a fetch that waits for its name. */
const hanging = Effect.gen(function*() {
  const context = yield* Layer.build(
    Layer.provide(JwksRegistry.layer, Layer.orDie(NodeEgress.layer({ proxy: "none" })))
  )
  const registry = Context.get(context, JwksRegistry.JwksRegistry)
  for (let index = 0; index < providers; index++) {
    const issuer = `https://t${index}.dead.example`
    yield* registry.put({ tenantId: "bench", providerId: `p${index}` }, { issuer, url: `${issuer}/jwks.json` })
    yield* Effect.forkScoped(
      Effect.exit(registry.resolve({ tenantId: "bench", providerId: `p${index}` }, { alg: "RS256", kid: "a" }))
    )
  }
  yield* Effect.sleep("200 millis")
  const times = yield* lookups(turn)
  const pending = (yield* registry.statuses()).filter(({ status }) => status.state === "Loading").length
  return { times, pending }
}).pipe(Effect.scoped)

const measured = Effect.fnUntraced(function*(minutes: number): Effect.fn.Return<Times, unknown> {
  const idle: Array<number> = []
  const all: Array<number> = []
  const pending: Array<number> = []
  yield* lookups(500)
  const end = performance.now() + minutes * 60_000
  do {
    idle.push(...(yield* lookups(turn)))
    const found = yield* hanging
    all.push(...found.times)
    pending.push(found.pending)
  } while (performance.now() < end)
  return { idle, hanging: all, pending }
})

const times = await Effect.runPromise(
  Effect.andThen(server, measured(Number(process.argv[2]))).pipe(
    Effect.scoped,
    Effect.provideService(References.MinimumLogLevel, "None")
  )
)
process.stdout.write(JSON.stringify(times), () => process.exit())
