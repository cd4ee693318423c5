import { assert, describe, it } from "@effect/vitest"
import type { Instant } from "@keelson/core/unstable/Instant"
import { Duration } from "effect"
import type { CachedKeySet, Phase, State, Step, TransitionCause } from "../src/internal/cache/lifecycle.ts"
import { begin, drop, fail, failureDelay, initial, succeed } from "../src/internal/cache/lifecycle.ts"

const at = (millis: number): Instant => ({ monotonic: BigInt(millis) * 1_000_000n, wall: millis })

const cached: CachedKeySet = {
  keySet: { generation: 1, all: [], byKid: new Map() },
  trust: { generation: 1, holds: () => true, staleDeadline: () => undefined },
  skipped: [],
  url: "https://idp.example/jwks",
  body: "",
  headers: {},
  since: at(5),
  offset: 0,
  refreshAt: at(10),
  expiresAt: at(20),
  staleUntil: at(30)
}
const other: CachedKeySet = { ...cached, since: at(7) }

/** Every phase, with failures and cooldowns of earlier steps. */
const before = { failures: 2, lastFailure: "TIMEOUT", retryAt: at(8), unknownAt: at(9), lastRefresh: at(1) } as const
const states: Record<Phase, State> = {
  Empty: { ...initial, ...before, phase: "Empty", cached: undefined },
  Loading: { ...initial, ...before, phase: "Loading", cached: undefined },
  Ready: { ...initial, ...before, phase: "Ready", cached },
  Refreshing: { ...initial, ...before, phase: "Refreshing", cached }
}
const phases = ["Empty", "Loading", "Ready", "Refreshing"] as const

const backoff = { failureDelay: Duration.seconds(1), maxFailureDelay: Duration.seconds(60) }
const failure = { code: "NETWORK_ERROR", retryAfter: 0, at: at(1000) } as const

const operations = {
  begin: (state: State) => begin(state, "lookup"),
  loaded: (state: State) => succeed(state, other, "loaded"),
  notModified: (state: State) => succeed(state, other, "notModified"),
  restored: (state: State) => succeed(state, other, "restored"),
  fail: (state: State) => fail(state, failure, backoff),
  expire: (state: State) => drop(state, "expired"),
  invalidate: (state: State) => drop(state, "invalidated")
}
type Operation = keyof typeof operations

const written = ({ transitions }: Step): string =>
  transitions.map(({ cause, from, to }) => `${from} -> ${to} (${cause})`).join(", ")

/** Each operation in each phase, with the expected transitions. */
const table: ReadonlyArray<readonly [Operation, Phase, string]> = [
  ["begin", "Empty", "Empty -> Loading (lookup)"],
  ["begin", "Loading", ""],
  ["begin", "Ready", "Ready -> Refreshing (lookup)"],
  ["begin", "Refreshing", ""],
  ...(["loaded", "notModified", "restored"] as const).flatMap((cause) =>
    [
      [cause, "Empty", `Empty -> Loading (retry), Loading -> Ready (${cause})`],
      [cause, "Loading", `Loading -> Ready (${cause})`],
      [cause, "Ready", `Ready -> Refreshing (retry), Refreshing -> Ready (${cause})`],
      [cause, "Refreshing", `Refreshing -> Ready (${cause})`]
    ] as const
  ),
  ["fail", "Empty", ""],
  ["fail", "Loading", "Loading -> Empty (failed)"],
  ["fail", "Ready", ""],
  ["fail", "Refreshing", "Refreshing -> Refreshing (failed)"],
  ...([["expire", "expired"], ["invalidate", "invalidated"]] as const).flatMap(([operation, cause]) =>
    [
      [operation, "Empty", ""],
      [operation, "Loading", ""],
      [operation, "Ready", `Ready -> Refreshing (${cause}), Refreshing -> Empty (${cause})`],
      [operation, "Refreshing", `Refreshing -> Empty (${cause})`]
    ] as const
  )
]

/** The data model's, and no other. */
const seven = [
  "Empty -> Loading",
  "Loading -> Ready",
  "Loading -> Empty",
  "Ready -> Refreshing",
  "Refreshing -> Ready",
  "Refreshing -> Refreshing",
  "Refreshing -> Empty"
]

describe("lifecycle", () => {
  it.each(table)("[S1-09] %s in %s makes the transitions: %s", (operation, phase, steps) => {
    assert.strictEqual(written(operations[operation](states[phase])), steps)
  })

  it("[S1-09] all operations in all states take exactly the seven transitions", () => {
    const names = Object.keys(operations)
    assert.lengthOf(table, names.length * phases.length)
    const taken = Object.values(operations).flatMap((operation) =>
      phases.flatMap((phase) => operation(states[phase]).transitions.map(({ from, to }) => `${from} -> ${to}`))
    )
    assert.deepStrictEqual([...new Set(taken)].toSorted(), seven.toSorted())
  })

  it("[S1-09] the steps are a chain that begins in the old phase and ends in the new one", () => {
    for (const operation of Object.values(operations)) {
      for (const phase of phases) {
        const { state, transitions } = operation(states[phase])
        assert.strictEqual(transitions[0]?.from ?? phase, phase)
        assert.strictEqual(transitions.at(-1)?.to ?? phase, state.phase)
        transitions.slice(1).forEach(({ from }, index) => assert.strictEqual(from, transitions[index]?.to))
      }
    }
  })

  it.each<TransitionCause>(["lookup", "start", "retry", "due", "forced", "unknownKey", "clock"])(
    "[S1-09] a fetch that begins names its cause: %s",
    (cause) => {
      assert.strictEqual(written(begin(states.Empty, cause)), `Empty -> Loading (${cause})`)
      assert.strictEqual(written(begin(states.Ready, cause)), `Ready -> Refreshing (${cause})`)
    }
  )

  it.each(phases)("[S1-18] keys accepted in %s reset failures and backoff, but not the cooldown", (phase) => {
    const { state } = succeed(states[phase], other, "loaded")
    assert.deepStrictEqual(state, {
      ...initial,
      phase: "Ready",
      cached: other,
      unknownAt: at(9),
      lastRefresh: at(5 + 2)
    })
  })

  it("[S1-31] a snapshot does not count as a confirmation by the provider", () => {
    assert.deepStrictEqual(succeed(states.Empty, other, "restored").state.lastRefresh, at(1))
    assert.deepStrictEqual(succeed(states.Refreshing, other, "notModified").state.lastRefresh, at(7))
  })

  it.each(phases)("[S1-18] a failure in %s counts, is kept, and puts the next fetch off", (phase) => {
    const { state } = fail(states[phase], failure, backoff)
    assert.strictEqual(state.failures, 3)
    assert.strictEqual(state.lastFailure, "NETWORK_ERROR")
    assert.deepStrictEqual(state.retryAt, at(5000))
    assert.strictEqual(state.cached, states[phase].cached)
    assert.deepStrictEqual(state.unknownAt, at(9))
  })

  it("[S1-18] the backoff is 1 s doubling to 60 s, however many failures there were", () => {
    const delays = Array.from({ length: 9 }, (_, index) => failureDelay(index + 1, backoff))
    assert.deepStrictEqual(delays, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000])
    assert.strictEqual(failureDelay(5000, backoff), 60_000)
  })

  it.each([[500, 1000], [30_000, 30_000], [60_001, 60_000], [86_400_000, 60_000]])(
    "a Retry-After of %i ms puts the first retry off by %i ms: never sooner than the backoff, nor later than its longest",
    (retryAfter, delay) => {
      const { state } = fail({ ...initial, phase: "Loading", cached: undefined }, { ...failure, retryAfter }, backoff)
      assert.deepStrictEqual(state.retryAt, at(1000 + delay))
    }
  )

  it("[S1-14] keys that are dropped take nothing else with them", () => {
    const { state } = drop(states.Ready, "expired")
    assert.deepStrictEqual(state, { ...initial, ...before, phase: "Empty", cached: undefined })
  })
})
