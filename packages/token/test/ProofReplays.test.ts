import { assert, describe, it as test } from "@effect/vitest"
import { type KeelsonError, PrometheusEndpoint } from "@keelson/core"
import { errorOf } from "@keelson/testing/exits"
import { type RedisServer, redisServer, skipReason } from "@keelson/testing/redisServer"
import { keysOf, pairOf } from "@keelson/testing/tokens"
import { Clock, Context, Effect, Exit, Fiber, Layer, Logger, type Scope } from "effect"
import { Redis } from "effect/persistence"
import { inspect } from "node:util"
import { BearerAuthentication, HttpSecurity, ProofReplays } from "../src/index.ts"
import { baseUrl, boundRequest, boundToken, makeProof, proofSigner } from "./proofSupport.ts"
import { Caller, Tokens, tokensOf } from "./protectedServer.ts"

/** Silences the log of outages. */
const it = {
  live: <A, E>(title: string, body: () => Effect.Effect<A, E, Scope.Scope>) =>
    test.live(title, () => Effect.provide(body(), Logger.layer([])))
}

/** An API whose record of proofs is the one of a layer. */
const apiOver = Effect.fnUntraced(
  function*(replays?: Layer.Layer<ProofReplays.ProofReplays, KeelsonError.ConfigurationError>) {
    const tokens = tokensOf(keysOf([yield* pairOf("ES256")]))
    const record = yield* Layer.build(Layer.fresh(replays ?? ProofReplays.layerMemory()))
    const options = { validator: Tokens, principal: Caller, dpop: "required", baseUrls: [baseUrl] } as const
    return yield* (replays === undefined
      ? BearerAuthentication.make(options)
      : BearerAuthentication.make({ ...options, replays: ProofReplays.ProofReplays })).pipe(
        Effect.provide(Layer.mergeAll(tokens, HttpSecurity.layerRedaction(), Layer.succeedContext(record)))
      )
  }
)

const scene = Effect.gen(function*() {
  const signer = yield* proofSigner()
  const token = yield* boundToken(signer)
  return { signer, token, request: Effect.map(makeProof(signer, token), (proof) => boundRequest(token, proof)) }
})

const patient = { timeout: "10 seconds" } as const
const overRedis = ({ redis }: RedisServer, options: Omit<ProofReplays.RedisOptions<never>, "redis"> = patient) =>
  ProofReplays.layerRedis({ redis, ...options })

/** The codes of many requests with one proof, sent at once. */
const race = (
  apis: ReadonlyArray<BearerAuthentication.BearerAuthentication<unknown>>,
  request: BearerAuthentication.Request
) =>
  Effect.forEach(
    Array.from({ length: 100 }, (_, index) => apis[index % apis.length]!),
    ({ authenticate }) => Effect.match(authenticate(request), { onFailure: ({ code }) => code, onSuccess: () => "OK" }),
    { concurrency: "unbounded" }
  )

const count = (codes: ReadonlyArray<string>) => ({
  accepted: codes.filter((code) => code === "OK").length,
  replayed: codes.filter((code) => code === "DPOP_INVALID").length
})

describe("ProofReplays", () => {
  it.live("[K-23] [R10] of 100 requests with one proof, one is accepted", () =>
    Effect.gen(function*() {
      const { request } = yield* scene
      for (const replays of [undefined, ProofReplays.layerMemory()]) {
        const api = yield* apiOver(replays)
        assert.deepStrictEqual(count(yield* race([api], yield* request)), { accepted: 1, replayed: 99 })
      }
    }))

  it.live("[K-23] [R10] a full record in memory is a 503, and takes no proof in the place of another", () =>
    Effect.gen(function*() {
      const { request } = yield* scene
      const { authenticate } = yield* apiOver(ProofReplays.layerMemory({ maxEntries: 2 }))
      const [first, second, third] = [yield* request, yield* request, yield* request]
      yield* authenticate(first)
      yield* authenticate(second)
      const error = errorOf(yield* Effect.exit(authenticate(third)))
      assert.deepStrictEqual([error.code, error.status], ["AUTHORIZATION_UNAVAILABLE", 503])
      for (const used of [first, second]) {
        assert.strictEqual(errorOf(yield* Effect.exit(authenticate(used))).code, "DPOP_INVALID")
      }
    }))

  it.live("[K-23] [R10] records no proof that another check rejects", () =>
    Effect.gen(function*() {
      const { signer, token } = yield* scene
      const added: Array<ProofReplays.UsedProof> = []
      const replays = Layer.succeed(ProofReplays.ProofReplays, {
        add: (proof) => Effect.sync(() => added.push(proof) > 0)
      })
      const { authenticate } = yield* apiOver(replays)
      const thief = yield* proofSigner("ES256", "stranger")
      const good = yield* makeProof(signer, token)
      const bad = [
        boundRequest(token, `${good.slice(0, -4)}AAAA`),
        boundRequest(token, yield* makeProof(signer, token, { htm: "POST" })),
        boundRequest(token, yield* makeProof(signer, token, { ath: "x" })),
        boundRequest(token, yield* makeProof(thief, token)),
        boundRequest(`${token.slice(0, -4)}AAAA`, good),
        boundRequest(token, good, { scheme: "Bearer" }),
        boundRequest(token, good, { method: "POST" })
      ]
      for (const request of bad) assert.isTrue(Exit.isFailure(yield* Effect.exit(authenticate(request))))
      assert.deepStrictEqual(added, [])
      yield* authenticate(boundRequest(token, good))
      assert.lengthOf(added, 1)
      const now = yield* Clock.currentTimeMillis
      const [{ end, jkt, jti } = { end: 0, jkt: "", jti: "" }] = added
      assert.strictEqual(jkt, signer.jkt)
      assert.match(jti, /^proof-\d+$/)
      // A minute of `maxAge`, and the tolerance on both sides.
      assert.isTrue(end > now + 110_000 && end <= now + 120_000, String(end - now))
    }))

  it.live("[R21] its error and its metrics name no proof", () =>
    Effect.gen(function*() {
      const record = yield* Layer.build(ProofReplays.layerMemory({ maxEntries: 1 }))
      const { add } = Context.get(record, ProofReplays.ProofReplays)
      const end = (yield* Clock.currentTimeMillis) + 60_000
      assert.isTrue(yield* add({ jkt: "SecretKey", jti: "SecretId", end }))
      const error = errorOf(yield* Effect.exit(add({ jkt: "SecretKey", jti: "SecretOther", end })))
      assert.deepStrictEqual([error._tag, error.reason, error.status], ["ReplaysUnavailable", "full", 503])
      assert.notInclude(inspect(error, { depth: 10 }) + JSON.stringify(error), "Secret")
      const snapshot = yield* PrometheusEndpoint.format
      assert.include(snapshot, "dpop_replay_entries")
      assert.notInclude(snapshot, "Secret")
    }))
})

describe.skipIf(skipReason !== undefined)(
  `ProofReplays.layerRedis${skipReason === undefined ? "" : ` (${skipReason})`}`,
  () => {
    it.live("[K-23] [R10] [R28] of 100 requests with one proof at two processes, one is accepted", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const { request } = yield* scene
        const apis = [yield* apiOver(overRedis(server)), yield* apiOver(overRedis(server))]
        assert.deepStrictEqual(count(yield* race(apis, yield* request)), { accepted: 1, replayed: 99 })
        const other = yield* apiOver(overRedis(server, { ...patient, prefix: "other:" }))
        const proof = yield* request
        yield* apis[0]!.authenticate(proof)
        yield* other.authenticate(proof)
      }))

    it.live("[K-23] [R10] an interrupted request may have used its proof, and no other one", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const { request } = yield* scene
        const { authenticate } = yield* apiOver(overRedis(server))
        for (let turn = 0; turn < 20; turn++) {
          const proof = yield* request
          const running = yield* Effect.forkChild(Effect.exit(authenticate(proof)), { startImmediately: true })
          for (let step = 0; step < turn; step++) yield* Effect.yieldNow
          yield* Fiber.interrupt(running)
          const codes = yield* race([yield* Effect.succeed({ authenticate, cacheHeaders: () => ({}) })], proof)
          assert.isAtMost(count(codes).accepted, 1)
          assert.strictEqual(count(codes).accepted + count(codes).replayed, 100)
        }
        yield* authenticate(yield* request)
      }))

    it.live("[K-23] [R10] keys are short, and end when the proof does", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const { request } = yield* scene
        yield* (yield* apiOver(overRedis(server))).authenticate(yield* request)
        const redis = Context.get(yield* Layer.build(Layer.fresh(server.redis)), Redis.Redis)
        const [key = "", more] = yield* redis.send<ReadonlyArray<string>>("KEYS", "*")
        assert.isUndefined(more)
        assert.match(key, /^keelson:dpop:[\w-]{43}$/)
        const left = yield* redis.send<number>("PTTL", key)
        assert.isTrue(left > 60_000 && left <= 120_000, String(left))
      }))

    it.live("[K-23] [R10] fails closed while Redis is killed or hangs, and goes on with local; used proofs stay used", () =>
      Effect.gen(function*() {
        const server = yield* redisServer
        const { request } = yield* scene
        const timeout = "300 millis"
        const strict = yield* apiOver(overRedis(server, { timeout }))
        const local = yield* apiOver(overRedis(server, { timeout, onStoreFailure: "local" }))
        const codeOf = (api: typeof strict, proof: BearerAuthentication.Request) =>
          Effect.match(api.authenticate(proof), { onFailure: ({ code }) => code, onSuccess: () => "OK" })
        const before = yield* request
        yield* Effect.eventually(Effect.suspend(() => Effect.flatMap(request, strict.authenticate)))
        assert.strictEqual(yield* codeOf(local, before), "OK")
        for (const [fail, restore] of [[server.freeze, server.thaw], [server.kill, server.start]] as const) {
          yield* fail
          const proof = yield* request
          assert.strictEqual(yield* codeOf(strict, proof), "AUTHORIZATION_UNAVAILABLE")
          assert.strictEqual(yield* codeOf(local, proof), "OK")
          assert.strictEqual(yield* codeOf(local, proof), "DPOP_INVALID")
          assert.strictEqual(yield* codeOf(local, before), "DPOP_INVALID")
          yield* restore
          yield* Effect.eventually(
            Effect.tapError(Effect.flatMap(request, strict.authenticate), () => Effect.sleep("20 millis"))
          )
        }
      }))
  }
)
