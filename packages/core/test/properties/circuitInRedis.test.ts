/** The circuits in Redis against the same model as those in memory, from two processes' stores in turn. */
import { assert, describe, it } from "@effect/vitest"
import { forAllEffect } from "@keelson/testing/properties"
import { type RedisServer, redisServer, skipReason } from "@keelson/testing/redisServer"
import { Clock, Context, Deferred, Effect, Exit, Fiber, Layer, Metric, Scope } from "effect"
import { Redis } from "effect/persistence"
import fc from "fast-check"
import { setTimeout } from "node:timers/promises"
import { Breaker, BreakerStore, Metrics } from "../../src/index.ts"
import { type Admission, Model, type Outcome, policyOf, type Rules, rules, type Step, step } from "./circuitModel.ts"

/** Lengths of a unit of the model: the server's clock cannot be moved, so a unit is far longer than a case takes. */
const lengths = [6, 5.5, 5, 4.5, 4, 3.5, 3].map((minutes) => minutes * 60_000)

/**
 * The length for which the server is furthest from the end of a bucket of the time window, and how far into it that is, in whole
 * 1024ths: sums and differences of the model's times are then exact, and a call of exactly one unit is as slow as it is.
 */
const unitAt = (millis: number): { readonly unit: number; readonly phase: number } => {
  const all = lengths.map((unit) => ({ unit, phase: Math.floor(1024 * (millis % unit) / unit) / 1024 }))
  return all.reduce((best, next) => next.phase < best.phase ? next : best)
}

interface Call {
  readonly gate: Deferred.Deferred<void, string>
  readonly fiber: Fiber.Fiber<void, unknown>
  readonly admission: Admission
}

/** Moves what is stored into the past, and keeps the lease of a running probe, which its process renews in real time. */
const pass = (redis: Redis.Redis["Service"], key: string, units: number, unit: number) =>
  redis.send(
    "EVAL",
    `
local by, width = tonumber(ARGV[1]) * tonumber(ARGV[2]), tonumber(ARGV[2])
local function int(n) return string.format("%.0f", n) end
for _, field in ipairs({ "openUntil", "resetAt", "probeUntil" }) do
  local value = tonumber(redis.call("HGET", KEYS[1], field))
  if value and value > 0 then redis.call("HSET", KEYS[1], field, int(value - by)) end
end
local lease = tonumber(redis.call("HGET", KEYS[1], "leaseUntil"))
if lease and lease > 0 then redis.call("HSET", KEYS[1], "leaseUntil", int(tonumber(redis.call("TIME")[1]) * 1000 + 3600000)) end
local buckets = redis.call("HGET", KEYS[1], "buckets")
if buckets then
  redis.call("HSET", KEYS[1], "buckets", (string.gsub(buckets, "(%d+)(:%d+:%d+:%d+)", function(bucket, counts)
    return int(bucket - by / width) .. counts
  end)))
end
return 1
`,
    "1",
    `keelson:breaker:${key}`,
    String(units),
    String(unit)
  )

const fallbacks = Effect.map(Metric.snapshot, (all) => {
  const found = all.find(({ id }) => id === "keelson_circuit_breaker_store_fallbacks_total")
  return found?.type === "Counter" ? Number(found.state.count) : 0
})

/** Real time, in which sockets and time limits work, and from which slow calls are measured as if time had passed. */
const shiftedClock = (live: Clock.Clock) => {
  let shift = 0n
  const clock: Clock.Clock = Object.create(live, {
    monotonicTimeNanosUnsafe: { value: () => live.monotonicTimeNanosUnsafe() + shift }
  })
  return { clock, adjust: (millis: number) => void (shift += BigInt(millis) * 1_000_000n) }
}
type ShiftedClock = ReturnType<typeof shiftedClock>

/** A store that is connected. */
const connected = Effect.fnUntraced(function*(server: RedisServer) {
  const layer = BreakerStore.layerRedis({ redis: server.redis, timeout: "10 seconds", retryInterval: "0 millis" })
  const store = Context.get(yield* Layer.build(Layer.fresh(layer)), BreakerStore.BreakerStore)
  const breaker = yield* Effect.provideService(Breaker.make("wait"), BreakerStore.BreakerStore, store)
  for (let before = -1; (yield* fallbacks) !== before;) {
    before = yield* fallbacks
    yield* breaker.execute(Effect.void)
    yield* Effect.promise(() => setTimeout(10))
  }
  return store
})

const ignore = (error: string) => error === "ignored"
let cases = 0

const run = Effect.fnUntraced(function*(
  stores: ReadonlyArray<BreakerStore.BreakerStore["Service"]>,
  redis: Redis.Redis["Service"],
  time: ShiftedClock,
  rules: Rules,
  steps: ReadonlyArray<Step>
) {
  const [seconds = "0", micros = "0"] = yield* redis.send<ReadonlyArray<string>>("TIME")
  const { phase, unit } = unitAt(Number(seconds) * 1000 + Number(micros) / 1000)
  const key = `case-${++cases}`
  const breakers = yield* Effect.forEach(
    stores,
    (store) => Effect.provideService(Breaker.make(key, policyOf(rules, unit)), BreakerStore.BreakerStore, store)
  )
  const model = new Model(rules)
  model.now = phase
  const running: Array<Call> = []
  let turn = 0
  const next = () => breakers[turn++ % breakers.length]!
  const begin = Effect.fnUntraced(function*() {
    const admission = model.admit()
    const gate = yield* Deferred.make<void, string>()
    const started = yield* Deferred.make<void>()
    const call = next().execute(Effect.andThen(Deferred.succeed(started, undefined), Deferred.await(gate)), { ignore })
    const fiber = yield* Effect.forkChild(call, { startImmediately: true })
    yield* Effect.raceFirst(Deferred.await(started), Fiber.await(fiber))
    assert.strictEqual(fiber.pollUnsafe() === undefined, admission !== undefined, "admitted as the model says")
    if (admission !== undefined) running.push({ gate, fiber, admission })
    return admission !== undefined
  })
  const end = Effect.fnUntraced(function*({ admission, fiber, gate }: Call, how: Outcome | "interrupt") {
    if (how === "interrupt") yield* Fiber.interrupt(fiber)
    else yield* Deferred.completeWith(gate, how === "ok" ? Effect.void : Effect.fail(how))
    yield* Fiber.await(fiber)
    model.record(admission, how === "interrupt" ? "ignored" : how)
  })
  for (const step of steps) {
    let units = 0
    if (step._tag === "call") {
      if (yield* begin()) yield* end(running.pop()!, step.how)
    } else if (step._tag === "start") yield* begin()
    else if (step._tag === "end") {
      const [call] = running.splice(step.index % Math.max(1, running.length), 1)
      if (call !== undefined) yield* end(call, step.how)
    } else if (step._tag === "reset") {
      yield* next().reset
      model.reset()
    } else if (step._tag === "isolate") {
      yield* next().isolate
      model.isolate()
    } else {
      units = step.units
      model.now += units
      time.adjust(units * unit)
    }
    yield* pass(redis, key, units, unit)
    const { openings, probes, state, window } = yield* next().snapshot
    assert.strictEqual(state, model.shown)
    if (rules.strategy !== "consecutive" && state === "CLOSED") assert.deepStrictEqual(window, model.window)
    if (rules.multiplier > 1) assert.strictEqual(openings, model.shownOpenings)
    if (rules.probes > 1 && state === "HALF_OPEN") {
      assert.deepStrictEqual(probes, { passed: model.passed, failed: model.failed })
    }
    assert.isAtMost(running.filter(({ admission: { era, isProbe } }) => isProbe && era === model.era).length, 1)
    assert.isAtMost(model.passed + model.failed, rules.probes)
  }
  yield* Effect.forEach(running, ({ fiber }) => Fiber.interrupt(fiber))
})

describe.skipIf(skipReason !== undefined)(
  `Circuits in Redis${skipReason ? ` (skipped: ${skipReason})` : ""}`,
  () => {
    const steps = fc.tuple(
      rules({ bucket: 1, probeLimit: 1.5, maxOpen: 6, open: [0, 0.5, 1.5] }),
      fc.array(step(11), { minLength: 10, maxLength: 40 })
    )
    const withStores = async (
      body: (
        execute: (rules: Rules, steps: ReadonlyArray<Step>) => Effect.Effect<void, unknown, Scope.Scope>
      ) => Promise<void>
    ): Promise<void> => {
      const scope = Scope.makeUnsafe()
      const setUp = Effect.gen(function*() {
        const server = yield* redisServer
        const stores = [yield* connected(server), yield* connected(server)]
        const redis = Context.get(yield* Layer.build(server.redis), Redis.Redis)
        return { stores, redis, time: shiftedClock(yield* Clock.Clock) }
      })
      try {
        const provided = setUp.pipe(Scope.provide(scope), Effect.provide(Metrics.layerIsolated))
        const { redis, stores, time } = await Effect.runPromise(provided)
        await body((rules, all) => Effect.provideService(run(stores, redis, time, rules, all), Clock.Clock, time.clock))
      } finally {
        await Effect.runPromise(Scope.close(scope, Exit.void))
      }
    }

    it("[K-18] [B2] [D7] two processes that share a circuit see what the model says", (context) =>
      withStores((execute) => forAllEffect(context, 500, steps, ([rules, all]) => execute(rules, all))))

    const one: Rules = {
      strategy: "consecutive",
      failureThreshold: 1,
      failureRatio: 1,
      windowSize: 1,
      minimumCalls: 1,
      slowAfter: undefined,
      slowRatio: 1,
      open: 0.5,
      maxOpen: 6,
      multiplier: 1,
      probes: 1,
      successes: 1,
      probeLimit: 1.5,
      bucket: 1
    }
    it("[D7] a success after the limit of the probe leaves the circuit open", (context) =>
      withStores((execute) =>
        forAllEffect(context, 1, fc.constant(one), (rules) =>
          execute(rules, [
            { _tag: "call", how: "fail" },
            { _tag: "wait", units: 1 },
            { _tag: "start" },
            { _tag: "wait", units: 2 },
            { _tag: "end", index: 0, how: "ok" }
          ]))
      ))
  }
)
