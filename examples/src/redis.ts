/**
 * Two processes that share in Redis what they know: key sets, what is revoked, and circuits. `node examples/src/redis.ts`
 * starts a `redis-server` where one is installed, kills it, has it back, and ends by itself after about three seconds.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, DateTime, Effect, Redacted, References, Schedule } from "effect"
import { makeIssuers, signed } from "./issuers/issuers.ts"
import { type Instance, makeInstance } from "./redis/instance.ts"
import { isInstalled, makeServer } from "./redis/server.ts"
import { counted } from "./text.ts"

const report = (title: string, ...lines: ReadonlyArray<string>) =>
  Console.log(`${title}\n${lines.map((line) => `  ${line}\n`).join("")}`)

const until = <A>(self: Effect.Effect<A>, wanted: A) =>
  Effect.repeat(self, { schedule: Schedule.spaced("20 millis"), until: (found) => found === wanted })

const demo = Effect.gen(function*() {
  const server = yield* makeServer
  const issuers = yield* makeIssuers(["idp"])
  const idp = issuers.named("idp")
  const token = yield* signed(idp)
  const stolen = yield* signed(idp, { jti: "stolen" })
  let called = 0
  // A scope each stands for a process each: there is nothing between them but Redis.
  const makeProcess = makeInstance({
    issuer: idp.url,
    redis: server.redis,
    snapshotKey: Redacted.make(crypto.randomUUID()),
    onCall: () => called++
  })
  const calls = Effect.fnUntraced(function*(process: Instance, count: number) {
    called = 0
    const outcomes = counted(yield* Effect.replicateEffect(process.call, count))
    return `${outcomes}; the ledger was called ${called} times`
  })

  // Its end writes what is not written yet.
  const fetched = yield* Effect.scoped(Effect.flatMap(makeProcess, (process) => process.check(token)))
  yield* report("A process gets the issuer's keys, and ends", `${fetched}; requests: ${issuers.takeRequests()}`)

  issuers.isDown = true
  const [first, second] = [yield* makeProcess, yield* makeProcess]
  const restored = [yield* first.check(token), yield* second.check(token)]
  yield* report("Two that start while the issuer is down have them too, from Redis", counted(restored))

  const lastExpiry = DateTime.add(yield* DateTime.now, { minutes: 5 })
  const before = yield* second.check(stolen)
  yield* first.revoke({ issuer: idp.url, jti: "stolen" }, lastExpiry)
  yield* report(
    "What the first revokes, the second refuses",
    `before: ${before}`,
    `after: ${yield* second.check(stolen)}`
  )

  yield* report("The first finds out that the ledger is down", yield* calls(first, 5))
  yield* report("and the second does not have to", yield* calls(second, 5))

  yield* server.kill
  yield* report(
    "Redis is killed. Whether a token was revoked can't be told: a 503, and no 401",
    yield* second.check(token)
  )
  yield* report("What the first revoked it knows all the same", yield* first.check(stolen))
  yield* report("Circuits go on in each process alone", yield* calls(first, 5), yield* calls(second, 5))

  yield* server.start
  yield* until(second.check(token), "let in")
  yield* report(
    "Redis is back, and so are",
    `a good token: ${yield* second.check(token)}`,
    `the list: ${yield* second.check(stolen)}`
  )

  const third = yield* makeProcess
  // Until its connection is made, a process goes by circuits of its own.
  yield* until(third.circuit, "OPEN")
  yield* report("A third process starts: the circuit is open as it was", yield* calls(third, 5))
})

const main = Effect.suspend(() =>
  isInstalled()
    ? Effect.scoped(demo)
    : Console.log("redis-server is not installed: there is nothing to show without it")
)

// The warnings about the outage would tear the report apart.
NodeRuntime.runMain(Effect.provideService(main, References.MinimumLogLevel, "None"))
