import { assert, describe, it } from "@effect/vitest"
import { Metrics, Problem, PrometheusEndpoint } from "@keelson/core"
import { recording, spanText } from "@keelson/testing/observe"
import { Cause, Effect, Exit, Fiber, Option } from "effect"
import { HttpBody, HttpClientError, HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import { inspect } from "node:util"
import { guardOver, makeSource, origin, type Reply, scripted } from "./guardSupport.ts"

const secrets = {
  token: "SecretToken0123456789",
  query: "SecretQuery0123456789",
  body: "SecretBody0123456789",
  answer: "SecretAnswer0123456789",
  location: "SecretLocation0123456789"
}

const status = (code: number, headers: Record<string, string> = {}): Reply => () =>
  Effect.sync(() => new Response(secrets.answer, { status: code, headers }))

const replies: ReadonlyArray<Reply> = [
  status(200),
  status(401),
  status(503, { "retry-after": "1" }),
  status(302, { location: `https://elsewhere.example/?token=${secrets.location}` }),
  status(302, { location: `http://elsewhere.example/${secrets.location}` }),
  (request) =>
    Effect.fail(
      new HttpClientError.HttpClientError({
        reason: new HttpClientError.TransportError({ request, cause: new Error("socket hang up") })
      })
    ),
  () => Effect.never,
  () => Effect.die(new Error("a bug"))
]

/** Collects all texts of an error; errors of the application's HttpClient separately. */
const shown = (exit: Exit.Exit<unknown, unknown>, output: Array<string>, foreign: Array<string>): void => {
  const error = Option.getOrUndefined(Exit.findErrorOption(exit))
  if (error === undefined) return
  output.push(JSON.stringify(Problem.encode(error)))
  const texts = [inspect(error, { depth: 10 }), JSON.stringify(error), Cause.pretty(Cause.fail(error))]
  if (error instanceof Error) texts.push(`${error.message} ${error.stack} ${inspect(error.cause, { depth: 10 })}`)
  if (HttpClientError.isHttpClientError(error)) foreign.push(...texts)
  else output.push(...texts)
}

describe("TokenGuard secrets", () => {
  it.effect("[R21] [T5] errors, logs, spans and metrics contain neither the token nor anything of requests and responses", () => {
    const { lines, record, spans } = recording()
    return record(Effect.gen(function*() {
      const output: Array<string> = []
      const foreign: Array<string> = []
      const api = scripted((request, number) => (replies[number % replies.length] ?? status(200))(request, number))
      const source = makeSource(secrets.token)
      for (
        const resilience of [undefined, {
          deadline: "20 seconds",
          retry: { maxAttempts: 3, initialDelay: "10 millis" },
          breaker: { failureThreshold: 3, openDuration: "1 second" }
        }] as const
      ) {
        const guard = yield* guardOver(api, { source: source.source, resilience })
        for (let i = 0; i < 20; i++) {
          source.isDown = i % 7 === 6
          const url = `${i % 5 === 4 ? "https://elsewhere.example" : origin}/rows?key=${secrets.query}`
          const request = guard.post(url, {
            body: HttpBody.text(secrets.body),
            headers: { "idempotency-key": String(i) }
          })
          const fiber = yield* Effect.forkChild(Effect.exit(Effect.timeout(request, "10 seconds")))
          yield* TestClock.adjust("40 seconds")
          const exit = fiber.pollUnsafe()
          if (exit?._tag === "Success") shown(exit.value, output, foreign)
          const sent = yield* Effect.forkChild(Effect.exit(guard.send("append_rows", HttpClientRequest.get(url))))
          yield* TestClock.adjust("40 seconds")
          const ended = sent.pollUnsafe()
          yield* Effect.all([Fiber.interrupt(fiber), Fiber.interrupt(sent)])
          if (ended?._tag !== "Success") continue
          if (Exit.isFailure(ended.value)) {
            shown(ended.value, output, foreign)
            continue
          }
          const { error, kind } = ended.value.value
          output.push(kind)
          shown(error === undefined ? Exit.void : Exit.fail(error), output, foreign)
        }
        output.push(inspect(yield* guard.provider.status, { depth: 10 }), JSON.stringify(yield* guard.provider.get))
      }
      output.push(yield* PrometheusEndpoint.format)
      assert.isAbove(output.length, 60)
      assert.isAbove(spans.length, 20)
      const isHere = (texts: ReadonlyArray<string>, secret: string) =>
        texts.filter((text) => text.includes(secret)).map((text) => text.slice(0, 300))
      assert.isEmpty(isHere([...foreign, ...output, ...lines, ...spans.map(spanText)], secrets.token))
      // Spans of the application's HttpClient are not the guard's.
      const own = spans.filter(({ name }) => name.startsWith("Token")).map((
        { attributes, events, name, status: ended }
      ) =>
        inspect([
          name,
          attributes,
          events,
          ended._tag === "Ended" && Exit.isFailure(ended.exit) ? ended.exit : undefined
        ], {
          depth: 12
        })
      )
      assert.isAbove(own.length, 20)
      for (const [name, secret] of Object.entries(secrets)) {
        assert.isEmpty(isHere([...output, ...lines, ...own], secret), name)
      }
    })).pipe(Effect.provide(Metrics.layerIsolated))
  })
})
