import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import * as Chaos from "../../src/Chaos.ts"

describe("Chaos.http", () => {
  for (const status of [204, 205, 304]) {
    it.effect(`[K-35] a ${status}, which has no body, passes where bodies break off`, () =>
      Effect.gen(function*() {
        const server = HttpClient.make((request) =>
          Effect.succeed(HttpClientResponse.fromWeb(request, new Response(null, { status })))
        )
        const chaos = yield* Chaos.make({ seed: 1, brokenBody: { rate: 1 } })
        const response = yield* chaos.http(server).get("https://billing.test/")
        assert.strictEqual(response.status, status)
      }))
  }
})
