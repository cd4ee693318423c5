import { assert, describe, it } from "@effect/vitest"
import type { Sender } from "@keelson/core/unstable/RedisConnection"
import { Duration, Effect, Fiber } from "effect"
import { Redis } from "effect/persistence"
import { TestClock } from "effect/testing"
import { makeRedisList } from "../src/internal/revocation/redisList.ts"
import { issuer, token } from "./RevocationSuite.ts"

const entry = { issuer, kind: "jti", id: "a", issuedUntil: 1, lifetime: 1.5 } as const

/** A list over a client that gives the same reply to every command. */
const over = (answer: Effect.Effect<unknown, Redis.RedisError>) => {
  const sent: Array<ReadonlyArray<string>> = []
  const redis: Pick<Redis.Redis["Service"], "send"> = {
    send: <A>(command: string, ...args: ReadonlyArray<string>) => {
      sent.push([command, ...args])
      // oxlint-disable-next-line no-unsafe-type-assertion -- the type of a reply is not checked
      return answer as Effect.Effect<A, Redis.RedisError>
    }
  }
  return { sent, list: makeRedisList(redis satisfies Sender, { prefix: "", timeout: Duration.millis(200) }) }
}

const tags = Effect.fnUntraced(function*(answer: Effect.Effect<unknown, Redis.RedisError>) {
  const { list } = over(answer)
  return [(yield* list.has(token({ jti: "a", sub: "b", iat: 5 })))._tag, (yield* list.add(entry))._tag]
})

describe("redisList", () => {
  it.effect("[R10] a client that fails, dies or hangs is a failure, within the limit", () =>
    Effect.gen(function*() {
      const failed = ["failed", "failed"]
      assert.deepStrictEqual(yield* tags(Effect.fail(new Redis.RedisError({ cause: new Error("no") }))), failed)
      assert.deepStrictEqual(yield* tags(Effect.die(new Error("a bug"))), failed)
      const waiting = yield* Effect.forkChild(tags(Effect.never), { startImmediately: true })
      yield* TestClock.adjust("200 millis")
      yield* TestClock.adjust("199 millis")
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* Fiber.join(waiting), failed)
    }))

  it.effect("[R10] a client that throws has failed", () =>
    Effect.gen(function*() {
      const redis: Sender = {
        send: () => {
          throw new Error("a bug")
        }
      }
      const list = makeRedisList(redis, { prefix: "", timeout: Duration.millis(200) })
      assert.deepStrictEqual(yield* list.has(token({ jti: "a" })), { _tag: "failed" })
    }))

  it.effect("[R10] a malformed reply is unreadable", () =>
    Effect.gen(function*() {
      const wrong = [undefined, null, 0, "", {}, [], [null], [null, null, null], [null, 1], [null, false], [
        ["1"],
        null
      ]]
      for (const reply of wrong) {
        assert.deepStrictEqual(yield* tags(Effect.succeed(reply)), ["unreadable", "unreadable"], JSON.stringify(reply))
      }
    }))

  it.effect("[K-04] reads entries, and writes whole milliseconds", () =>
    Effect.gen(function*() {
      const answer = (reply: unknown) => over(Effect.succeed(reply)).list.has(token({ jti: "a", sub: "b", iat: 5 }))
      assert.deepStrictEqual(yield* answer([null, null]), { _tag: "value", value: false })
      assert.deepStrictEqual(yield* answer([null, "4"]), { _tag: "value", value: false })
      assert.deepStrictEqual(yield* answer([null, "5"]), { _tag: "value", value: true })
      assert.deepStrictEqual(yield* answer(["x", "5"]), { _tag: "value", value: true })
      assert.deepStrictEqual(yield* answer(["x", "4"]), { _tag: "unreadable" })
      const { list, sent } = over(Effect.succeed(1))
      assert.deepStrictEqual(yield* list.add(entry), { _tag: "value", value: undefined })
      assert.deepStrictEqual(sent[0]?.slice(-2), ["1", "2"])
    }))
})
