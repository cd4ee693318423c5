import { assert, describe, it } from "@effect/vitest"
import { quiet } from "@keelson/testing/observe"
import { Clock, Duration, Effect, Redacted } from "effect"
import { HttpClient, HttpClientRequest, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { guardOver } from "./guardSupport.ts"

const channels = 100
const perMinute = 500
const minutes = 1
const lifetime = 60_000

describe("TokenGuard under load", () => {
  it.effect("[S2-19] [S2-08] a hundred channels send 500 requests a minute each, none of them with an expired token, in far less than 5 ms each", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const asked: Array<number> = []
      const source = Effect.map(Effect.delay(Clock.currentTimeMillis, "100 millis"), (now) => ({
        accessToken: Redacted.make(String(asked.push(now - 100))),
        expiresIn: Duration.millis(lifetime)
      }))
      let requests = 0
      let expired = 0
      const answer = new Response(null, { status: 204 })
      const client = HttpClient.make((request) =>
        Effect.sync(() => {
          requests++
          const from = asked[Number(request.headers["authorization"]?.replace("Bearer ", "")) - 1]
          if (from === undefined || clock.currentTimeMillisUnsafe() >= from + lifetime) expired++
          return HttpClientResponse.fromWeb(request, answer)
        })
      )
      const guard = yield* guardOver({ client, received: [] }, { source, policy: { jitter: 0 } })
      const append = guard.execute(HttpClientRequest.put("/rows"))
      const pause = 12_000
      const burst = perMinute * pause / 60_000
      const channel = (index: number) =>
        Effect.andThen(
          Effect.sleep(pause * index / channels),
          Effect.repeat(Effect.andThen(Effect.repeat(append, { times: burst - 1 }), Effect.sleep(pause)), {
            times: minutes * 60_000 / pause - 1
          })
        )
      const began = process.cpuUsage()
      for (let index = 0; index < channels; index++) yield* Effect.forkScoped(channel(index))
      yield* TestClock.adjust(Duration.minutes(minutes))
      // What the processor worked, in milliseconds: time that it gives to others does not count.
      const { system, user } = process.cpuUsage(began)
      const perRequest = (user + system) / 1000 / requests
      assert.strictEqual(requests, channels * perMinute * minutes)
      assert.strictEqual(expired, 0)
      // A token is due when a fifth of its lifetime remains.
      assert.strictEqual(asked.length, Math.ceil(minutes * 60_000 / (0.8 * lifetime)))
      assert.isBelow(perRequest, 5)
    }).pipe(Effect.scoped, quiet, Effect.provideService(HttpClient.TracerDisabledWhen, () => true)))
})
