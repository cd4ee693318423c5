import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, ManagedRuntime } from "effect"
import { Breaker, BreakerStore, Metrics, RetryBudget } from "../src/index.ts"

const services = Layer.mergeAll(BreakerStore.layerMemory, RetryBudget.layer(), Metrics.layerIsolated)

const Both = Effect.all([BreakerStore.BreakerStore, RetryBudget.RetryBudget])

/** Ten first uses at the same time. */
const tenFirstUses = (
  runtime: ManagedRuntime.ManagedRuntime<Layer.Success<typeof services>, Layer.Error<typeof services>>
) => Promise.all(Array.from({ length: 10 }, () => runtime.runPromise(Both)))

describe("Layers", () => {
  it("[S3-07] ten concurrent first uses of one runtime get the same services", async () => {
    const runtime = ManagedRuntime.make(services)
    const [first, ...others] = await tenFirstUses(runtime)
    for (const other of others) {
      assert.strictEqual(other[0], first![0])
      assert.strictEqual(other[1], first![1])
    }
    await runtime.dispose()
  })

  it("[S3-07] two runtimes share nothing: a circuit that is open in one is closed in the other", async () => {
    const one = ManagedRuntime.make(services)
    const other = ManagedRuntime.make(Layer.fresh(services))
    const open = Effect.scoped(Effect.gen(function*() {
      const breaker = yield* Breaker.make("shared", { failureThreshold: 1 })
      yield* Effect.flip(breaker.execute(Effect.fail("no")))
      return yield* breaker.state
    }))
    const look = Effect.scoped(Effect.flatMap(Breaker.make("shared"), ({ state }) => state))
    assert.strictEqual(await one.runPromise(open), "OPEN")
    assert.strictEqual(await one.runPromise(look), "OPEN")
    assert.strictEqual(await other.runPromise(look), "CLOSED")
    await Promise.all([one.dispose(), other.dispose()])
  })

  it.effect("[S3-07] a test starts from nothing with a layer of its own", () =>
    Effect.gen(function*() {
      const build = Effect.map(Effect.scoped(Layer.build(BreakerStore.layerMemory)), (context) =>
        Context.get(context, BreakerStore.BreakerStore))
      assert.notStrictEqual(yield* build, yield* build)
    }))
})
