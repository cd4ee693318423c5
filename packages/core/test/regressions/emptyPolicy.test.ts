import { assert, describe, it } from "@effect/vitest"
import { errorOf } from "@keelson/testing/exits"
import { Effect, Queue, type Scope, Stream } from "effect"
import { BreakerStore, Endpoints, Hedge, type KeelsonError, Metrics, Resilience } from "../../src/index.ts"

type Needed = BreakerStore.BreakerStore | Scope.Scope

const services = Effect.provide([BreakerStore.layerMemory, Metrics.layerIsolated])

/** What an empty file is parsed to. */
const empty = JSON.parse("null")
const withoutBudget = JSON.parse("{\"budget\":null}")

describe("Options that are null", () => {
  const made: Readonly<Record<string, Effect.Effect<unknown, KeelsonError.ConfigurationError, Needed>>> = {
    "Resilience.make": Resilience.make("billing", empty),
    "Endpoints.make": Endpoints.make("billing", empty),
    "Resilience.make with a budget": Resilience.make("billing", { retry: withoutBudget }),
    "Hedge.make with a budget": Hedge.make("billing", withoutBudget)
  }
  for (const [name, make] of Object.entries(made)) {
    it.effect(`[K-21] ${name} fails with INVALID_CONFIG`, () =>
      Effect.gen(function*() {
        assert.strictEqual(errorOf(yield* Effect.exit(make)).code, "INVALID_CONFIG")
      }).pipe(Effect.scoped, services))
  }
})

describe("Resilience.reloadable", () => {
  it.effect("[K-21] an empty policy is rejected, and the next one takes effect", () =>
    Effect.gen(function*() {
      const policies = yield* Queue.unbounded<Resilience.Options>()
      yield* Queue.offerAll(policies, [{}, empty, { deadline: "2 seconds" }])
      const billing = yield* Resilience.reloadable("billing", Stream.fromQueue(policies))
      yield* Effect.yieldNow
      const { applied, rejected, source } = yield* billing.status
      assert.deepStrictEqual({ applied, rejected, source }, { applied: 2, rejected: 1, source: "open" })
    }).pipe(Effect.scoped, services))

  it.effect("[K-21] a stream that dies brings no further policies", () =>
    Effect.gen(function*() {
      const policies = Stream.concat(Stream.make({}), Stream.die("bug"))
      const billing = yield* Resilience.reloadable("billing", policies)
      yield* Effect.yieldNow
      assert.strictEqual((yield* billing.status).source, "failed")
      assert.strictEqual(yield* billing.execute(Effect.succeed("ok")), "ok")
    }).pipe(Effect.scoped, services))
})
