import { assert, describe, it } from "@effect/vitest"
import { exhausted } from "@keelson/testing/exits"
import { runOut } from "@keelson/testing/virtualTime"
import { Cause, Data, Effect, Logger, Metric, Redacted, References, Tracer } from "effect"
import { HttpClient, HttpClientError, HttpClientRequest, HttpClientResponse } from "effect/http"
import { inspect } from "node:util"
import {
  BreakerStore,
  KeelsonError,
  Metrics,
  Problem,
  PrometheusEndpoint,
  Redaction,
  Resilience,
  Retry,
  RetryPolicy
} from "../src/index.ts"
import { secrets, survives } from "./secrets.ts"

class Wrapped extends Data.TaggedError("Wrapped")<{ readonly message: string; readonly cause: unknown }> {}

/** Texts in which each secret of the corpus stands; all of them are the tests of `Redaction`. */
const carriers = secrets.flatMap(({ carriers }) =>
  [...carriers.slice(0, 2), ...carriers.slice(-1)].map((carrier) => ({ carrier }))
)

/** Errors that hold a text wherever an error can hold one. */
const planted = (carrier: string): ReadonlyArray<unknown> => {
  const request = HttpClientRequest.post("https://idp.test/token?client_secret=zzz-planted-zzz", {
    headers: { authorization: `Bearer ${carrier.replaceAll(/[^\x20-\x7e]/g, "")}`, "x-note": "n" }
  }).pipe(HttpClientRequest.bodyText(carrier))
  const response = HttpClientResponse.fromWeb(request, new Response(carrier, { status: 503 }))
  return [
    new Error(carrier),
    new Wrapped({ message: "outer", cause: new Error("middle", { cause: new Error(carrier) }) }),
    new AggregateError([new Error(carrier)], carrier),
    new HttpClientError.HttpClientError({
      reason: new HttpClientError.TransportError({ request, cause: new Error(carrier), description: carrier })
    }),
    new HttpClientError.HttpClientError({
      reason: new HttpClientError.StatusCodeError({ request, response, description: carrier })
    }),
    { message: carrier, details: { note: carrier } },
    { _tag: carrier },
    Object.assign(new Error("named"), { name: carrier }),
    carrier
  ]
}

/** What an error shows of itself, in every way that it is shown. */
const shown = (error: unknown): ReadonlyArray<string> => [
  String(error),
  JSON.stringify(error) ?? "",
  inspect(error, { depth: 10, showHidden: false }),
  JSON.stringify(Problem.encode(error)),
  JSON.stringify(Problem.toProblemDetails(error)),
  error instanceof Error ? `${error.message} ${error.stack} ${inspect(error.cause, { depth: 10 })}` : "",
  Cause.pretty(Cause.fail(error)),
  Cause.pretty(Cause.die(error))
]

/** Searched once for all of it: the search looks for each part of each secret. */
const assertClean = (outputs: ReadonlyArray<string>): void => {
  const output = outputs.join("\n")
  assert.deepStrictEqual(survives(output), [])
  assert.notInclude(output, "zzz-planted-zzz")
}

/** Everything that leaves the process while an effect runs: log lines and ended spans. */
const observed = Effect.fnUntraced(function*<A, E, R>(self: Effect.Effect<A, E, R>) {
  const lines: Array<string> = []
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      // The span of a request is Effect's: it ends with the client's own error, which is not ours to redact.
      if (span.kind !== "client") spans.push(span)
      return span
    }
  })
  const logger = Logger.map(Logger.formatJson, (line) => {
    lines.push(line)
  })
  yield* self.pipe(
    Effect.withTracer(tracer),
    Effect.provide(Logger.layer([logger])),
    Effect.provideService(References.MinimumLogLevel, "All")
  )
  const ended = spans.map((span) =>
    inspect([span.name, span.attributes, span.events, span.status._tag === "Ended" ? span.status.exit : undefined], {
      depth: 12
    })
  )
  return [...lines, ...ended]
})

describe("Secrets", () => {
  it("[R21] [S3-06] a coded error with a secret in message, details or cause shows none of it", () => {
    assert.isAtLeast(secrets.length, 60)
    const outputs = carriers.flatMap(({ carrier }) => {
      const error = KeelsonError.make({
        code: "NETWORK_ERROR",
        message: `failed: ${carrier}`,
        details: { url: carrier, nested: { list: [carrier] }, token: carrier, [`key ${carrier}`]: 1 },
        cause: planted(carrier)[1]
      })
      return shown(error)
    })
    assertClean(outputs)
  })

  it("[R21] [S3-06] an error without a code shows nothing of itself when it is encoded", () => {
    const errors = carriers.flatMap(({ carrier }) => planted(carrier))
    assertClean(errors.map((error) => JSON.stringify([Problem.encode(error), Problem.toProblemDetails(error)])))
  })

  it.effect("[R21] [K-16] a retry that gave up shows no secret of its attempts, and keeps the last error as it was", () =>
    Effect.gen(function*() {
      const policy = RetryPolicy.make({ maxAttempts: 2, initialDelay: "0 millis" })
      const outputs: Array<string> = []
      for (const [index, { carrier }] of carriers.entries()) {
        const kinds = planted(carrier)
        const planned = kinds[index % kinds.length]
        const { exit } = yield* runOut(Retry.retry(Effect.fail(planned), policy, { while: () => true }), "1 milli")
        const error = exhausted(exit)
        assert.strictEqual(error.error, planned)
        outputs.push(...shown(error), JSON.stringify(error.attempts.map((attempt) => attempt.error)))
      }
      assertClean(outputs)
    }))

  it.effect("[R21] no log line, span, metric or label of a guarded call holds a secret of its failure", () =>
    Effect.gen(function*() {
      const resilience = yield* Resilience.make("idp", {
        deadline: "1 minute",
        retry: { maxAttempts: 2, initialDelay: "0 millis" },
        breaker: { failureThreshold: 10_000 }
      })
      const all: Array<string> = []
      for (const { carrier } of carriers) {
        const request = HttpClientRequest.get("https://idp.test/token?client_secret=zzz-planted-zzz", {
          headers: { authorization: "Bearer zzz-planted-zzz" }
        })
        const client = HttpClient.make((request) =>
          Effect.fail(
            new HttpClientError.HttpClientError({
              reason: new HttpClientError.TransportError({ request, cause: new Error(carrier) })
            })
          )
        )
        const call = resilience.http(client).execute(request).pipe(
          Effect.withSpan("call"),
          Effect.tapCause((cause) => Effect.logError("the call failed", cause)),
          Effect.ignore
        )
        const own = resilience.execute(Effect.fail(new Wrapped({ message: carrier, cause: new Error(carrier) }))).pipe(
          Effect.withSpan("own"),
          Effect.tapError((error) => Effect.logError(error)),
          Effect.ignore
        )
        const outputs = yield* observed(Effect.andThen(call, own))
        assert.strictEqual(outputs.length, 4)
        all.push(...outputs)
      }
      assertClean([...all, JSON.stringify(yield* Metric.snapshot), yield* PrometheusEndpoint.format])
    }).pipe(Effect.provide([BreakerStore.layerMemory, Metrics.layerIsolated])))

  it.effect("[R21] a logger that is redacted lets no secret through, whatever is logged", () =>
    Effect.gen(function*() {
      const all: Array<string> = []
      for (const { carrier } of carriers) {
        const lines: Array<string> = []
        const logger = Logger.map(Redaction.logger(Logger.formatJson), (line) => {
          lines.push(line)
        })
        const wrong = Effect.logError(carrier, { carrier }, new Error(carrier), Cause.die(new Error(carrier))).pipe(
          Effect.annotateLogs({ carrier }),
          Effect.withLogSpan("span"),
          Effect.provide(Logger.layer([logger]))
        )
        yield* wrong
        assert.strictEqual(lines.length, 1)
        all.push(...lines)
      }
      assertClean(all)
    }))

  it("a Redacted value stays redacted in details", () => {
    const error = KeelsonError.make({
      code: "INVALID_CONFIG",
      details: { clientSecret: Redacted.make("zzz-planted-zzz") }
    })
    assertClean(shown(error))
  })
})
