/** Simulates a hundred channels for an hour of virtual time, with tokens that are valid for five minutes. */
import { TokenGuard } from "@keelson/token"
import { Clock, Duration, Effect, Redacted, References } from "effect"
import { HttpClient, HttpClientRequest, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import type { Finding } from "../figures.ts"

const channels = 100
const perMinute = 500
const minutes = 60
/** Channels send in bursts that start one after another. */
const burst = 50
const lifetime = 300_000
/** A token is refreshed when a fifth of its lifetime remains. */
const due = 240_000

const answer = new Response(null, { status: 204 })

/** Tokens by number: when each was requested, and when the called service stops accepting it. */
const makeTokens = () => {
  const asked: Array<number> = []
  const source = Effect.map(Effect.delay(Clock.currentTimeMillis, "200 millis"), (now) => {
    const number = asked.push(now - 200)
    return { accessToken: Redacted.make(String(number)), expiresIn: Duration.millis(lifetime) }
  })
  return { asked, source }
}

const simulate = Effect.gen(function*() {
  const { asked, source } = makeTokens()
  const clock = yield* Clock.Clock
  let requests = 0
  let expired = 0
  const client = HttpClient.make((request) =>
    Effect.sync(() => {
      requests++
      const number = Number(request.headers["authorization"]?.replace("Bearer ", ""))
      const from = asked[number - 1]
      if (from === undefined || clock.currentTimeMillisUnsafe() >= from + lifetime) expired++
      return HttpClientResponse.fromWeb(request, answer)
    })
  )
  const guard = yield* Effect.provideService(
    TokenGuard.make({
      name: "bench",
      origins: ["https://ingest.example"],
      policy: { jitter: 0 },
      source
    }),
    HttpClient.HttpClient,
    client
  )
  const append = guard.execute(HttpClientRequest.put("/channels/1/rows"))
  const pause = burst / perMinute * 60_000
  const channel = (index: number) =>
    Effect.andThen(
      Effect.sleep(pause * index / channels),
      Effect.repeat(
        Effect.andThen(Effect.repeat(append, { times: burst - 1 }), Effect.sleep(pause)),
        { times: perMinute * minutes / burst - 1 }
      )
    )
  for (let index = 0; index < channels; index++) yield* Effect.forkScoped(channel(index))
  yield* TestClock.adjust(Duration.minutes(minutes))
  return { requests, expired, acquisitions: asked.length }
})

/** The expected number of tokens: the first one, and one for each refresh within the hour. */
const refreshes = 1 + Math.floor((minutes * 60_000 - 1) / due)

const group = "simulated hour"

const exactly = (what: string, value: number, aim: number): Finding => ({
  group,
  what,
  value,
  unit: "",
  aim: { is: "exactly", value: aim }
})

export const simulatedHour: Effect.Effect<ReadonlyArray<Finding>, unknown> = simulate.pipe(
  Effect.scoped,
  Effect.provide(TestClock.layer()),
  Effect.provideService(References.MinimumLogLevel, "None"),
  Effect.provideService(HttpClient.TracerDisabledWhen, () => true),
  Effect.map(({ acquisitions, expired, requests }) => [
    exactly("requests of 100 channels", requests, channels * perMinute * minutes),
    exactly("requests with an expired token", expired, 0),
    exactly(`acquired tokens, ${refreshes} being due`, acquisitions, refreshes)
  ])
)
