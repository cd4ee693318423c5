import { assert, describe, it } from "@effect/vitest"
import { RateLimits } from "@keelson/gateway"
import { type RedisServer, redisServer, skipReason } from "@keelson/testing/redisServer"
import { Context, Duration, Effect, Layer, Logger, Random, type Scope } from "effect"
import { Redis } from "effect/persistence"
import { admit } from "../src/internal/limits/redisScript.ts"

/** A test with a server of its own. Real time: Redis has a clock of its own. */
const withServer = (
  title: string,
  body: (server: RedisServer) => Effect.Effect<void, unknown, Scope.Scope>
) => it.live(title, () => Effect.flatMap(redisServer, body))

const connected = (server: RedisServer) =>
  Effect.map(Layer.build(server.redis), (context) => Context.get(context, Redis.Redis))

const limitsIn = (
  server: RedisServer,
  fallback: "local" | "allow" | "reject" = "local",
  timeout = Duration.minutes(1)
) =>
  RateLimits.shared(server.redis, {
    maxEntries: 1000,
    fallback,
    redis: { url: "redis://unused", database: 0, prefix: "t:", timeout }
  })

const admittedOf = <A>(ask: Effect.Effect<A> | undefined, times: number) =>
  Effect.map(
    Effect.all(Array.from({ length: times }, () => ask ?? Effect.die("no limit")), { concurrency: "unbounded" }),
    (results) => results.filter((rejection) => rejection === undefined).length
  )

/** Repeats an effect until it holds. */
const until = (ask: Effect.Effect<boolean>) =>
  Effect.repeat(Effect.delay(ask, "20 millis"), { until: (isDone) => isDone })

describe.skipIf(skipReason !== undefined)("RateLimits in Redis", () => {
  for (const algorithm of ["tokenBucket", "slidingWindow"] as const) {
    withServer(
      `[R39] [S4-48] processes that ask at the same time share one count (${algorithm})`,
      (server) =>
        Effect.gen(function*() {
          const processes = yield* Effect.all([limitsIn(server), limitsIn(server), limitsIn(server)])
          const option = { algorithm, perAddress: "10 per hour" }
          const counts = yield* Effect.all(
            processes.map((limitsOf) => admittedOf(limitsOf("b", option).address?.("a"), 20)),
            { concurrency: "unbounded" }
          )
          assert.strictEqual(counts.reduce((sum, count) => sum + count, 0), 10)
          const rejection = yield* processes[0]("b", option).address?.("a") ?? Effect.undefined
          assert.strictEqual(rejection?.limit, "perAddress")
          assert.isAbove(rejection?.retryAfter ?? 0, algorithm === "tokenBucket" ? 0 : 1)
          assert.isAtMost(rejection?.retryAfter ?? Infinity, 3600)
        })
    )

    withServer(`[R39] what is counted ends with its window (${algorithm})`, (server) =>
      Effect.gen(function*() {
        const limitsOf = yield* limitsIn(server)
        const { address } = limitsOf("b", { algorithm, perAddress: "1 per 100 milli" })
        const ask = address?.("a") ?? Effect.undefined
        yield* ask
        yield* until(Effect.map(ask, (rejection) => rejection === undefined))
        const redis = yield* connected(server)
        yield* until(Effect.map(Effect.orDie(redis.send("DBSIZE")), (size) => size === 0))
      }))
  }

  withServer("[R39] a rejected request is counted in none of its limits", (server) =>
    Effect.gen(function*() {
      const limitsOf = yield* limitsIn(server)
      const { caller } = limitsOf("b", { algorithm: "tokenBucket", perUser: "2 per hour", perBucket: "5 per hour" })
      const of = (user: string | undefined) => admittedOf(caller?.(user), 10)
      assert.deepStrictEqual([yield* of("a"), yield* of("b"), yield* of("c"), yield* of(undefined)], [2, 2, 1, 0])
    }))

  withServer("[R39] the script decides as exact arithmetic does, at any times", (server) =>
    Effect.gen(function*() {
      const redis = yield* connected(server)
      // The same script with the time from its arguments, and keys that do not expire on the clock of the server.
      const lua = admit.lua
        .replace("redis.call(\"TIME\")", "{ ARGV[#ARGV - 1], ARGV[#ARGV] }")
        .replace("int(math.ceil((state[1] - now) / 1000) + 1)", "\"600000\"")
        .replace("int(math.ceil(window / 1000) + 1)", "\"600000\"")
      assert.strictEqual(lua.split("600000").length, 3)
      for (let run = 0; run < 30; run++) {
        const limit = yield* Random.nextIntBetween(1, 8)
        const windowMillis = yield* Random.nextIntBetween(1, 20)
        const times: Array<bigint> = []
        let level = BigInt(limit * windowMillis * 1000)
        let before = 1_700_000_000_000_000n
        let now = before
        for (let step = 0; step < 30; step++) {
          now += BigInt((yield* Random.nextBoolean) ? 0 : yield* Random.nextIntBetween(0, windowMillis * 400))
          const [seconds, micros] = [String(now / 1_000_000n), String(now % 1_000_000n)]
          const window = BigInt(windowMillis * 1000)
          const ask = (algorithm: string) =>
            redis.send<readonly [number, string]>(
              "EVAL",
              lua,
              "1",
              `${algorithm}${run}`,
              algorithm,
              String(limit),
              String(window),
              seconds,
              micros
            )
          // Tokens in units of 1/window.
          level = level + (now - before) * BigInt(limit)
          if (level > BigInt(limit) * window) level = BigInt(limit) * window
          before = now
          const isToken = level >= window
          if (isToken) level -= window
          assert.strictEqual((yield* ask("tokenBucket"))[0] === 0, isToken)
          const isInWindow = times.filter((at) => at > now - window).length < limit
          const [place, wait] = yield* ask("slidingWindow")
          assert.strictEqual(place === 0, isInWindow)
          if (isInWindow) times.push(now)
          else assert.strictEqual(BigInt(wait), times.at(-limit)! + window - now)
        }
      }
    }))

  withServer("[R39] a clock of the server that was set back locks nobody out", (server) =>
    Effect.gen(function*() {
      const redis = yield* connected(server)
      const lua = admit.lua.replace("redis.call(\"TIME\")", "{ ARGV[#ARGV], 0 }")
      const ask = (algorithm: string, seconds: number) =>
        Effect.map(
          redis.send<readonly [number, string]>(
            "EVAL",
            lua,
            "1",
            algorithm,
            algorithm,
            "1",
            "1000000",
            String(seconds)
          ),
          ([place]) => place === 0
        )
      for (const algorithm of ["tokenBucket", "slidingWindow"]) {
        assert.isTrue(yield* ask(algorithm, 1_700_000_000))
        assert.isFalse(yield* ask(algorithm, 1_700_000_000))
        assert.isTrue(yield* ask(algorithm, 1_600_000_000))
        assert.isFalse(yield* ask(algorithm, 1_600_000_000))
      }
    }))

  for (const [fallback, expected] of [["local", 2], ["allow", 5], ["reject", 0]] as const) {
    withServer(
      `[R39] [S4-51] without Redis the fallback is ${fallback}, which is logged once, and Redis counts again when it is back`,
      (server) =>
        Effect.gen(function*() {
          const lines: Array<string> = []
          const logger = Layer.succeed(
            Logger.CurrentLoggers,
            new Set([Logger.make(({ message }) => void lines.push(String(message)))])
          )
          yield* Effect.gen(function*() {
            yield* server.kill
            const limitsOf = yield* limitsIn(server, fallback)
            const { address } = limitsOf("b", { algorithm: "tokenBucket", perAddress: "2 per hour" })
            assert.strictEqual(yield* admittedOf(address?.("a"), 5), expected)
            assert.strictEqual(lines.filter((line) => line.includes("Redis for rate limits")).length, 1)
            yield* server.start
            const redis = yield* connected(server)
            yield* until(Effect.andThen(
              address?.("b") ?? Effect.undefined,
              Effect.map(Effect.orDie(redis.send("DBSIZE")), (size) => size === 1)
            ))
          }).pipe(Effect.provide(logger))
        })
    )
  }

  withServer(
    "[R39] a Redis that hangs delays no request for longer than the timeout, and most not at all",
    (server) =>
      Effect.gen(function*() {
        const limitsOf = yield* limitsIn(server, "local", Duration.millis(50))
        const { address } = limitsOf("b", { algorithm: "slidingWindow", perAddress: "2 per hour" })
        yield* until(Effect.map(address?.("x") ?? Effect.undefined, (rejection) => rejection === undefined))
        yield* server.freeze
        assert.strictEqual(yield* admittedOf(address?.("a"), 20), 2)
        yield* server.thaw
      })
  )
})
