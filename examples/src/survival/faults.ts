/** Failures of the API: it rate-limits some calls, or is unavailable for a moment. */
import { Effect, Random } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import type { RunClock } from "./runClock.ts"
import { script } from "./script.ts"

/** The header that identifies a call through all its attempts. */
export const callHeader = "x-call-id"

export interface Faults {
  /** How many failures of each kind the API returned. */
  readonly answers: { limited: number; unavailable: number }
  /** How many attempts arrived earlier than `Retry-After` allows. */
  readonly tooSoon: number
  /** The failure to return for an attempt, if any. */
  readonly responseTo: (call: string) => HttpServerResponse.HttpServerResponse | undefined
}

/** In each period of this many milliseconds the API is unavailable for one half, so at most this long at once. */
const period = 800

/** Node.js timers may fire this many milliseconds early. */
const timerSlack = 5

export const makeFaults = Effect.fnUntraced(function*(clock: RunClock): Effect.fn.Return<Faults> {
  const isFirstHalf = yield* Effect.replicateEffect(Random.nextBoolean, 256)
  const limitedAt = new Map<string, number>()
  const answers = { limited: 0, unavailable: 0 }
  let tooSoon = 0

  const isUnavailable = (): boolean => {
    const periods = clock.now() / period
    return periods % 1 < 0.5 === isFirstHalf[Math.floor(periods) % isFirstHalf.length]
  }
  const limit = (call: string) => {
    answers.limited++
    limitedAt.set(call, clock.now())
    return HttpServerResponse.empty({ status: 429, headers: { "retry-after": "1" } })
  }
  return {
    answers,
    get tooSoon() {
      return tooSoon
    },
    responseTo(call) {
      const at = limitedAt.get(call)
      if (at !== undefined && clock.now() < at + 1000 - timerSlack) tooSoon++
      const phase = script.find(({ name }) => name === clock.phase)
      const fault = phase !== undefined && "api" in phase ? phase.api : undefined
      if (fault === "limited" && at === undefined && Number(call) % 3 === 0) return limit(call)
      if (fault !== "flaky" || !isUnavailable()) return undefined
      answers.unavailable++
      return HttpServerResponse.empty({ status: 503 })
    }
  }
})

/** Applies the failures to calls of the client before anything else handles them. */
export const faultsFirst = ({ responseTo }: Faults) =>
  HttpRouter.middleware(
    (httpEffect) =>
      Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers }) => {
        const call = headers[callHeader]
        const failure = call === undefined ? undefined : responseTo(call)
        return failure === undefined ? httpEffect : Effect.succeed(failure)
      }),
    { global: true }
  )
