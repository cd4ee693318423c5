import { assert, describe, it } from "@effect/vitest"
import { forAllEffect } from "@keelson/testing/properties"
import { skewedClock } from "@keelson/testing/virtualTime"
import { Clock, Context, Effect, Fiber, Layer, Logger, type Scope } from "effect"
import { Redis } from "effect/persistence"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { ProofReplays } from "../../src/index.ts"

type Record = ProofReplays.ProofReplays["Service"]

/** How long a proof is accepted at most, in milliseconds. */
const window = 120_000
/** Proofs are kept in slots of this width, and may be kept so much longer. */
const slot = 5_000

/** Ids from a small pool, so that they repeat. */
const id = fc.constantFrom("a", "b", "c", "d", "e", "f", "g", "h")

type Step =
  | {
    readonly do: "add"
    readonly id: string
    readonly left: number
    readonly process: 0 | 1
    readonly interrupt: boolean
  }
  | { readonly do: "again" }
  | { readonly do: "pass"; readonly millis: number }
  | { readonly do: "skew"; readonly millis: number }
  | { readonly do: "redis"; readonly state: "up" | "down" | "hangs" }

const add = fc.record({
  do: fc.constant("add" as const),
  id,
  left: fc.integer({ min: 1, max: window }),
  process: fc.constantFrom<0 | 1>(0, 1),
  interrupt: fc.boolean()
})
const again = fc.constant({ do: "again" as const })
const pass = fc.record({ do: fc.constant("pass" as const), millis: fc.integer({ min: 0, max: 150_000 }) })
const skew = fc.record({ do: fc.constant("skew" as const), millis: fc.integer({ min: -400_000, max: 400_000 }) })
const redis = fc.record({
  do: fc.constant("redis" as const),
  state: fc.constantFrom<"up" | "down" | "hangs">("up", "down", "hangs")
})

/** A proof that was accepted, and when it ceases to be acceptable on the wall clock. */
interface Used {
  readonly id: string
  readonly end: number
  readonly process: 0 | 1
}

type Outcome = "new" | "used" | "full" | "store"

const outcomeOf = (record: Record, id: string, end: number): Effect.Effect<Outcome> =>
  Effect.match(record.add({ jkt: "key", jti: id, end }), {
    onFailure: ({ reason }) => reason,
    onSuccess: (isNew) => isNew ? "new" : "used"
  })

const recordOf = <E>(layer: Layer.Layer<ProofReplays.ProofReplays, E>) =>
  Effect.map(Layer.build(Layer.fresh(layer)), (context) => Context.get(context, ProofReplays.ProofReplays))

const maxEntries = 5
const seen = { new: 0, used: 0, full: 0, store: 0, uncertain: 0 }

/**
 * The record in memory as documented. A proof that was recorded is used, whatever the clocks did meanwhile. A proof with a new id is refused only after a clock was set back, or where the record is full.
 */
const inMemory = Effect.fnUntraced(function*(steps: ReadonlyArray<Step>) {
  const { clock, skew } = yield* skewedClock
  yield* TestClock.setTime(10_000_000)
  const body = Effect.gen(function*() {
    const record = yield* recordOf(ProofReplays.layerMemory({ maxEntries }))
    const all: Array<Used & { readonly monotonicEnd: number; hasEnded: boolean }> = []
    let latest = 0
    for (const step of steps) {
      const wall = clock.currentTimeMillisUnsafe()
      const monotonic = wall - skew.millis
      latest = Math.max(latest, wall)
      for (const one of all) one.hasEnded ||= wall >= one.end && monotonic >= one.monotonicEnd
      if (step.do === "pass") yield* TestClock.adjust(step.millis)
      if (step.do === "skew") skew.millis += step.millis
      if (step.do !== "add" && step.do !== "again") continue
      const last = all.at(-1)
      if (step.do === "again" && last === undefined) continue
      const [id, end] = step.do === "add" ? [step.id, wall + step.left] : [last?.id ?? "", last?.end ?? 0]
      // The checks of a proof come first: one that has ended is never recorded.
      if (end <= wall) continue
      const outcome = yield* outcomeOf(record, id, end)
      seen[outcome]++
      // The same proof, or another one with its `jti` while the first could still be accepted.
      const mustBeUsed = all.some((one) => one.id === id && (one.end === end || !one.hasEnded))
      if (mustBeUsed) assert.strictEqual(outcome, "used")
      // Proofs that end in one slot are deleted together.
      const slotOf = ({ end }: Used) => Math.ceil(end / slot)
      const isKept = (one: Used) =>
        all.some((other) =>
          slotOf(other) === slotOf(one) &&
          (monotonic < other.monotonicEnd + slot || wall < other.end + slot)
        )
      const mayBeUsed = all.some((one) => one.id === id && isKept(one)) || end <= latest
      if (outcome === "used") assert.isTrue(mayBeUsed, "a new proof was refused")
      if (outcome === "full") assert.isAtLeast(new Set(all.filter(isKept).map(({ id }) => id)).size, maxEntries)
      if (outcome === "new") all.push({ id, end, process: 0, monotonicEnd: monotonic + (end - wall), hasEnded: false })
    }
  })
  yield* Effect.provideService(body, Clock.Clock, clock)
})

/** A Redis with one command, which fails or hangs when told so. Its clock is the virtual one. */
const fakeRedis = Effect.map(Clock.Clock, (clock) => {
  const state: { is: "up" | "down" | "hangs" } = { is: "up" }
  const keys = new Map<string, bigint>()
  const now = () => clock.monotonicTimeNanosUnsafe()
  const set = (name: string, millis: string): unknown => {
    const ends = keys.get(name)
    if (ends !== undefined && ends > now()) return null
    keys.set(name, now() + BigInt(millis) * 1_000_000n)
    return "OK"
  }
  const send = <A>(_: string, ...args: ReadonlyArray<string>): Effect.Effect<A, Redis.RedisError> =>
    Effect.suspend(() => {
      if (state.is === "down") return Effect.fail(new Redis.RedisError({ cause: new Error("down") }))
      const [name = "", , , , millis = "0"] = args
      // oxlint-disable-next-line no-unsafe-type-assertion -- the type of a reply is not checked
      const reply = set(name, millis) as A
      // A Redis that hangs may have done what it was asked to do.
      return state.is === "hangs" ? Effect.never : Effect.succeed(reply)
    })
  const layer = Layer.effect(
    Redis.Redis,
    Redis.make({ send, subscribe: () => Effect.never, connect: Effect.never })
  )
  return { state, layer }
})

/**
 * Two processes with one Redis: no proof is accepted twice, also where callers are interrupted and Redis fails. With `local`, a
 * proof is accepted at most once at each process while Redis is out.
 */
const inRedis = (onStoreFailure: "refuse" | "local") =>
  Effect.fnUntraced(function*(steps: ReadonlyArray<Step>) {
    yield* TestClock.setTime(10_000_000)
    const clock = yield* Clock.Clock
    const { layer, state } = yield* fakeRedis
    const open = recordOf(ProofReplays.layerRedis({ redis: layer, onStoreFailure }))
    const records = [yield* open, yield* open] as const
    const accepted: Array<Used & { readonly whileUp: boolean }> = []
    for (const step of steps) {
      if (step.do === "pass") yield* TestClock.adjust(step.millis)
      if (step.do === "redis") {
        state.is = step.state
        // Time for the connection to be made again.
        yield* TestClock.adjust("6 seconds")
      }
      if (step.do !== "add") continue
      const now = clock.currentTimeMillisUnsafe()
      const end = now + step.left
      const isKnown = accepted.filter((one) => one.id === step.id && now < one.end)
      const running = yield* Effect.forkChild(outcomeOf(records[step.process], step.id, end), {
        startImmediately: true
      })
      if (step.interrupt && running.pollUnsafe() === undefined) {
        yield* Fiber.interrupt(running)
        seen.uncertain++
        continue
      }
      yield* TestClock.adjust("1 seconds")
      const outcome = yield* Fiber.join(running)
      seen[outcome]++
      if (state.is === "up" || onStoreFailure === "refuse") {
        if (isKnown.length > 0 && (state.is === "up" ? isKnown.some(({ whileUp }) => whileUp) : true)) {
          assert.notStrictEqual(outcome, "new")
        }
      }
      if (isKnown.some(({ process }) => process === step.process)) assert.notStrictEqual(outcome, "new")
      if (state.is !== "up" && onStoreFailure === "refuse") assert.strictEqual(outcome, "store")
      if (state.is !== "up" && onStoreFailure === "local") assert.include(["new", "used"], outcome)
      if (outcome === "new") accepted.push({ id: step.id, end, process: step.process, whileUp: state.is === "up" })
    }
  })

const quietly = <A>(run: (steps: ReadonlyArray<Step>) => Effect.Effect<A, unknown, Scope.Scope>) =>
(
  steps: ReadonlyArray<Step>
) => Effect.provide(Effect.orDie(run(steps)), Logger.layer([]))

describe("ProofReplays", () => {
  it("[K-23] [R10] [R23] the record in memory agrees with a naive model, for any proofs and clock changes", async (context) => {
    const step = fc.oneof({ weight: 6, arbitrary: add }, { weight: 3, arbitrary: again }, {
      weight: 3,
      arbitrary: pass
    }, {
      weight: 1,
      arbitrary: skew
    })
    await forAllEffect(context, 500, fc.array(step, { maxLength: 60, size: "max" }), quietly(inMemory))
    assert.isAbove(seen.new, 1_000)
    assert.isAbove(seen.used, 1_000)
    assert.isAbove(seen.full, 100)
  })

  for (const onStoreFailure of ["refuse", "local"] as const) {
    it(`[K-23] [R10] two processes with one Redis accept no proof twice, with failures, interruption and ${onStoreFailure}`, async (context) => {
      const step = fc.oneof({ weight: 8, arbitrary: add }, { weight: 2, arbitrary: pass }, {
        weight: 1,
        arbitrary: redis
      })
      await forAllEffect(context, 100, fc.array(step, { maxLength: 40, size: "max" }), quietly(inRedis(onStoreFailure)))
      assert.isAbove(seen.store + seen.uncertain, 10)
    })
  }
})
