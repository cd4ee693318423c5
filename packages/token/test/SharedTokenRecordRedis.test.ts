import { describe } from "@effect/vitest"
import { connectInBackground, type Connection } from "@keelson/core/unstable/RedisConnection"
import { Duration, Effect, Redacted } from "effect"
import { redisServer, skipReason } from "../../testing/src/redisServer.ts"
import { makeRedisRecord } from "../src/internal/fleet/redisRecord.ts"
import { makeSeal } from "../src/internal/fleet/seal.ts"
import { makeStoreCalls } from "../src/internal/fleet/storeCalls.ts"
import { recordSuite } from "./sharedTokenRecordSuite.ts"
import { keyText } from "./sharedTokensSupport.ts"

/** Every time that a record has, as the name of its field. */
const times = ["until", "failUntil", "aloneUntil", "replacedAt"]

/** Lets time pass for a record, without waiting: moves all of its times back. */
const passed = ({ send }: Connection, millis: number): Effect.Effect<void> =>
  Effect.orDie(
    Effect.forEach(times, (field) =>
      Effect.flatMap(send("HEXISTS", "record", field), (exists) =>
        exists === 1 ? send("HINCRBY", "record", field, String(-millis)) : Effect.void), { discard: true })
  )

describe.skipIf(skipReason !== undefined)("with a real Redis", () => {
  recordSuite("in Redis", (use) =>
    Effect.scoped(Effect.gen(function*() {
      const server = yield* redisServer
      const connection = yield* connectInBackground(server.redis, "not connected")
      const calls = yield* makeStoreCalls(connection, Duration.minutes(1))
      const seal = yield* makeSeal([{ id: "a", key: Redacted.make(keyText(1)) }])
      const options = { key: "record", identity: "tokens", lease: Duration.minutes(1) }
      yield* use({
        make: Effect.sync(() => makeRedisRecord(calls, seal, options)),
        wait: (millis) => passed(connection, millis)
      })
    })))
})
