import { NodeRedis } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { quiet } from "@keelson/testing/observe"
import { type RedisServer, redisServer, skipReason } from "@keelson/testing/redisServer"
import { Context, Effect, Fiber, Layer, Redacted, type Scope } from "effect"
import { Redis } from "effect/persistence"
import { ClientAuth, OAuthClient, type RefreshTokenStore, SharedTokens } from "../src/index.ts"
import { clientSecret, type OAuthServer, oauthServer } from "./oauthServer.ts"
import { keyText } from "./sharedTokensSupport.ts"
import { detailsOf } from "./tokenSupport.ts"

const name = "alice"

type Options = Partial<Parameters<typeof SharedTokens.layerRedis>[0]> & {
  readonly initial?: string | undefined
  readonly onStoreFailure?: "refuse" | "alone" | undefined
  readonly rotates?: boolean | undefined
}

interface Process {
  readonly acquire: Effect.Effect<string, { readonly code: string }>
  readonly resend: Effect.Effect<void, unknown>
  readonly store: RefreshTokenStore.RefreshTokenStore
}

/** A process with a connection of its own. */
const processOf = Effect.fnUntraced(function*(
  redis: RedisServer,
  server: OAuthServer,
  { initial, onStoreFailure, rotates, ...options }: Options = {}
): Effect.fn.Return<Process, never, Scope.Scope> {
  const layer = SharedTokens.layerRedis({
    redis: redis.redis,
    keys: [{ id: "a", key: Redacted.make(keyText(1)) }],
    timeout: "10 seconds",
    lease: "1 minute",
    ...options
  })
  const { refreshTokenStore } = Context.get(yield* Effect.orDie(Layer.build(layer)), SharedTokens.SharedTokens)
  const store = yield* Effect.orDie(refreshTokenStore({
    name,
    initial: initial === undefined ? undefined : Redacted.make(initial),
    onStoreFailure
  }))
  const source = OAuthClient.refreshToken({
    issuer: server.issuer,
    clientId: "web",
    auth: ClientAuth.secretBasic(Redacted.make(clientSecret)),
    allowLocalhost: true,
    store,
    rotates
  })
  const acquire = Effect.map(source.acquire, ({ accessToken }) => Redacted.value(accessToken))
  return {
    acquire: Effect.mapError(acquire, (error) => {
      assert(error instanceof Error && "code" in error && typeof error.code === "string")
      return Object.assign(error, { code: error.code })
    }),
    resend: source.resend,
    store
  }
})

const sender = (redis: RedisServer): Effect.Effect<Redis.Redis["Service"], never, Scope.Scope> =>
  Effect.map(
    Effect.orDie(Layer.build(NodeRedis.layer({ socket: { path: redis.path, tls: false } }))),
    (context) => Context.get(context, Redis.Redis)
  )

const setUp = Effect.gen(function*() {
  const redis = yield* redisServer
  const server = yield* oauthServer()
  const initial = yield* server.refreshToken
  const sent = () => server.requests.flatMap(({ body }) => body.get("refresh_token") ?? [])
  return { redis, server, initial, sent }
})

const reasonOf = (error: unknown) => detailsOf(error)["reason"]
const endLease = (redis: Redis.Redis["Service"]) =>
  Effect.flatMap(
    redis.send<ReadonlyArray<string>>("KEYS", "*:refresh"),
    ([key = ""]) => redis.send("HSET", key, "until", "1")
  )

describe.skipIf(skipReason !== undefined)("a refresh token that processes share", () => {
  it.live("[R14] is sent once, whichever process refreshes, and the next one is stored first", () =>
    Effect.gen(function*() {
      const { initial, redis, sent, server } = yield* setUp
      const all = yield* Effect.forEach([1, 2, 3, 4], () => processOf(redis, server, { initial }))
      for (let round = 0; round < 3; round++) {
        const tokens = yield* Effect.forEach(all, ({ acquire }) => acquire, { concurrency: "unbounded" })
        assert.strictEqual(new Set(tokens).size, 4)
      }
      assert.strictEqual(sent().length, 12)
      assert.strictEqual(new Set(sent()).size, 12)
      assert.strictEqual(sent()[0], initial)
    }).pipe(Effect.scoped, quiet))

  it.live("[R14] whose answer was lost is not sent again by any process, until one of them allows it", () =>
    Effect.gen(function*() {
      const { initial, redis, sent, server } = yield* setUp
      const [one, other] = [
        yield* processOf(redis, server, { initial }),
        yield* processOf(redis, server, { initial })
      ]
      server.fault = (response) => response.destroy() === response
      assert.strictEqual((yield* Effect.flip(one.acquire)).code, "NETWORK_ERROR")
      server.fault = () => false
      for (const { acquire } of [one, other, one]) {
        const error = yield* Effect.flip(acquire)
        assert.deepStrictEqual([error.code, reasonOf(error)], ["TOKEN_REFRESH_FAILED", "ambiguous"])
      }
      assert.lengthOf(sent(), 1)
      yield* other.resend
      yield* one.acquire
      yield* other.acquire
      assert.deepStrictEqual(sent().slice(0, 2), [initial, initial])
      assert.lengthOf(sent(), 3)
    }).pipe(Effect.scoped, quiet))

  it.live("[R14] an interrupted request leaves it ambiguous, and a request that was not sent does not", () =>
    Effect.gen(function*() {
      const { initial, redis, sent, server } = yield* setUp
      const one = yield* processOf(redis, server, { initial })
      const nobody = { ...server, issuer: "http://127.0.0.1:1" }
      const unsent = yield* processOf(redis, nobody, { initial })
      assert.strictEqual((yield* Effect.flip(unsent.acquire)).code, "NETWORK_ERROR")
      yield* one.acquire
      server.fault = () => true
      const waiting = yield* Effect.forkChild(one.acquire)
      yield* Effect.repeat(Effect.sleep(5), { while: () => sent().length < 2 })
      yield* Fiber.interrupt(waiting)
      assert.strictEqual(reasonOf(yield* Effect.flip(one.acquire)), "ambiguous")
      assert.lengthOf(sent(), 2)
    }).pipe(Effect.scoped, quiet))

  it.live("[R14] a late answer of a process whose lease ended is saved, if nobody else wrote", () =>
    Effect.gen(function*() {
      const { initial, redis, sent, server } = yield* setUp
      const [one, other] = [
        yield* processOf(redis, server, { initial }),
        yield* processOf(redis, server, { initial })
      ]
      yield* one.acquire
      const commands = yield* sender(redis)
      const use = yield* one.store.shared?.use(true) ?? Effect.die("not shared")
      yield* endLease(commands)
      assert.strictEqual(reasonOf(yield* Effect.flip(other.acquire)), "ambiguous")
      const next = yield* server.refreshToken
      yield* use.end({ _tag: "replaced", next: Redacted.make(next) })
      yield* other.acquire
      assert.deepStrictEqual(sent(), [initial, next])
    }).pipe(Effect.scoped, quiet))

  it.live("[R14] the access token is not handed out before the new refresh token is stored", () =>
    Effect.gen(function*() {
      const { initial, redis, sent, server } = yield* setUp
      const one = yield* processOf(redis, server, { initial, timeout: "2 seconds" })
      const other = yield* processOf(redis, server, { initial })
      // Redis freezes when the server has the request.
      server.fault = () => {
        Effect.runSync(redis.freeze)
        return false
      }
      const error = yield* Effect.ensuring(Effect.flip(one.acquire), redis.thaw)
      assert.strictEqual(error.code, "TOKEN_STORE_UNAVAILABLE")
      server.fault = () => false
      yield* one.acquire
      yield* other.acquire
      assert.strictEqual(new Set(sent()).size, sent().length)
      assert.lengthOf(sent(), 3)
    }).pipe(Effect.scoped, quiet))

  it.live("[R14] without Redis nothing is sent, unless a process alone is allowed to, and its result is stored later", () =>
    Effect.gen(function*() {
      const { initial, redis, sent, server } = yield* setUp
      const brisk = { initial, timeout: "1 second" } as const
      const refusing = yield* processOf(redis, server, brisk)
      const alone = yield* processOf(redis, server, { ...brisk, onStoreFailure: "alone" })
      yield* refusing.acquire
      yield* alone.acquire
      yield* redis.freeze
      yield* Effect.ensuring(
        Effect.gen(function*() {
          assert.strictEqual((yield* Effect.flip(refusing.acquire)).code, "TOKEN_STORE_UNAVAILABLE")
          assert.lengthOf(sent(), 2)
          yield* alone.acquire
          yield* alone.acquire
          assert.lengthOf(sent(), 4)
        }),
        redis.thaw
      )
      yield* Effect.eventually(Effect.tapError(alone.acquire, () => Effect.sleep(20)))
      yield* Effect.eventually(Effect.tapError(refusing.acquire, () => Effect.sleep(20)))
      assert.strictEqual(new Set(sent()).size, sent().length)
    }).pipe(Effect.scoped, quiet))

  it.live("[R14] a store that lost the last write gets the newest refresh token back from the process that has it", () =>
    Effect.gen(function*() {
      const { initial, redis, sent, server } = yield* setUp
      const one = yield* processOf(redis, server, { initial })
      const commands = yield* sender(redis)
      yield* one.acquire
      const [key = ""] = yield* commands.send<ReadonlyArray<string>>("KEYS", "*:refresh")
      const before = yield* commands.send<Record<string, string>>("HGETALL", key)
      yield* one.acquire
      // As in a failover to a replica that does not have it.
      yield* commands.send("DEL", key)
      yield* commands.send("HSET", key, ...Object.entries(before).flat())
      yield* one.acquire
      assert.lengthOf(sent(), 3)
      assert.strictEqual(new Set(sent()).size, 3)
    }).pipe(Effect.scoped, quiet))

  it.live("[R14] without enough replicas nothing is sent", () =>
    Effect.gen(function*() {
      const { initial, redis, sent, server } = yield* setUp
      const one = yield* processOf(redis, server, { initial, minReplicas: 1, timeout: "200 millis" })
      assert.strictEqual((yield* Effect.flip(one.acquire)).code, "TOKEN_STORE_UNAVAILABLE")
      assert.lengthOf(sent(), 0)
      yield* (yield* processOf(redis, server, { initial })).acquire
      assert.lengthOf(sent(), 1)
    }).pipe(Effect.scoped, quiet))

  it.live("[R14] one that the server refuses is not sent again, and another initial one replaces it, once", () =>
    Effect.gen(function*() {
      const { redis, sent, server } = yield* setUp
      const dead = yield* processOf(redis, server, { initial: "not-a-refresh-token" })
      assert.strictEqual((yield* Effect.flip(dead.acquire)).code, "TOKEN_ACQUISITION_FAILED")
      assert.strictEqual(reasonOf(yield* Effect.flip(dead.acquire)), "refused")
      assert.lengthOf(sent(), 1)
      const initial = yield* server.refreshToken
      const [one, other] = [
        yield* processOf(redis, server, { initial }),
        yield* processOf(redis, server, { initial })
      ]
      yield* one.acquire
      yield* other.acquire
      // The old process has the old one still, which was used before.
      yield* dead.acquire
      assert.strictEqual(new Set(sent()).size, 4)
    }).pipe(Effect.scoped, quiet))

  it.live("[R14] a saved one replaces the stored one, also while a process uses that, whose result is dropped", () =>
    Effect.gen(function*() {
      const { initial, redis, sent, server } = yield* setUp
      const one = yield* processOf(redis, server, { initial })
      const use = yield* one.store.shared?.use(true) ?? Effect.die("not shared")
      const other = yield* server.refreshToken
      yield* one.store.save(Redacted.make(other))
      const error = yield* Effect.flip(use.end({ _tag: "replaced", next: Redacted.make("late") }))
      assert.strictEqual(reasonOf(error), "superseded")
      const loaded = yield* one.store.load
      assert.strictEqual(loaded && Redacted.value(loaded), other)
      yield* one.acquire
      assert.deepStrictEqual(sent(), [other])
    }).pipe(Effect.scoped, quiet))

  it.live("[R14] [R16] one that cannot be decrypted is neither used nor replaced", () =>
    Effect.gen(function*() {
      const { initial, redis, sent, server } = yield* setUp
      const one = yield* processOf(redis, server, { initial })
      yield* one.acquire
      const keys = [{ id: "a", key: Redacted.make(keyText(2)) }]
      const wrong = yield* processOf(redis, server, { initial, keys })
      assert.strictEqual(reasonOf(yield* Effect.flip(wrong.acquire)), "store")
      yield* one.acquire
      assert.lengthOf(sent(), 2)
      const missing = yield* processOf(redis, server, { prefix: "other:" })
      assert.strictEqual(reasonOf(yield* Effect.flip(missing.acquire)), "missing")
    }).pipe(Effect.scoped, quiet))

  it.live("one that does not rotate is used by all processes, and without Redis too", () =>
    Effect.gen(function*() {
      const redis = yield* redisServer
      const server = yield* oauthServer({ rotates: false })
      const initial = yield* server.refreshToken
      const one = yield* processOf(redis, server, { initial, rotates: false, timeout: "1 second" })
      yield* one.acquire
      yield* Effect.ensuring(Effect.andThen(redis.freeze, one.acquire), redis.thaw)
      assert.deepStrictEqual(server.requests.map(({ body }) => body.get("refresh_token")), [initial, initial])
    }).pipe(Effect.scoped, quiet))
})
