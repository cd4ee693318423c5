import { NodeRedis } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { makeRedisServer, type RedisServer, redisServer, skipReason } from "@keelson/testing/redisServer"
import { Clock, Context, Effect, Layer, Logger, Option } from "effect"
import { Redis } from "effect/persistence"
import * as JwksSnapshots from "../src/JwksSnapshots.ts"
import { identity, key, limits, snapshot } from "./JwksSnapshotsSuite.ts"

/** Snapshots on a connection of their own, with a way to send anything else on it. */
const over = Effect.fnUntraced(
  function*(server: RedisServer, options?: Omit<JwksSnapshots.SharedOptions, "key">) {
    const redis = yield* Layer.build(server.redis)
    const layer = Layer.provide(JwksSnapshots.layerRedis({ key, ...options }), Layer.succeedContext(redis))
    const snapshots = Context.get(yield* Layer.build(layer), JwksSnapshots.JwksSnapshots)
    const now = yield* Clock.currentTimeMillis
    const current = { ...snapshot, receivedAt: now, expiresAt: now + 60_000, staleUntil: now + 90_000 }
    return { send: Context.get(redis, Redis.Redis).send, snapshots, current }
  },
  Effect.provide(Logger.layer([]))
)

const patient = { timeout: "10 seconds" } as const

/** The reason that each of the three calls fails with. */
const reasons = (snapshots: JwksSnapshots.JwksSnapshots["Service"]) =>
  Effect.forEach(
    [snapshots.save(snapshot), snapshots.load(identity, limits), snapshots.remove(identity)],
    (call) => Effect.map(Effect.flip(call), (error) => error._tag === "SnapshotUnavailable" ? error.reason : error._tag)
  )

const each = (reason: string) => [reason, reason, reason]

describe.skipIf(skipReason !== undefined)(
  `JwksSnapshots.layerRedis${skipReason === undefined ? "" : ` (${skipReason})`}`,
  () => {
    it.live("[S1-35] keeps a snapshot under jwks-cache:tenant:provider, after a prefix if there is one", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const plain = yield* over(server, patient)
        const prefixed = yield* over(server, { ...patient, prefix: "app:" })
        yield* plain.snapshots.save(plain.current)
        yield* prefixed.snapshots.save({ ...plain.current, tenantId: "b" })
        const keys = yield* plain.send<ReadonlyArray<string>>("KEYS", "*")
        assert.sameMembers([...keys], ["jwks-cache:tenant-1:provider_1", "app:jwks-cache:b:provider_1"])
        yield* plain.snapshots.remove(identity)
        assert.deepStrictEqual(yield* plain.send("KEYS", "*"), ["app:jwks-cache:b:provider_1"])
      }))

    it.live("[S1-35] Redis keeps a snapshot until its stale deadline, and for a second at least", () =>
      Effect.gen(function*() {
        const { current, send, snapshots } = yield* over(yield* redisServer, patient)
        const timeToLive = send<number>("PTTL", "jwks-cache:tenant-1:provider_1")
        yield* snapshots.save({ ...current, staleUntil: current.staleUntil + 0.5 })
        assert.isAtMost(yield* timeToLive, 90_001)
        assert.isAtLeast(yield* timeToLive, 60_001)
        const now = yield* Clock.currentTimeMillis
        for (const staleUntil of [now + 0.5, now - 60_000]) {
          // It lives for a second of the server's, which a slow machine may need between the two: then there is none.
          yield* snapshots.save({ ...current, receivedAt: 0, expiresAt: 0, staleUntil })
          const left = yield* timeToLive
          assert.isTrue(left === -2 || (left > 0 && left <= 1_000), String(left))
        }
      }))

    it.live("[K-06] reads no more of a value than the limit, however long it is", () =>
      Effect.gen(function*() {
        const { send, snapshots } = yield* over(yield* redisServer, patient)
        yield* send("SET", "jwks-cache:tenant-1:provider_1", "\u00e4".repeat(8_000_000))
        yield* send("CONFIG", "RESETSTAT")
        const error = yield* Effect.flip(snapshots.load(identity, limits))
        assert(error._tag === "SnapshotRefused")
        assert.strictEqual(error.reason, "tooLarge")
        const stats = yield* send<string>("INFO", "stats")
        assert.isBelow(Number(/total_net_output_bytes:(\d+)/.exec(stats)?.[1]), 1_000_000)
      }))

    it.live("[S1-35] [R21] reports Redis's error code, and nothing of the command", () =>
      Effect.gen(function*() {
        const { send, snapshots } = yield* over(yield* redisServer, patient)
        yield* send("LPUSH", "jwks-cache:tenant-1:provider_1", "x")
        const wrong = yield* Effect.flip(snapshots.load(identity, limits))
        assert.deepStrictEqual(wrong.details, { store: "redis", operation: "load", reason: "WRONGTYPE" })
        yield* send("ACL", "SETUSER", "default", "-set")
        const denied = yield* Effect.flip(snapshots.save(snapshot))
        assert.deepStrictEqual(denied.details, { store: "redis", operation: "save", reason: "NOPERM" })
        assert.notMatch(JSON.stringify([wrong, denied]), /tenant-1|kty/)
      }))

    it.live("[S1-35] [K-06] fails within the limit while Redis is frozen, and works again once it is not", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const { current, snapshots } = yield* over(server)
        const { snapshots: patiently } = yield* over(server, patient)
        yield* patiently.save(current)
        yield* server.freeze
        assert.deepStrictEqual(yield* Effect.ensuring(reasons(snapshots), server.thaw), each("timeout"))
        yield* patiently.save(current)
        assert.isTrue(Option.isSome(yield* patiently.load(current, limits)))
      }))

    it.live("[S1-35] fails within the limit once Redis is killed, and works again once it is back", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const { current, snapshots } = yield* over(server)
        yield* server.kill
        for (const reason of yield* reasons(snapshots)) assert.include(["timeout", "failed"], reason)
        yield* server.start
        yield* Effect.eventually(snapshots.save(current))
        assert.isTrue(Option.isSome(yield* Effect.eventually(snapshots.load(current, limits))))
      }))

    it.live("[S1-35] fails at once after the client has given up its connection", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const redis = NodeRedis.layer({ socket: { path: server.path, tls: false, reconnectStrategy: false } })
        const { snapshots } = yield* over({ ...server, redis }, patient)
        yield* server.kill
        assert.deepStrictEqual(yield* reasons(snapshots), each("failed"))
      }))

    describe("with its own connection", () => {
      /** Snapshots of the present over a connection that is made in the background. */
      const own = Effect.fnUntraced(
        function*(redis: RedisServer["redis"], options?: typeof patient) {
          const layer = JwksSnapshots.layerRedis({ key, redis, ...options })
          const now = yield* Clock.currentTimeMillis
          const current = { ...snapshot, receivedAt: now, expiresAt: now + 60_000, staleUntil: now + 90_000 }
          return { current, snapshots: Context.get(yield* Layer.build(layer), JwksSnapshots.JwksSnapshots) }
        },
        Effect.provide(Logger.layer([]))
      )

      /** Waits until Redis is used. */
      const used = ({ current, snapshots }: Effect.Success<ReturnType<typeof own>>) =>
        Effect.gen(function*() {
          yield* Effect.eventually(Effect.tapError(snapshots.save(current), () => Effect.sleep("10 millis")))
          assert.isTrue(Option.isSome(yield* Effect.eventually(snapshots.load(current, limits))))
        })

      it.live("[S1-35] builds if Redis is down at start, and uses it once it is up", () =>
        Effect.gen(function*() {
          const server = yield* makeRedisServer
          const all = yield* own(server.redis, patient)
          assert.deepStrictEqual(yield* reasons(all.snapshots), each("failed"))
          yield* server.start
          yield* used(all)
        }))

      it.live("[S1-35] reconnects after the client has given up its connection", () =>
        Effect.gen(function*() {
          const server = yield* redisServer
          const all = yield* own(
            NodeRedis.layer({ socket: { path: server.path, tls: false, reconnectStrategy: false } }),
            patient
          )
          yield* used(all)
          yield* server.kill
          assert.deepStrictEqual(yield* reasons(all.snapshots), each("failed"))
          yield* server.start
          yield* used(all)
        }))

      it.live("[S1-35] [R28] a frozen Redis does not hold up the end of the scope", () =>
        Effect.gen(function*() {
          const server = yield* redisServer
          const run = Effect.scoped(Effect.gen(function*() {
            const all = yield* own(server.redis)
            yield* used(all)
            yield* server.freeze
            assert.deepStrictEqual(yield* reasons(all.snapshots), each("timeout"))
          }))
          yield* run
          yield* server.thaw
        }))
    })
  }
)
