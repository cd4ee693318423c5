/** Observes a cache in virtual time: results, events, and all output that leaves the process. */
import { PrometheusEndpoint } from "@keelson/core"
import type { JwksCache, JwksEvent } from "@keelson/jwks"
import { Effect, type Fiber, Logger, References, Stream, Tracer } from "effect"
import { inspect } from "node:util"
import { header } from "./scriptedProvider.ts"

type Cache = JwksCache.JwksCache["Service"]

/** The result of a lookup: the key ids, or the error code. */
export const outcome = (cache: Pick<Cache, "find">, kid?: string): Effect.Effect<string> =>
  Effect.match(cache.find(header(kid)), {
    onSuccess: (found) => found.map((candidate) => candidate.kid ?? "-").join(),
    onFailure: ({ code }) => code
  })

/** Runs an effect up to its first wait. Returns its result, or `undefined` if it waits; it is then interrupted. */
export const atOnce = <A>(self: Effect.Effect<A>): Effect.Effect<A | undefined> =>
  Effect.gen(function*() {
    const fiber: Fiber.Fiber<A> = yield* Effect.forkChild(self, { startImmediately: true })
    const exit = fiber.pollUnsafe()
    fiber.interruptUnsafe()
    return exit?._tag === "Success" ? exit.value : undefined
  })

/** The events of a cache from now on. */
export const eventsOf = Effect.fnUntraced(function*(cache: Cache) {
  const events: Array<JwksEvent.JwksEvent> = []
  const listening = Stream.runForEach(cache.events, (event) => Effect.sync(() => events.push(event)))
  yield* Effect.forkScoped(listening, { startImmediately: true })
  return events
})

/** The value of a series in the Prometheus text. */
export const metric = (name: string, labels: string): Effect.Effect<number | undefined> =>
  Effect.map(PrometheusEndpoint.format, (text) => {
    const line = text.split("\n").find((one) => one.startsWith(`keelson_${name}{${labels}}`))
    return line === undefined ? undefined : Number(line.split(" ")[1])
  })

/** Discards the log, since a property fails a hundred fetches. */
export const quiet = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(self, References.MinimumLogLevel, "None")

/** Collects the spans and log lines of the effect that this is provided to. */
export const recording = () => {
  const spans: Array<Tracer.NativeSpan> = []
  const lines: Array<string> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  const logger = Logger.map(Logger.formatJson, (line) => {
    lines.push(line)
  })
  const record = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    self.pipe(
      Effect.withTracer(tracer),
      Effect.provide(Logger.layer([logger])),
      Effect.provideService(References.MinimumLogLevel, "All")
    )
  return { spans, lines, record }
}

/** A span with all its data, as text. */
export const spanText = (span: Tracer.NativeSpan): string =>
  inspect([span.name, span.attributes, span.events, span.status._tag === "Ended" ? span.status.exit : undefined], {
    depth: 12
  })
