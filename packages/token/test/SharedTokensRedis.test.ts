import { NodeRedis } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Metrics, PrometheusEndpoint } from "@keelson/core"
import { type RedisServer, redisServer, skipReason } from "@keelson/testing/redisServer"
import { ConfigProvider, Context, Duration, Effect, Exit, Layer, Logger, Redacted, References, Scope } from "effect"
import { Redis } from "effect/persistence"
import { inspect } from "node:util"
import { SharedTokens, type SharedTokensOptions, TokenProvider, TokenSource } from "../src/index.ts"
import { keyText } from "./sharedTokensSupport.ts"
import { textOf } from "./tokenSupport.ts"

const identity = { issuer: "https://SecretIssuer.example", clientId: "SecretClient", scope: "read" }

interface Settings extends Partial<SharedTokensOptions.Options> {
  readonly identity?: TokenSource.Identity | undefined
  /** Seconds that a token lives. */
  readonly lifetime?: number | undefined
}

/** Processes on one Redis, whose tokens have consecutive numbers. */
const fleetOn = (server: RedisServer) => {
  let requests = 0
  const process = Effect.fnUntraced(function*({ identity: own = identity, lifetime = 600, ...options }: Settings = {}) {
    const shared = SharedTokens.layerRedis({
      redis: server.redis,
      keys: [{ id: "a", key: Redacted.make(keyText(1)) }],
      timeout: "10 seconds",
      lease: "1 minute",
      ...options
    })
    const request = Effect.sync(() => ({
      accessToken: Redacted.make(`SecretToken-${++requests}`),
      expiresIn: Duration.seconds(lifetime),
      scope: "read"
    }))
    const source = TokenSource.fromEffect(request, () => false, own)
    return yield* Effect.provideContext(
      TokenProvider.make({ name: "billing", source }),
      yield* Layer.build(shared)
    )
  })
  return { process, requests: () => requests }
}

const sender = (server: RedisServer): Effect.Effect<Redis.Redis["Service"], Redis.RedisError, Scope.Scope> =>
  Effect.map(
    Layer.build(NodeRedis.layer({ socket: { path: server.path, tls: false } })),
    (context) => Context.get(context, Redis.Redis)
  )

const onlyKey = ({ send }: Redis.Redis["Service"]) =>
  Effect.map(send<ReadonlyArray<string>>("KEYS", "*"), ([key = "", ...others]) => {
    assert.lengthOf(others, 0)
    return key
  })

/** How many stored values were not used, by reason. */
const ignored = Effect.map(PrometheusEndpoint.format, (text): Readonly<Record<string, number>> => {
  const found = text.matchAll(/shared_token_ignored_values_total\{reason="(\w+)"\} (\d+)/g)
  return Object.fromEntries(Array.from(found, ([, reason, count]) => [reason, Number(count)]))
})

describe.skipIf(skipReason !== undefined)("SharedTokens in a real Redis", () => {
  it.live("[K-11] [R16] a second process takes the token, whose record ends with it and names nobody", () =>
    Effect.gen(function*() {
      const server = yield* redisServer
      const { process, requests } = fleetOn(server)
      const redis = yield* sender(server)
      const first = yield* (yield* process()).get
      const second = yield* (yield* process()).get
      assert.deepStrictEqual([textOf(second), second.scope, requests()], [textOf(first), "read", 1])
      assert.isAtMost(second.issuedAt.wall, yield* Effect.clockWith((clock) => clock.currentTimeMillis))
      const key = yield* onlyKey(redis)
      assert.match(key, /^keelson:token:\{[\w-]{43}\}:token$/)
      const left = Number(yield* redis.send("PTTL", key))
      assert.isAbove(left, 0)
      assert.isAtMost(left, 660_000)
      assert.notMatch(JSON.stringify(yield* redis.send("HGETALL", key)), /Secret|read/)
    }).pipe(Effect.scoped))

  it.live("[K-11] other scopes, audiences, clients, users and prefixes have other tokens; the order of scopes does not matter", () =>
    Effect.gen(function*() {
      const server = yield* redisServer
      const { process, requests } = fleetOn(server)
      const settings: ReadonlyArray<Settings> = [
        { identity: { ...identity, scope: "a b" } },
        { identity: { ...identity, scope: "b" } },
        { identity: { ...identity, scope: undefined } },
        { identity: { ...identity, scope: "" } },
        { identity: { ...identity, audience: "x" } },
        { identity: { ...identity, other: "x" } },
        { identity: { ...identity, clientId: "x" } },
        { identity: { ...identity, issuer: "x" } },
        { prefix: "x:" }
      ]
      const tokens = yield* Effect.forEach(settings, (one) => Effect.flatMap(process(one), ({ get }) => get))
      assert.strictEqual(new Set(tokens.map(textOf)).size, settings.length)
      const same = yield* (yield* process({ identity: { ...identity, scope: "b  a b" } })).get
      assert.strictEqual(textOf(same), tokens[0] && textOf(tokens[0]))
      assert.strictEqual(requests(), settings.length)
    }).pipe(Effect.scoped))

  it.live("[R16] a value of another version, key or record, or with other content, is counted, not used, and replaced", () =>
    Effect.gen(function*() {
      const server = yield* redisServer
      const { process } = fleetOn(server)
      const redis = yield* sender(server)
      yield* (yield* process()).get
      const key = yield* onlyKey(redis)
      const before = yield* ignored
      const value = (yield* redis.send<string>("HGET", key, "value")) ?? ""
      const fence = (yield* redis.send<string>("HGET", key, "valueFence")) ?? ""
      let number = 1
      const puts: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
        ["version", ["value", `2${value.slice(1)}`]],
        ["version", ["value", ""]],
        ["version", ["value", "x".repeat(2_000_000)]],
        ["key", ["value", value.replace(".a.", ".b.")]],
        ["cipher", ["value", `${value.slice(0, -8)}AAAAAAAA`]],
        // A replay under another fencing number.
        ["cipher", ["value", value, "valueFence", String(Number(fence) + 1)]]
      ]
      for (const [reason, fields] of puts) {
        yield* redis.send("HSET", key, "valueFence", fence, ...fields)
        const token = yield* (yield* process()).get
        assert.strictEqual(textOf(token), `SecretToken-${++number}`, reason)
      }
      const after = yield* ignored
      assert.deepStrictEqual(
        Object.fromEntries(Object.entries(after).map(([reason, count]) => [reason, count - (before[reason] ?? 0)])),
        { version: 3, key: 1, cipher: 2, content: 0, clock: 0 }
      )
      // Values that no process writes hold nobody up.
      yield* redis.send(
        "HSET",
        key,
        "until",
        "inf",
        "owner",
        "x",
        "fence",
        "9e99",
        "valueFence",
        "nan",
        "failUntil",
        "1e30"
      )
      assert.strictEqual(textOf(yield* (yield* process()).get), `SecretToken-${++number}`)
      yield* redis.send("DEL", key)
      yield* redis.send("LPUSH", key, "x")
      assert.strictEqual(textOf(yield* (yield* process()).get), `SecretToken-${++number}`)
    }).pipe(
      Effect.scoped,
      Effect.provide(Metrics.layerIsolated),
      Effect.provideService(References.MinimumLogLevel, "None")
    ))

  it.live("[R16] keys are changed in steps, in which every process reads what the others write", () =>
    Effect.gen(function*() {
      const server = yield* redisServer
      const { process, requests } = fleetOn(server)
      const [one, two] = [{ id: "1", key: Redacted.make(keyText(1)) }, { id: "2", key: Redacted.make(keyText(2)) }]
      const old = yield* process({ keys: [one] })
      yield* old.get
      const steps = [[one, two], [two, one]]
      for (const keys of steps) {
        const next = yield* process({ keys })
        assert.strictEqual(textOf(yield* next.get), "SecretToken-1")
      }
      const last = yield* process({ keys: [two] })
      assert.strictEqual(textOf(yield* last.get), "SecretToken-2")
      assert.strictEqual(requests(), 2)
    }).pipe(Effect.scoped, Effect.provideService(References.MinimumLogLevel, "None")))

  it.live("[K-11] without Redis at start a process goes on alone, and shares once it is there", () =>
    Effect.gen(function*() {
      const server = yield* redisServer
      yield* server.kill
      const { process, requests } = fleetOn(server)
      const [one, other] = [yield* process({ timeout: "200 millis" }), yield* process({ timeout: "200 millis" })]
      assert.notStrictEqual(textOf(yield* one.get), textOf(yield* other.get))
      assert.strictEqual(requests(), 2)
      yield* server.start
      const isShared = Effect.gen(function*() {
        const refreshed = yield* Effect.all([one.refresh, other.refresh], { concurrency: "unbounded" })
        return new Set(refreshed.map(textOf)).size === 1
      })
      yield* Effect.repeat(isShared, { until: (shared) => shared })
    }).pipe(Effect.scoped, Effect.provideService(References.MinimumLogLevel, "None")))

  it.live("[R21] [R28] no log, span, metric or error has a token, a key or a name; an outage is logged once, and the end is not held up", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const logger = Logger.make(({ logLevel, message }) =>
        void lines.push(`${logLevel} ${inspect(message, { depth: 9 })}`)
      )
      const server = yield* redisServer
      const { process } = fleetOn(server)
      const scope = yield* Scope.make()
      yield* Effect.gen(function*() {
        const one = yield* Scope.provide(process({ timeout: "200 millis" }), scope)
        yield* one.get
        yield* server.freeze
        yield* Effect.ensuring(
          Effect.gen(function*() {
            for (let times = 0; times < 3; times++) yield* one.refresh
            const text = yield* PrometheusEndpoint.format
            lines.push(text)
            assert.match(text, /shared_token_store_failures_total\{operation="begin"\} [1-9]/)
            assert.match(text, /shared_token_acquisitions_total\{server="billing",result="alone"\} 3/)
            yield* Scope.close(scope, Exit.void)
          }),
          server.thaw
        )
      }).pipe(Effect.provide(Logger.layer([logger])), Effect.provideService(References.MinimumLogLevel, "All"))
      const warnings = lines.filter((line) => line.startsWith("Warn"))
      assert.lengthOf(warnings.filter((line) => line.includes("Store of shared tokens failed")), 1)
      assert.notMatch(lines.join("\n"), /Secret/)
      assert.notInclude(lines.join("\n"), keyText(1))
    }).pipe(Effect.scoped, Effect.provide(Metrics.layerIsolated)))

  it.live("options come from the environment too, and wrong ones are refused", () =>
    Effect.gen(function*() {
      const server = yield* redisServer
      const build = (env: Record<string, string>) =>
        Effect.provideService(
          Layer.build(SharedTokens.layerRedisConfig(["shared"], server.redis)),
          ConfigProvider.ConfigProvider,
          ConfigProvider.fromEnv({ env })
        )
      const key = { SHARED_KEYS: JSON.stringify([{ id: "a", key: keyText(1) }]) }
      yield* build({ ...key, SHARED_LEASE: "10 seconds" })
      const short = JSON.stringify([{ id: "a", key: "short" }])
      for (
        const wrong of [{ SHARED_KEYS: short }, { SHARED_KEYS: "x" }, { SHARED_LEASE: "1 millis" }, {
          SHARED_PREFIX: "a{"
        }]
      ) {
        assert.strictEqual((yield* Effect.flip(build({ ...key, ...wrong }))).code, "INVALID_CONFIG")
      }
    }).pipe(Effect.scoped))
})
