/**
 * Processes that share key sets, revocations and circuits in Redis. `node examples/src/redis.ts` starts `redis-server` if it is
 * installed, kills and restarts it, and exits after about three seconds.
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
  Effect.repeat(self, { schedule: Schedule.spaced("20 millis"), until: (value) => value === wanted })

const demo = Effect.gen(function*() {
  const server = yield* makeServer
  const issuers = yield* makeIssuers(["idp"])
  const idp = issuers.named("idp")
  const token = yield* signed(idp)
  const stolen = yield* signed(idp, { jti: "stolen" })
  let ledgerCalls = 0
  // Each scope stands for a process: the instances share nothing but Redis.
  const makeProcess = makeInstance({
    issuer: idp.url,
    redis: server.redis,
    snapshotKey: Redacted.make(crypto.randomUUID()),
    onLedgerCall: () => ledgerCalls++
  })
  const calls = Effect.fnUntraced(function*(process: Instance, count: number) {
    ledgerCalls = 0
    const outcomes = counted(yield* Effect.replicateEffect(process.call, count))
    return `${outcomes}; calls to the ledger: ${ledgerCalls}`
  })

  // Closing the scope writes pending snapshots.
  const fetched = yield* Effect.scoped(Effect.flatMap(makeProcess, (process) => process.check(token)))
  yield* report("A process fetches the issuer's keys, then stops", `${fetched}; requests: ${issuers.takeRequests()}`)

  issuers.isDown = true
  const [first, second] = [yield* makeProcess, yield* makeProcess]
  const outcomes = [yield* first.check(token), yield* second.check(token)]
  yield* report("Two processes start while the issuer is down, and load the keys from Redis", counted(outcomes))

  const lastExpiry = DateTime.add(yield* DateTime.now, { minutes: 5 })
  const before = yield* second.check(stolen)
  yield* first.revoke({ issuer: idp.url, jti: "stolen" }, lastExpiry)
  yield* report(
    "The second process rejects a token that the first revoked",
    `before: ${before}`,
    `after: ${yield* second.check(stolen)}`
  )

  yield* report("The ledger is down: the first process opens the circuit", yield* calls(first, 5))
  yield* report("The circuit is open in the second process too", yield* calls(second, 5))

  yield* server.kill
  yield* report(
    "Redis is killed: revocation cannot be checked, so the status is 503, not 401",
    yield* second.check(token)
  )
  yield* report("The first process still knows what it revoked", yield* first.check(stolen))
  yield* report("Each process uses an in-process circuit", yield* calls(first, 5), yield* calls(second, 5))

  yield* server.start
  yield* until(second.check(token), "accepted")
  yield* report(
    "Redis is up again, with the revocations",
    `a valid token: ${yield* second.check(token)}`,
    `the revoked token: ${yield* second.check(stolen)}`
  )

  const third = yield* makeProcess
  // A process uses in-process circuits until it is connected to Redis.
  yield* until(third.circuit, "OPEN")
  yield* report("A third process starts: the circuit is still open", yield* calls(third, 5))
})

const main = Effect.suspend(() =>
  isInstalled()
    ? Effect.scoped(demo)
    : Console.log("redis-server is not installed: this example needs it")
)

// Hides the warnings about the outage.
NodeRuntime.runMain(Effect.provideService(main, References.MinimumLogLevel, "None"))
