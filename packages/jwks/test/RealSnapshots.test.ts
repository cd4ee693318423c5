import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Metrics } from "@keelson/core"
import { eventually } from "@keelson/testing/eventually"
import {
  type Cache,
  cacheAt,
  type KeyOrigin,
  keyOrigin,
  localEgress,
  revalidating,
  sending
} from "@keelson/testing/keyOrigin"
import { metric, outcome } from "@keelson/testing/observe"
import { makeRedisServer, type RedisServer, redisServer, skipReason } from "@keelson/testing/redisServer"
import { jwk, jwks } from "@keelson/testing/scriptedProvider"
import { Context, Effect, Exit, Layer, Logger, Scope } from "effect"
import { Redis } from "effect/persistence"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { JwksOptions } from "../src/index.ts"
import { JwksSnapshots } from "../src/index.ts"
import { key, newKey } from "./JwksSnapshotsSuite.ts"

type Store = Layer.Layer<JwksSnapshots.JwksSnapshots, unknown>

/** A process with a cache: everything in it is its own, and ends with it. */
const inProcess = <A, E>(
  origin: Pick<KeyOrigin, "url">,
  store: Store,
  use: (cache: Cache) => Effect.Effect<A, E, Scope.Scope>,
  options: Partial<JwksOptions.Options> = {}
) =>
  Effect.gen(function*() {
    const snapshots = Layer.fresh(Layer.orDie(store))
    const cache = yield* cacheAt(origin, options, Layer.merge(localEgress, snapshots))
    return yield* use(cache)
  }).pipe(Effect.scoped, Effect.provide([Logger.layer([]), Metrics.layerIsolated]))

/** How many calls to the store failed in this process. */
const errors = Effect.map(
  metric("jwks_cache_snapshot_errors_total", "tenant=\"default\",provider=\"default\""),
  (count) => count ?? 0
)

/** Waits until so many did. */
const counted = (count: number) =>
  Effect.eventually(
    Effect.flatMap(errors, (now) =>
      now >= count ? Effect.void : Effect.andThen(Effect.sleep("10 millis"), Effect.fail(now)))
  )

const lookup = (cache: Cache) => outcome(cache, "a")

/** An origin that was there until its keys were fetched and stored by another process. */
const leftBehind = Effect.fnUntraced(function*(store: Store) {
  const life = yield* Scope.make()
  const origin = yield* Scope.provide(keyOrigin(sending(jwks("a"))), life)
  assert.strictEqual(yield* inProcess(origin, store, lookup), "a")
  yield* Scope.close(life, Exit.void)
  return origin
})

const name = "jwks-cache:default:default"

/** The stored text of the cache in Redis; fails if there is none. */
const storedIn = ({ redis }: RedisServer) =>
  Effect.gen(function*() {
    const { send } = Context.get(yield* Layer.build(Layer.fresh(redis)), Redis.Redis)
    const text = yield* send<string | null>("GET", name)
    return text === null ? yield* Effect.fail("nothing") : text
  }).pipe(Effect.scoped)

/** Tampers with the stored text. */
const replaceIn = (server: RedisServer, change: (text: string) => string) =>
  Effect.gen(function*() {
    const text = yield* storedIn(server)
    const { send } = Context.get(yield* Layer.build(Layer.fresh(server.redis)), Redis.Redis)
    yield* send("SET", name, change(text))
  }).pipe(Effect.scoped)

describe.skipIf(skipReason !== undefined)(
  `JwksCache and snapshots in Redis${skipReason === undefined ? "" : ` (${skipReason})`}`,
  () => {
    const stored = ({ redis }: RedisServer, options: Partial<JwksSnapshots.SharedOptions> = {}): Store =>
      JwksSnapshots.layerRedis({ key, redis, ...options })

    /** Its store waits as long as a slow machine needs. */
    const patient = (server: RedisServer) => stored(server, { timeout: "10 seconds" })

    it.live("[K-06] [S1-35] a process that starts while the provider is down serves the snapshot of another process", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const origin = yield* leftBehind(patient(server))
        assert.strictEqual(yield* inProcess(origin, patient(server), lookup), "a")
        assert.lengthOf(origin.requests, 1)
      }))

    it.live("[K-06] [S1-08] the snapshot of another process is revalidated by its ETag at once", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const origin = yield* keyOrigin(revalidating(jwks("a"), "\"v1\""))
        yield* inProcess(origin, patient(server), lookup)
        yield* inProcess(
          origin,
          patient(server),
          (cache) => Effect.andThen(lookup(cache), eventually(() => origin.requests.length === 2))
        )
        assert.strictEqual(origin.headers[1]?.["if-none-match"], "\"v1\"")
      }))

    it.live.each(
      [
        ["one bit was changed", (text: string) => text.replace("OKP", "OKQ"), key],
        ["the key was replaced", (text: string) => text.replace(jwk("a").x, jwk("evil").x), key],
        ["it was cut", (text: string) => text.slice(0, -20), key],
        ["another application wrote it", (text: string) => text, newKey]
      ] as const
    )(
      "[R18] [K-06] a snapshot is refused, and the provider asked, where %s",
      ([, change, by]) =>
        Effect.gen(function*() {
          const server = yield* redisServer
          const origin = yield* keyOrigin(sending(jwks("a")))
          yield* inProcess(origin, stored(server, { timeout: "10 seconds", key: by }), lookup)
          yield* replaceIn(server, change)
          const count = yield* inProcess(origin, patient(server), (cache) =>
            Effect.gen(function*() {
              assert.strictEqual(yield* lookup(cache), "a")
              return yield* errors
            }))
          assert.strictEqual(count, 1)
          assert.lengthOf(origin.requests, 2)
        })
    )

    it.live("[S1-35] [R28] Redis frozen from the start: the provider has the keys, and the end is not held up", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const origin = yield* keyOrigin(sending(jwks("a")))
        // It does not respond until the test has ended, so any wait for it would hang.
        yield* server.freeze
        const found = yield* inProcess(origin, stored(server), (cache) => Effect.tap(lookup(cache), counted(2)))
        assert.deepStrictEqual([found, origin.requests.length], ["a", 1])
      }))

    it.live("[S1-35] [R28] Redis frozen with a snapshot to be written: the end is not held up", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const origin = yield* keyOrigin(sending(jwks("a")))
        const refreshed = yield* inProcess(origin, patient(server), (cache) =>
          Effect.gen(function*() {
            yield* cache.refresh
            yield* Effect.eventually(storedIn(server))
            yield* server.freeze
            return yield* cache.refresh
          }))
        assert.strictEqual(refreshed, "loaded")
      }))

    it.live("[S1-35] Redis killed: the cache works, and counts", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const origin = yield* keyOrigin(sending(jwks("a")))
        const found = yield* inProcess(origin, stored(server), (cache) =>
          Effect.gen(function*() {
            assert.strictEqual(yield* lookup(cache), "a")
            yield* server.kill
            origin.answer = sending(jwks("b"))
            const before = yield* errors
            yield* cache.refresh
            yield* counted(before + 1)
            return yield* outcome(cache, "b")
          }))
        assert.strictEqual(found, "b")
      }))

    it.live("[S1-35] Redis not there at the start: the cache works, and stores its keys once it is", () =>
      Effect.gen(function*() {
        const server = yield* makeRedisServer
        const origin = yield* keyOrigin(sending(jwks("a")))
        yield* inProcess(origin, stored(server), (cache) =>
          Effect.gen(function*() {
            assert.strictEqual(yield* lookup(cache), "a")
            yield* server.start
            yield* Effect.eventually(Effect.andThen(cache.refresh, storedIn(server)))
          }))
      }))

    it.live("[R28] the end of a process writes the keys it has just fetched", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const origin = yield* keyOrigin(sending(jwks("a")))
        yield* inProcess(origin, patient(server), (cache) => cache.refresh)
        yield* storedIn(server)
      }))
  }
)

describe("JwksCache and snapshots in files", () => {
  const directory = Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "keelson-snapshots-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  )
  const stored = (path: string): Store =>
    Layer.provide(
      JwksSnapshots.layerFile({ directory: path, key, timeout: "10 seconds" }),
      Layer.fresh(NodeServices.layer)
    )

  it.live("[K-06] [S1-35] a process that starts while the provider is down serves the snapshot of the previous one", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const origin = yield* leftBehind(stored(path))
      assert.strictEqual(yield* inProcess(origin, stored(path), lookup), "a")
      assert.lengthOf(origin.requests, 1)
    }))

  it.live("[R18] [K-06] a changed file is refused, and the keys are fetched", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const origin = yield* keyOrigin(sending(jwks("a")))
      yield* inProcess(origin, stored(path), lookup)
      for (const file of readdirSync(path)) {
        writeFileSync(join(path, file), readFileSync(join(path, file), "utf8").replace(jwk("a").x, jwk("evil").x))
      }
      const count = yield* inProcess(origin, stored(path), (cache) => Effect.andThen(lookup(cache), errors))
      assert.deepStrictEqual([count, origin.requests.length], [1, 2])
    }))
})
