/** Callers that make the same request at a steady rate, through one `Resilience`. */
import { ErrorCode, type Resilience, ResiliencePolicy } from "@keelson/core"
import { Effect, FiberSet, Result } from "effect"
import { HttpClient } from "effect/http"
import { callHeader, type Origin } from "./origin.ts"
import type { Phase, Timeline } from "./timeline.ts"
import { CallId } from "./witness.ts"

/** One call as its caller saw it. */
interface Call {
  readonly id: string
  /** The phase in which it began. */
  readonly phase: Phase["name"]
  readonly millis: number
  /** The catalogue code of its error. */
  readonly failed: ErrorCode.ErrorCode | undefined
}

/** A caller was told 429, before the delay of its retry. */
interface Refusal {
  readonly call: string
  /** Milliseconds since the script began. */
  readonly at: number
}

/** What the callers note; it grows while they run. */
export interface Log {
  readonly calls: Array<Call>
  readonly refusals: Array<Refusal>
}

const perSecond = 40

/** Times shrink with a shorter script, down to what a busy machine still keeps. `Retry-After` counts whole seconds. */
export const policyFor = (seconds: number): ResiliencePolicy.ResiliencePolicy => {
  const millis = (amount: number, least: number) =>
    `${Math.max(least, Math.round((amount * seconds) / 10))} millis` as const
  return ResiliencePolicy.make({
    deadline: "3 seconds",
    attemptTimeout: millis(Math.min(120, 1200 / seconds), 60),
    retry: { maxAttempts: 4, initialDelay: "40 millis", maxDelay: "160 millis", jitter: "full" },
    breaker: { failureThreshold: 5, openDuration: millis(400, 100) }
  })
}

const codeOf = (error: unknown): ErrorCode.ErrorCode => ErrorCode.codeOf(error) ?? "INTERNAL_ERROR"

/** Calls until the script is over, then waits for the last of them. */
export const runCallers = Effect.fnUntraced(function*(
  origin: Origin,
  timeline: Timeline,
  resilience: Resilience.Resilience,
  log: Log
) {
  const client = resilience.http(yield* HttpClient.HttpClient, {
    onRetry: ({ error }) =>
      Effect.map(CallId, (call) => {
        if (codeOf(error) === "RATE_LIMITED") log.refusals.push({ call, at: timeline.now() })
      })
  })
  const call = Effect.fnUntraced(function*(id: string) {
    const began = timeline.now()
    const result = yield* client.get(`${origin.url}/orders`, { headers: { [callHeader]: id } }).pipe(
      Effect.flatMap((response) => response.text),
      Effect.provideService(CallId, id),
      Effect.result
    )
    log.calls.push({
      id,
      phase: timeline.at(began).phase.name,
      millis: timeline.now() - began,
      failed: Result.isSuccess(result) ? undefined : codeOf(result.failure)
    })
  })
  const running = yield* FiberSet.make()
  for (let n = 0; n < timeline.seconds * perSecond; n++) {
    yield* Effect.sleep(Math.max(0, (n * 1000) / perSecond - timeline.now()))
    yield* FiberSet.run(running, call(String(n)))
  }
  yield* FiberSet.awaitEmpty(running)
})
