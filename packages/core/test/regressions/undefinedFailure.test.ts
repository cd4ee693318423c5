import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { HttpClient } from "effect/http"
import { BreakerStore, Endpoints, Metrics } from "../../src/index.ts"

describe("Endpoints.http", () => {
  for (const failure of [undefined, null, "", 0, "down"]) {
    it.effect(`[K-34] a POST that failed with ${JSON.stringify(failure)} stays with its endpoint`, () =>
      Effect.gen(function*() {
        const sent: Array<string> = []
        const failing = HttpClient.makeWith<unknown, never, unknown, never>(
          Effect.flatMap((request) => {
            sent.push(request.url)
            return Effect.fail<unknown>(failure)
          }),
          Effect.succeed
        )
        const billing = yield* Endpoints.make("billing", { endpoints: ["https://eu.test", "https://us.test"] })
        const exit = yield* Effect.exit(billing.http(failing).post("/orders"))
        assert.deepStrictEqual(exit, Exit.fail(failure))
        assert.deepStrictEqual(sent, ["https://eu.test/orders"])
      }).pipe(Effect.scoped, Effect.provide([BreakerStore.layerMemory, Metrics.layerIsolated])))
  }
})
