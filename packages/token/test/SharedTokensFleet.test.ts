import { NodeRedis } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { eventually } from "@keelson/testing/eventually"
import { type RedisServer, redisServer, skipReason } from "@keelson/testing/redisServer"
import { Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { Redis } from "effect/persistence"
import { afterAll, beforeAll } from "vitest"
import { askAll, type FleetProcess, fleetProcesses, senderOf, type Topic } from "./fleetProcesses.ts"
import { clientSecret, type OAuthServer, oauthServer } from "./oauthServer.ts"
import { keyText } from "./sharedTokensSupport.ts"

const size = 8

interface Machines {
  readonly redis: RedisServer
  readonly server: OAuthServer
  /** Those that were not killed. */
  fleet: ReadonlyArray<FleetProcess>
}

/** Runs commands on a connection of its own. */
const withRedis = <A>(
  { redis }: Machines,
  use: (redis: Redis.Redis["Service"]) => Effect.Effect<A, Redis.RedisError>
) =>
  Effect.scoped(Effect.flatMap(
    Layer.build(NodeRedis.layer({ socket: { path: redis.path, tls: false } })),
    (context) => Effect.orDie(use(Context.get(context, Redis.Redis)))
  )).pipe(Effect.orDie)

/** Ends every lease, as its time does. */
const endLeases = (machines: Machines) =>
  withRedis(machines, ({ send }) =>
    Effect.flatMap(
      send<ReadonlyArray<string>>("KEYS", "*"),
      (keys) => Effect.forEach(keys, (key) => send("HSET", key, "until", "1"), { discard: true })
    ))

/** Holds the token requests that the server receives. */
const hold = (server: OAuthServer) => {
  const held: Array<() => void> = []
  server.fault = (response) => {
    held.push(() => response.destroy())
    return true
  }
  return { held, stop: () => server.fault = () => false }
}

const tokenRequests = ({ server }: Machines, topic: Topic): number =>
  server.requests.filter(({ body }) => body.get("topic") === topic.name).length

describe.skipIf(skipReason !== undefined)("8 processes on one Redis, at a real authorization server", () => {
  const scope = Scope.makeUnsafe()
  let machines: Machines | undefined
  const use = <A, E>(run: (machines: Machines) => Effect.Effect<A, E>) =>
    Effect.suspend(() => machines === undefined ? Effect.die("no machines") : run(machines))

  beforeAll(() =>
    Effect.runPromise(Scope.provide(
      Effect.gen(function*() {
        const redis = yield* redisServer
        const server = yield* oauthServer()
        const settings = { redis: redis.path, issuer: server.issuer, secret: clientSecret, key: keyText(1) }
        machines = { redis, server, fleet: yield* fleetProcesses(size, settings) }
      }),
      scope
    )), 600_000)
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  it.live("[K-11] [R13] cause one token request for each refresh and each rejected token", () =>
    use((fleetOf) =>
      Effect.gen(function*() {
        const { fleet, server } = fleetOf
        const topic = { name: "plain" }
        const first = new Set(yield* askAll(fleet, topic, "get"))
        assert.deepStrictEqual([first.size, tokenRequests(fleetOf, topic)], [1, 1])
        assert.strictEqual((yield* server.find([...first].join()))?.clientId, "basic:client")
        const second = new Set(yield* askAll(fleet, topic, "replace"))
        assert.deepStrictEqual([second.size, tokenRequests(fleetOf, topic)], [1, 2])
        assert.deepStrictEqual(new Set(yield* askAll(fleet, topic, "replace")), new Set(["unchanged"]))
        assert.deepStrictEqual(new Set(yield* askAll(fleet, topic, "get")), second)
        const third = new Set(yield* askAll(fleet, topic, "refresh"))
        assert.deepStrictEqual([third.size, tokenRequests(fleetOf, topic)], [1, 3])
      })
    ))

  it.live("[R14] send a rotating refresh token once, and share the access token that came with the next one", () =>
    use(({ fleet, server }) =>
      Effect.gen(function*() {
        const first = yield* server.refreshToken
        const topic = { name: "rotating", refreshToken: first }
        const sent = () => server.requests.flatMap(({ body }) => body.get("refresh_token") ?? [])
        for (let round = 1; round <= 3; round++) {
          const tokens = new Set(yield* askAll(fleet, topic, round === 1 ? "get" : "refresh"))
          assert.deepStrictEqual([tokens.size, sent().length, new Set(sent()).size], [1, round, round])
          assert.strictEqual((yield* server.find([...tokens].join()))?.clientId, "web")
        }
        assert.strictEqual(sent()[0], first)
      })
    ))

  it.live("[K-11] go on alone while Redis is frozen, warn once, and share again when it is back", () =>
    use((fleetOf) =>
      Effect.gen(function*() {
        const { fleet, redis } = fleetOf
        const topic = { name: "frozen", timeout: "short" } as const
        yield* askAll(fleet, topic, "get")
        yield* redis.freeze
        const alone = yield* Effect.ensuring(askAll(fleet, topic, "refresh"), redis.thaw)
        assert.strictEqual(new Set(alone).size, size)
        assert.strictEqual(tokenRequests(fleetOf, topic), size + 1)
        // A stored token that is older than the refresh is no answer to it: one of them requests the next one for all.
        const before = tokenRequests(fleetOf, topic)
        yield* Effect.yieldNow
        const shared = new Set(yield* askAll(fleet, topic, "refresh"))
        assert.isAtMost(shared.size, size)
        assert.isAtLeast(tokenRequests(fleetOf, topic), before)
        const warned = yield* Effect.forEach(fleet, ({ state }) => state(topic))
        for (const { warnings } of warned) {
          assert.lengthOf(warnings.filter((line) => line.includes("Store of shared tokens failed")), 1)
        }
      })
    ))

  it.live("[K-11] go on alone while Redis is killed, and share again when it is back, empty", () =>
    use((fleetOf) =>
      Effect.gen(function*() {
        const { fleet, redis } = fleetOf
        const topic = { name: "killed" }
        yield* askAll(fleet, topic, "get")
        yield* redis.kill
        const alone = yield* askAll(fleet, topic, "refresh")
        assert.strictEqual(new Set(alone).size, size)
        yield* redis.start
        // A connection is made again within five seconds or a few attempts.
        const isShared = Effect.map(askAll(fleet, topic, "refresh"), (tokens) => new Set(tokens).size === 1)
        yield* Effect.repeat(isShared, { until: (shared) => shared })
        const before = tokenRequests(fleetOf, topic)
        yield* askAll(fleet, topic, "get")
        assert.strictEqual(tokenRequests(fleetOf, topic), before)
      })
    ))

  it.live("[K-11] go on alone while Redis is full, and still take what is stored", () =>
    use((fleetOf) =>
      Effect.gen(function*() {
        const { fleet } = fleetOf
        const [topic, other] = [{ name: "full" }, { name: "full before" }]
        const [one, ...others] = fleet
        assert(one !== undefined)
        const stored = yield* one.ask(other, "get")
        yield* withRedis(fleetOf, ({ send }) =>
          Effect.all([
            send("CONFIG", "SET", "maxmemory", "1"),
            send("CONFIG", "SET", "maxmemory-policy", "noeviction")
          ]))
        const alone = yield* askAll(fleet, topic, "get")
        assert.strictEqual(new Set(alone).size, size)
        assert.deepStrictEqual(new Set(yield* askAll(others, other, "get")), new Set([stored]))
        yield* withRedis(fleetOf, ({ send }) => send("CONFIG", "SET", "maxmemory", "0"))
        assert.strictEqual(new Set(yield* askAll(fleet, { name: "full after" }, "get")).size, 1)
      })
    ))

  it.live("[K-11] [R16] a dump of Redis has no text of a token and no secret", () =>
    use((fleetOf) =>
      Effect.gen(function*() {
        const { fleet, server } = fleetOf
        const refreshToken = yield* server.refreshToken
        const topics = [{ name: "dump" }, { name: "dump web", refreshToken }]
        const tokens = yield* Effect.forEach(topics, (topic) => fleet[0]?.ask(topic, "get") ?? Effect.die("none"))
        const dump = yield* withRedis(fleetOf, ({ send }) =>
          Effect.flatMap(send<ReadonlyArray<string>>("KEYS", "*"), (keys) =>
            Effect.forEach(keys, (key) =>
              Effect.map(send<object>("HGETALL", key), (hash) =>
                JSON.stringify([key, hash])))))
        const sent = server.requests.flatMap(({ body }) =>
          body.get("refresh_token") ?? []
        )
        assert.isAtLeast(dump.length, 2)
        const all = dump.join("\n")
        const secrets = [...tokens, ...sent, clientSecret, keyText(1), server.issuer, "basic:client", "alice"]
        for (const secret of secrets) assert.notInclude(all, secret)
      })
    ))

  it.live("[K-11] [R28] a process killed in the middle of its request is replaced once its lease ends", () =>
    use((fleetOf) =>
      Effect.gen(function*() {
        const { fleet, server } = fleetOf
        const topic = { name: "dying" }
        const { held, stop } = hold(server)
        const asking = yield* Effect.forkChild(askAll(fleet, topic, "get"))
        yield* eventually(() => held.length === 1)
        stop()
        const holder = yield* senderOf(fleet, topic)
        yield* fleet[holder]?.kill ?? Effect.die("none")
        fleetOf.fleet = fleet.filter((_, index) => index !== holder)
        yield* endLeases(fleetOf)
        const answers = yield* Fiber.join(asking)
        assert.strictEqual(answers[holder], "killed")
        assert.strictEqual(new Set(answers).size, 2)
        assert.strictEqual(tokenRequests(fleetOf, topic), 2)
        assert.deepStrictEqual(
          new Set(yield* askAll(fleetOf.fleet, topic, "get")),
          new Set(answers.filter((answer) => answer !== "killed"))
        )
      })
    ))

  it.live("[K-11] [R16] a frozen process that wakes after its lease went to another does not overwrite the newer token", () =>
    use((fleetOf) =>
      Effect.gen(function*() {
        const { fleet, server } = fleetOf
        const topic = { name: "late" }
        const { held, stop } = hold(server)
        const asking = yield* Effect.forkChild(askAll(fleet, topic, "get"))
        yield* eventually(() => held.length === 1)
        const holder = fleet[yield* senderOf(fleet, topic)] ?? assert.fail()
        yield* holder.freeze
        stop()
        yield* endLeases(fleetOf)
        const others = fleet.filter((process) => process !== holder)
        const token = new Set(yield* askAll(others, topic, "get"))
        assert.strictEqual(token.size, 1)
        for (const drop of held) drop()
        yield* holder.thaw
        yield* Fiber.join(asking)
        assert.deepStrictEqual(new Set(yield* askAll(others, topic, "get")), token)
        // Its own request was dropped: it takes the token of the others, or asks when the pause is over.
        assert.deepStrictEqual(new Set(yield* askAll(others, topic, "refresh")).size, 1)
      })
    ))

  it.live("[R14] a process killed in the middle of a refresh leaves a refresh token that no process sends again", () =>
    use((fleetOf) =>
      Effect.gen(function*() {
        const { fleet, server } = fleetOf
        const refreshToken = yield* server.refreshToken
        const topic = { name: "ambiguous", refreshToken }
        const { held, stop } = hold(server)
        const asking = yield* Effect.forkChild(askAll(fleet, topic, "get"))
        yield* eventually(() => held.length === 1)
        stop()
        const holder = yield* senderOf(fleet, topic)
        yield* fleet[holder]?.kill ?? Effect.die("none")
        fleetOf.fleet = fleet.filter((_, index) => index !== holder)
        yield* endLeases(fleetOf)
        const answers = yield* Fiber.join(asking)
        assert.deepStrictEqual(new Set(answers), new Set(["killed", "TOKEN_REFRESH_FAILED"]))
        assert.deepStrictEqual(new Set(yield* askAll(fleetOf.fleet, topic, "get")), new Set(["TOKEN_REFRESH_FAILED"]))
        assert.strictEqual(held.length, 1)
        const sent = server.requests.filter(({ body }) => body.get("refresh_token") === refreshToken)
        assert.isAtMost(sent.length, 1)
      })
    ))

  it.live("[R14] without Redis no process sends a rotating refresh token", () =>
    use((fleetOf) =>
      Effect.gen(function*() {
        const { fleet, redis, server } = fleetOf
        const topic = { name: "lonely", refreshToken: yield* server.refreshToken, timeout: "short" } as const
        yield* askAll(fleet, topic, "get")
        const before = server.requests.length
        yield* redis.kill
        assert.deepStrictEqual(new Set(yield* askAll(fleet, topic, "refresh")), new Set(["TOKEN_STORE_UNAVAILABLE"]))
        assert.strictEqual(server.requests.length, before)
        yield* redis.start
      })
    ))

  it.live("[R28] processes that end while they wait or hold a lease end", () =>
    use((fleetOf) =>
      Effect.gen(function*() {
        const { fleet, server } = fleetOf
        const { held } = hold(server)
        const asking = yield* Effect.forkChild(askAll(fleet, { name: "ending" }, "get"))
        yield* eventually(() => held.length > 0)
        yield* Effect.forEach(fleet, ({ end }) => end, { concurrency: "unbounded" })
        yield* Fiber.join(asking)
        const owners = yield* withRedis(fleetOf, ({ send }) =>
          Effect.flatMap(send<ReadonlyArray<string>>("KEYS", "*"), (keys) =>
            Effect.forEach(keys, (key) =>
              send("HGET", key, "owner"))))
        for (const owner of owners) {
          assert.include([null, ""], owner)
        }
      })
    ))
})
