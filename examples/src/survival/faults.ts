/** What goes wrong at the API: it has had enough of some calls, or is away for a moment. */
import { Effect, Random } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { script } from "./script.ts"
import type { Stage } from "./stage.ts"

/** What a call is known by, with all its attempts. */
export const callHeader = "x-call-id"

export interface Faults {
  /** How often it answered so. */
  readonly answers: { limited: number; unavailable: number }
  /** Attempts that came sooner than `Retry-After` had said. */
  readonly tooSoon: number
  /** What to answer to an attempt, instead of what was asked for. */
  readonly of: (call: string) => HttpServerResponse.HttpServerResponse | undefined
}

/** Of each stretch of so many milliseconds it is away for one half, whichever: never for longer than this in one go. */
const stretch = 800

/** Timers of Node.js may end so many milliseconds early. */
const timerSlack = 5

const effectOf = (stage: Stage) => script.find(({ name }) => name === stage.phase)

export const makeFaults = Effect.fnUntraced(function*(stage: Stage): Effect.fn.Return<Faults> {
  const firstHalves = yield* Effect.replicateEffect(Random.nextBoolean, 256)
  const told = new Map<string, number>()
  const answers = { limited: 0, unavailable: 0 }
  let tooSoon = 0

  const isAway = (): boolean => {
    const at = stage.now() / stretch
    return at % 1 < 0.5 === firstHalves[Math.floor(at) % firstHalves.length]
  }
  const limit = (call: string) => {
    answers.limited++
    told.set(call, stage.now())
    return HttpServerResponse.empty({ status: 429, headers: { "retry-after": "1" } })
  }
  return {
    answers,
    get tooSoon() {
      return tooSoon
    },
    of(call) {
      const toldAt = told.get(call)
      if (toldAt !== undefined && stage.now() < toldAt + 1000 - timerSlack) tooSoon++
      const phase = effectOf(stage)
      const fault = phase !== undefined && "api" in phase ? phase.api : undefined
      if (fault === "limited" && toldAt === undefined && Number(call) % 3 === 0) return limit(call)
      if (fault !== "flaky" || !isAway()) return undefined
      answers.unavailable++
      return HttpServerResponse.empty({ status: 503 })
    }
  }
})

/** Answers calls of the load by the faults, before anything else is looked at. */
export const faultsFirst = ({ of }: Faults) =>
  HttpRouter.middleware(
    (httpEffect) =>
      Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers }) => {
        const call = headers[callHeader]
        const fault = call === undefined ? undefined : of(call)
        return fault === undefined ? httpEffect : Effect.succeed(fault)
      }),
    { global: true }
  )
