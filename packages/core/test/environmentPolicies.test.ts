/** Every option of a policy, set in the environment: none is lost on the way, and none is fixed where it is used. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, String as Text } from "effect"
import {
  BreakerPolicy,
  Configuration,
  Endpoints,
  ResiliencePolicy,
  RetryDescription,
  RetryPolicy
} from "../src/index.ts"

type Tree = Readonly<Record<string, unknown>>

const isTree = (value: unknown): value is Tree => typeof value === "object" && value !== null && !Array.isArray(value)

/** The variables of a section: `KEELSON_MAX_ATTEMPTS` for `maxAttempts`. */
const variables = (tree: Tree, path: string): Record<string, string> =>
  Object.assign(
    {},
    ...Object.entries(tree).map(([name, value]) => {
      const variable = `${path}_${Text.constantCase(name)}`
      if (isTree(value)) return variables(value, variable)
      return { [variable]: Array.isArray(value) ? value.join(",") : String(value) }
    })
  )

const fromEnvironment = <A, E>(config: Effect.Effect<A, E>, tree: Tree) =>
  Effect.provideService(
    config,
    ConfigProvider.ConfigProvider,
    ConfigProvider.fromEnv({ env: variables(tree, "KEELSON") })
  )

const backoff = {
  strategy: "linear",
  initialDelay: "10 millis",
  increment: "20 millis",
  multiplier: 3,
  maxDelay: "5 seconds",
  jitter: "none",
  jitterRatio: 0.4
} as const
const budget = { ratio: 0.3, minPerSecond: 7, window: "20 seconds" } as const
const times = { attemptTimeout: "3 seconds", deadline: "9 seconds", detach: true } as const
const retry = {
  ...backoff,
  enabled: false,
  maxAttempts: 7,
  statuses: [500, 503],
  retryAfterCeiling: "2 minutes",
  retryAfterBeyond: "clamp",
  budget,
  throttled: { initialDelay: "4 seconds", maxDelay: "40 seconds", cost: 2 },
  timedOut: { initialDelay: "2 seconds", maxDelay: "20 seconds", cost: 5 }
} as const
const breaker = {
  enabled: false,
  strategy: "ratio",
  failureThreshold: 9,
  failureRatio: 0.7,
  windowSize: 40,
  minimumCalls: 30,
  openDuration: "2 minutes",
  maxOpenDuration: "3 hours"
} as const

const bulkhead = { maxConcurrent: 9, maxQueued: 8, maxWait: "2 seconds", maxKeys: 7 } as const
const limit = { minLimit: 2, maxLimit: 90, initialLimit: 30, tolerance: 2, maxQueued: 4, maxWait: "3 seconds" } as const
const hedge = { delay: "30 millis", maxHedges: 2, budget } as const
const throttle = { ceiling: "2 minutes", maxWait: "3 minutes", spread: 0.3 } as const

const policies = [
  [
    "BreakerPolicy",
    Configuration.fromEnvironment(BreakerPolicy.BreakerPolicy, ["keelson"]),
    BreakerPolicy.make(breaker),
    BreakerPolicy.make(),
    breaker
  ],
  [
    "ResiliencePolicy",
    Configuration.fromEnvironment(ResiliencePolicy.ResiliencePolicy, ["keelson"]),
    ResiliencePolicy.make({ ...times, retry, breaker, bulkhead, limit, hedge, throttle }),
    ResiliencePolicy.make(),
    { ...times, retry, breaker, bulkhead, limit, hedge, throttle }
  ],
  [
    "Endpoints.Policy",
    Configuration.fromEnvironment(Endpoints.Policy, ["keelson"]),
    {
      ...ResiliencePolicy.make({ breaker }),
      endpoints: ["https://eu.test", "https://us.test/api"],
      selection: "weight"
    },
    { selection: "order" },
    { breaker, endpoints: ["https://eu.test", "https://us.test/api"], selection: "weight" }
  ]
] as const

describe("policies from the environment", () => {
  for (const [name, config, expected, defaults, tree] of policies) {
    it.effect(`[K-28 J16] ${name} has every option that was set`, () =>
      Effect.gen(function*() {
        const read: unknown = yield* Effect.map(fromEnvironment<unknown, unknown>(config, tree), (found) =>
          isTree(found) && "policy" in found ? found["policy"] : found)
        assert.deepStrictEqual(read, expected)
        // A value that is also the default would show nothing.
        for (const [option, value] of Object.entries(tree)) {
          assert.notDeepEqual<unknown>(Reflect.get(defaults, option), value, option)
        }
      }))
  }

  it.effect("[K-28 J16] RetryPolicy has every option that was set, and its delays follow from them", () =>
    Effect.gen(function*() {
      const set = { ...retry, ...times }
      const policy = Effect.map(Configuration.fromEnvironment(RetryPolicy.Data, ["keelson"]), RetryPolicy.fromData)
      const read = yield* fromEnvironment(policy, set)
      const { budget: made, ...expected } = RetryPolicy.make(set)
      const { budget: found, ...rest } = read
      assert.deepInclude(expected, rest)
      assert.deepStrictEqual(found?.policy, made?.policy)
      assert.sameMembers(Object.keys(set), Object.keys(RetryPolicy.Data.fields))
      const growing = yield* fromEnvironment(policy, {
        maxAttempts: 4,
        initialDelay: "100 millis",
        multiplier: 3,
        jitter: "none"
      })
      const { delays } = yield* RetryDescription.describe(growing)
      assert.deepStrictEqual(delays.map(({ max }) => Duration.toMillis(max)), [100, 300, 900])
    }))
})
