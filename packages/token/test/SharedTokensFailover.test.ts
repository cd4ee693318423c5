import { NodeRedis } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@keelson/testing/eventually"
import { quiet } from "@keelson/testing/observe"
import { skipReason } from "@keelson/testing/redisServer"
import { Context, Effect, Layer, Redacted, type Scope } from "effect"
import { Redis } from "effect/persistence"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, renameSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { ClientAuth, OAuthClient, SharedTokens } from "../src/index.ts"
import { clientSecret, type OAuthServer, oauthServer } from "./oauthServer.ts"
import { keyText } from "./sharedTokensSupport.ts"
import { detailsOf } from "./tokenSupport.ts"

const freePort = Effect.callback<number>((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    server.close(() => resume(Effect.succeed(port)))
  })
})

const sendTo = (path: string, command: string, ...args: ReadonlyArray<string>): Effect.Effect<unknown> =>
  Layer.build(NodeRedis.layer({ socket: { path, tls: false } })).pipe(
    Effect.flatMap((context) => Context.get(context, Redis.Redis).send(command, ...args)),
    Effect.scoped,
    Effect.orDie
  )

/** A primary and its replica, which takes the socket of the primary when that is gone. */
const pair = Effect.gen(function*() {
  const directory = mkdtempSync(join(tmpdir(), "keelson-failover-"))
  const children: Array<ChildProcess> = []
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      for (const child of children) child.kill("SIGKILL")
      rmSync(directory, { recursive: true, force: true })
    })
  )
  const start = Effect.fnUntraced(function*(name: string, ...options: ReadonlyArray<string>) {
    const path = join(directory, name)
    const port = yield* freePort
    const where = ["--port", String(port), "--bind", "127.0.0.1", "--unixsocket", path, "--dir", directory]
    const child = spawn("redis-server", [...where, "--save", "", ...options], { stdio: "ignore" })
    children.push(child)
    yield* eventually(() => existsSync(path))
    return { path, port, child }
  })
  const primary = yield* start("primary")
  const replica = yield* start("replica", "--replicaof", `127.0.0.1 ${primary.port}`)
  const isLinked = Effect.map(
    sendTo(replica.path, "INFO", "replication"),
    (info) => String(info).includes("master_link_status:up")
  )
  yield* Effect.repeat(Effect.tap(isLinked, () => Effect.sleep(50)), { until: (linked) => linked })
  return {
    path: primary.path,
    /** The replica gets no write from now on, and is a primary of its own. */
    cutReplica: Effect.sync(() => void spawnSync("redis-cli", ["-s", replica.path, "REPLICAOF", "NO", "ONE"])),
    /** The replica confirms no write from now on. */
    freezeReplica: Effect.sync(() => void replica.child.kill("SIGSTOP")),
    /** The primary is lost, and the replica takes its place. */
    failOver: Effect.gen(function*() {
      primary.child.kill("SIGKILL")
      yield* eventually(() => primary.child.signalCode !== null)
      replica.child.kill("SIGCONT")
      yield* sendTo(replica.path, "REPLICAOF", "NO", "ONE")
      renameSync(replica.path, primary.path)
    })
  }
})

const processOf = Effect.fnUntraced(function*(path: string, server: OAuthServer, initial: string, minReplicas = 1) {
  const layer = SharedTokens.layerRedis({
    redis: NodeRedis.layer({ socket: { path, tls: false } }),
    keys: [{ id: "a", key: Redacted.make(keyText(1)) }],
    timeout: "4 seconds",
    minReplicas
  })
  const { refreshTokenStore } = Context.get(yield* Effect.orDie(Layer.build(layer)), SharedTokens.SharedTokens)
  const store = yield* Effect.orDie(refreshTokenStore({ name: "alice", initial: Redacted.make(initial) }))
  const auth = ClientAuth.secretBasic(Redacted.make(clientSecret))
  return OAuthClient.refreshToken({ issuer: server.issuer, clientId: "web", auth, allowLocalhost: true, store })
})

const setUp = Effect.gen(function*() {
  const redis = yield* pair
  const server = yield* oauthServer()
  const initial = yield* server.refreshToken
  const one = yield* processOf(redis.path, server, initial)
  // The new primary has no replica.
  const other = yield* processOf(redis.path, server, initial, 0)
  const sent = () => server.requests.flatMap(({ body }) => body.get("refresh_token") ?? [])
  return { redis, server, one, other, sent }
})

/** Once the connection is made to the new primary. */
const reconnected = <A, E extends { readonly code: string }>(call: Effect.Effect<A, E>) =>
  Effect.retry(Effect.tapError(call, () => Effect.sleep(50)), {
    while: ({ code }) => code === "TOKEN_STORE_UNAVAILABLE"
  })

const coded = <A>(call: Effect.Effect<A, unknown>) =>
  Effect.mapError(call, (error) => {
    assert(error instanceof Error && "code" in error && typeof error.code === "string")
    return Object.assign(error, { code: error.code })
  })

const test = (title: string, run: Effect.Effect<void, unknown, Scope.Scope>) =>
  it.live(title, () => run.pipe(Effect.scoped, quiet))

describe.skipIf(skipReason !== undefined)("a failover of Redis", () => {
  test(
    "[K-11] [R14] that loses the new refresh token keeps the mark of the old one, which no process sends again",
    Effect.gen(function*() {
      const { one, other, redis, sent, server } = yield* setUp
      yield* coded(one.acquire)
      // The replica misses everything from the moment that the server has the request.
      server.fault = () => {
        Effect.runSync(redis.cutReplica)
        return false
      }
      yield* coded(one.acquire)
      server.fault = () => false
      assert.lengthOf(sent(), 2)
      yield* redis.failOver
      const error = yield* Effect.flip(reconnected(coded(other.acquire)))
      assert.deepStrictEqual([error.code, detailsOf(error)["reason"]], ["TOKEN_REFRESH_FAILED", "ambiguous"])
      assert.lengthOf(sent(), 2)
    })
  )

  test(
    "[K-11] [R14] before which the mark was not on a replica finds nothing sent, and the next process refreshes",
    Effect.gen(function*() {
      const { one, other, redis, sent } = yield* setUp
      yield* coded(one.acquire)
      yield* redis.freezeReplica
      assert.strictEqual((yield* Effect.flip(coded(one.acquire))).code, "TOKEN_STORE_UNAVAILABLE")
      assert.lengthOf(sent(), 1)
      yield* redis.failOver
      yield* reconnected(coded(other.acquire))
      assert.strictEqual(new Set(sent()).size, 2)
    })
  )
})
